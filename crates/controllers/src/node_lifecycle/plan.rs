//! What a silent node's status says, and which taints a node has. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::conditions::whole_second;
use crate::nodes::{condition, condition_status, taints};

/// What a kubelet tells, and nobody knows once it is silent.
const TOLD_BY_KUBELET: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, the status that taints, and the taint's key.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// The status of a node that fell silent; `None` if it says so already.
pub(super) fn silenced(node: &Node, now: Timestamp) -> Option<NodeStatus> {
    let mut status = node.status.clone().unwrap_or_default();
    let conditions = status.conditions.get_or_insert_default();
    let now = Time(whole_second(now));
    let mut changed = false;
    for kind in TOLD_BY_KUBELET {
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(condition) if condition.status == "Unknown" => continue,
            Some(condition) => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(now.clone());
            }
            None => conditions.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(now.clone()),
            }),
        }
        changed = true;
    }
    changed.then_some(status)
}

/// The node's taints as its conditions want them, beside those of others; `None` if they are so already.
///
/// Pods are evicted (`NoExecute`) only while some node of the cluster is ready: when none is, the fault is more likely
/// ours, and there is no place to go to.
pub(super) fn desired_taints(node: &Node, any_ready: bool, now: Timestamp) -> Option<Vec<Taint>> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, status, key) in BY_CONDITION {
        let told = condition(node, kind).is_some() || kind == "Ready";
        if told && condition_status(node, kind) == status {
            wanted.push((key, "NoSchedule"));
            if kind == "Ready" && any_ready {
                wanted.push((key, "NoExecute"));
            }
        }
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let current = taints(node);
    let mut next: Vec<Taint> =
        current.iter().filter(|taint| !is_ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in &wanted {
        if !next.iter().any(|taint| taint.key == *key && taint.effect == *effect) {
            next.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                time_added: Some(Time(whole_second(now))),
                value: None,
            });
        }
    }
    (next != current).then_some(next)
}

/// Whether conditions alone decide over the taint.
fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key) || taint.key == UNSCHEDULABLE;
    let evicts = taint.effect == "NoExecute" && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
    by_condition && (taint.effect == "NoSchedule" || evicts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(conditions: &[(&str, &str)], spec: serde_json::Value) -> Node {
        let conditions: Vec<_> =
            conditions.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
        serde_json::from_value(json!({"spec": spec, "status": {"conditions": conditions}})).expect("a node")
    }

    fn named(taints: Option<Vec<Taint>>) -> Option<Vec<String>> {
        let name = |taint: Taint| {
            format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)
        };
        taints.map(|taints| taints.into_iter().map(name).collect())
    }

    #[test]
    fn taints_follow_conditions() {
        let mine = json!({"taints": [{"key": "team", "value": "a", "effect": "NoExecute"}]});
        let stale = json!({"taints": [{"key": NOT_READY, "effect": "NoExecute"}]});
        let silent = &[("Ready", "Unknown")][..];
        let cases: [(&[(&str, &str)], serde_json::Value, bool, Option<&[&str]>); 7] = [
            (&[("Ready", "True")], mine.clone(), true, None),
            (
                &[("Ready", "False")],
                mine,
                true,
                Some(&["team:NoExecute", "not-ready:NoSchedule", "not-ready:NoExecute"]),
            ),
            (silent, json!({}), true, Some(&["unreachable:NoSchedule", "unreachable:NoExecute"])),
            (silent, json!({}), false, Some(&["unreachable:NoSchedule"])),
            (&[("Ready", "True")], stale, true, Some(&[])),
            (
                &[("Ready", "True"), ("DiskPressure", "True")],
                json!({}),
                true,
                Some(&["disk-pressure:NoSchedule"]),
            ),
            (&[("Ready", "True")], json!({"unschedulable": true}), true, Some(&["unschedulable:NoSchedule"])),
        ];
        for (conditions, spec, any_ready, expected) in cases {
            let found = named(desired_taints(&node(conditions, spec), any_ready, Timestamp::UNIX_EPOCH));
            let expected =
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{conditions:?}");
        }
    }

    #[test]
    fn a_silent_node_knows_nothing() {
        let quiet = node(&[("Ready", "True"), ("MemoryPressure", "False")], json!({}));
        let status = silenced(&quiet, Timestamp::UNIX_EPOCH).expect("it changes");
        let reasons: Vec<_> =
            status.conditions.iter().flatten().filter_map(|c| c.reason.as_deref()).collect();
        assert_eq!(
            reasons,
            ["NodeStatusUnknown", "NodeStatusUnknown", "NodeStatusNeverUpdated", "NodeStatusNeverUpdated"]
        );
        let known = Node { status: Some(status), ..quiet };
        assert_eq!(silenced(&known, Timestamp::UNIX_EPOCH), None);
    }
}
