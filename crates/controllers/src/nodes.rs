//! What a node's status and taints mean to a controller.

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

/// The node's condition of this type.
pub(crate) fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.iter().flat_map(|status| status.conditions.iter().flatten()).find(|c| c.type_ == kind)
}

/// `True`, `False` or `Unknown`; `Unknown` while the node has not said.
pub(crate) fn condition_status<'a>(node: &'a Node, kind: &str) -> &'a str {
    condition(node, kind).map_or("Unknown", |condition| condition.status.as_str())
}

/// Whether the node can run pods.
pub(crate) fn is_ready(node: &Node) -> bool {
    condition_status(node, "Ready") == "True"
}

/// The node's taints.
pub(crate) fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// Whether it has a taint of this key.
pub(crate) fn has_taint(node: &Node, key: &str) -> bool {
    taints(node).iter().any(|taint| taint.key == key)
}
