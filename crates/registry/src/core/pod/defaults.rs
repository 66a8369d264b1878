//! Defaults that a pod gets and a pod template does not.

use serde_json::{Map, json};
use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::pod_spec;
use crate::core::podspec::sums::{self, is_pod_level};
use crate::tree::{Read, Write};

/// Completes a pod.
pub(super) fn pod(pod: &mut Tree) {
    if let Some(spec) = pod.object_mut("spec") {
        spec.default_value("enableServiceLinks", true);
        pod_spec(spec);
        let host_network = spec.flag("hostNetwork");
        for list in ["initContainers", "containers"] {
            for container in spec.items_mut(list) {
                requests_from_limits(container);
                if host_network {
                    host_ports(container);
                }
            }
        }
    }
    if let Some(spec) = pod.part_mut("spec") {
        pod_level_requests(spec);
    }
    if let Some(status) = pod.part_mut("status") {
        first_address(status, "podIP", "podIPs");
        first_address(status, "hostIP", "hostIPs");
    }
}

/// What is limited and not requested is requested as much as it is limited.
fn requests_from_limits(container: &mut Tree) {
    let Some(resources) = container.part_mut("resources") else { return };
    let limits: Map<String, Tree> = resources.at("limits").as_object().cloned().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = resources.object_mut("requests") {
        limits.into_iter().for_each(|(name, limit)| requests.default_value(&name, limit));
    }
}

/// A pod that says something about its resources as a whole requests what its containers do together, or else what it
/// is limited to.
fn pod_level_requests(spec: &mut Tree) {
    if !spec.at("resources").is_object() {
        return;
    }
    let sums: Vec<(String, String)> = sums::requests(spec)
        .into_iter()
        .filter(|(name, _)| matches!(*name, "cpu" | "memory"))
        .map(|(name, amount)| (name.to_owned(), amount.to_string()))
        .collect();
    let map = |part: &str| spec.at("resources").at(part).as_object().cloned().unwrap_or_default();
    let (mut requests, limits) = (map("requests"), map("limits"));
    for (name, amount) in sums {
        requests.entry(name).or_insert(amount.into());
    }
    for (name, limit) in limits.into_iter().filter(|(name, _)| is_pod_level(name)) {
        requests.entry(name).or_insert(limit);
    }
    if let Some(resources) = spec.part_mut("resources").filter(|_| !requests.is_empty()) {
        resources.set("requests", requests);
    }
}

/// In the host's network a container port is a host port.
fn host_ports(container: &mut Tree) {
    for port in container.items_mut("ports") {
        if let Some(number) = port.int("containerPort") {
            port.default_number("hostPort", number);
        }
    }
}

/// The single address is the first of the list; each completes the other.
fn first_address(status: &mut Tree, single: &str, list: &str) {
    let first = status.items(list).first().map(|item| item.text("ip").to_owned());
    match (status.text(single), first) {
        ("", Some(first)) => status.set(single, first),
        (address, None) if !address.is_empty() => {
            let address = address.to_owned();
            status.set(list, json!([{"ip": address}]));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_own_resources_are_completed() {
        let mut tree = json!({"spec": {
            "resources": {"limits": {"cpu": "4", "memory": "1Gi"}},
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}},
                {"name": "b", "resources": {"limits": {"cpu": "500m"}}}],
        }});
        pod(&mut tree);
        assert_eq!(tree["spec"]["resources"]["requests"], json!({"cpu": "1500m", "memory": "1Gi"}));
    }

    #[test]
    fn a_small_pod_is_completed_as_upstream_does() {
        let mut tree = json!({
            "metadata": {"name": "p"},
            "spec": {"hostNetwork": true, "serviceAccount": "builder", "containers": [{
                "name": "a", "image": "nginx:1", "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            }]},
        });
        pod(&mut tree);
        let want = json!({
            "metadata": {"name": "p"},
            "spec": {
                "containers": [{
                    "name": "a", "image": "nginx:1", "imagePullPolicy": "IfNotPresent",
                    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
                    "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "periodSeconds": 5,
                        "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
                    "lifecycle": {"preStop": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}},
                    "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP", "apiVersion": "v1"}}}],
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "terminationGracePeriodSeconds": 30, "securityContext": {}, "enableServiceLinks": true,
                "hostNetwork": true, "serviceAccount": "builder", "serviceAccountName": "builder",
            },
        });
        assert_eq!(tree, want);
    }
}
