//! Placing a pod on a node.

use serde_json::json;
use steersman_apimachinery::quote::quote;
use steersman_apimachinery::{Tree, time};

use crate::tree::{Read, Write};

/// Carries a `Binding` out on a pod (`pods/binding`): names the node, takes the binding's annotations over and marks
/// the pod scheduled. An error says why it cannot be placed, in the words of the conflict that the client gets.
pub fn assign_pod(pod: &mut Tree, binding: &Tree, now: jiff::Timestamp) -> Result<(), String> {
    let name = pod.text("metadata.name").to_owned();
    if pod.has("metadata.deletionTimestamp") {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let before = pod.text("spec.nodeName");
    if !before.is_empty() {
        return Err(format!("pod {name} is already assigned to node {}", quote(before)));
    }
    if !pod.items("spec.schedulingGates").is_empty() {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    if let Some(spec) = pod.object_mut("spec") {
        spec.set("nodeName", binding.text("target.name"));
    }
    if binding.has("metadata.annotations")
        && let Some(kept) = pod.object_mut("metadata").and_then(|metadata| metadata.object_mut("annotations"))
    {
        binding.entries("metadata.annotations").for_each(|(key, value)| kept.set(key, value.clone()));
    }
    set_scheduled(pod, &time::format(now));
    Ok(())
}

fn set_scheduled(pod: &mut Tree, now: &str) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let Some(status) = pod.object_mut("status") else { return };
    let mut conditions = status.items("conditions").to_vec();
    match conditions.iter_mut().find(|condition| condition.text("type") == "PodScheduled") {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
    status.set("conditions", conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_placed_once() {
        let binding =
            json!({"metadata": {"annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}});
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {},
            "status": {"conditions": [{"type": "PodScheduled", "status": "False"}, {"type": "Ready"}]}});
        assert_eq!(assign_pod(&mut pod, &binding, now), Ok(()));
        assert_eq!(pod["spec"]["nodeName"], "n1");
        assert_eq!(pod["metadata"]["annotations"]["a"], "b");
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        let again = assign_pod(&mut pod, &binding, now);
        assert_eq!(again, Err("pod p is already assigned to node \"n1\"".to_owned()));
        let mut gated = json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}});
        let refused = assign_pod(&mut gated, &binding, now);
        assert_eq!(refused, Err("pod p has non-empty .spec.schedulingGates".to_owned()));
        let mut ending = json!({"metadata": {"name": "p", "deletionTimestamp": "1970-01-01T00:00:00Z"}});
        let refused = assign_pod(&mut ending, &binding, now);
        assert_eq!(refused, Err("pod p is being deleted, cannot be assigned to a host".to_owned()));
    }
}
