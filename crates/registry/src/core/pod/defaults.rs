//! Defaults that a pod gets and a pod template does not.

use serde_json::{Map, json};
use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::pod_spec;
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
