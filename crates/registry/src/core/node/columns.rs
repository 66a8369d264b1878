//! What `kubectl get nodes` prints.

use serde_json::Value;
use steersman_apimachinery::Tree;

use crate::Column;
use crate::print::{AGE, NAME, or, text};
use crate::tree::Read;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    text("Status", 0, "Whether the node is ready and takes pods.", |object, _| status(object).into()),
    text("Roles", 0, "Roles by the labels node-role.kubernetes.io/*.", |object, _| roles(object).into()),
    AGE,
    text("Version", 0, "Version of the kubelet.", |object, _| info(object, "kubeletVersion", "")),
    text("Internal-IP", 1, "First internal address.", |object, _| address(object, "InternalIP")),
    text("External-IP", 1, "First external address.", |object, _| address(object, "ExternalIP")),
    text("OS-Image", 1, "Operating system.", |object, _| info(object, "osImage", "<unknown>")),
    text("Kernel-Version", 1, "Kernel version.", |object, _| info(object, "kernelVersion", "<unknown>")),
    text("Container-Runtime", 1, "Container runtime and its version.", |object, _| {
        info(object, "containerRuntimeVersion", "<unknown>")
    }),
];

fn status(node: &Tree) -> String {
    let ready = node.items("status.conditions").iter().rfind(|c| c.text("type") == "Ready");
    let ready = match ready.map(|c| c.text("status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if node.flag("spec.unschedulable") { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(node: &Tree) -> String {
    let mut roles: Vec<&str> = node
        .entries("metadata.labels")
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    or(&roles.join(","), "<none>").to_owned()
}

fn info(node: &Tree, field: &str, none: &str) -> Value {
    or(node.at("status.nodeInfo").text(field), none).into()
}

fn address(node: &Tree, kind: &str) -> Value {
    let found = node.items("status.addresses").iter().find(|address| address.text("type") == kind);
    found.map_or("<none>", |address| address.text("address")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn nodes_print_as_upstream() {
        let node = json!({
            "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {
                "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "",
                "kubernetes.io/role": "edge", "node-role.kubernetes.io/": "",
            }},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian", "kernelVersion": "6.18"},
            },
        });
        let cells = row(COLUMNS, &node, "2026-01-01T00:10:00Z");
        assert_eq!(
            cells,
            "n1|Ready,SchedulingDisabled|control-plane,edge,worker|10m|v1.37.0|10.0.0.1|<none>|Debian|6.18|<unknown>"
        );
    }

    #[test]
    fn readiness_follows_the_condition() {
        let with = |status| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        let cases = [
            (with("True"), "Ready"),
            (with("False"), "NotReady"),
            (with("Unknown"), "NotReady"),
            (json!({}), "Unknown"),
        ];
        for (node, want) in cases {
            assert_eq!(status(&node), want);
        }
    }
}
