//! The smallest change that brings the API's status to the kubelet's: a strategic merge patch.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

use super::conditions::OWNED;

/// Lists that the API merges by key: they are replaced as a whole.
const MERGED_LISTS: [&str; 2] = ["podIPs", "hostIPs"];

/// Fields of the status that other components write.
const FOREIGN: [&str; 3] = ["nominatedNodeName", "resourceClaimStatuses", "extendedResourceClaimStatus"];

/// The patch from `old` to `new`, for the pod with this UID; `None` when nothing differs.
pub fn patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let (old, new) = (tree(old), tree(new));
    let mut changes = Map::new();
    for key in old.keys().chain(new.keys()) {
        let (before, after) = (old.get(key), new.get(key));
        if before == after || changes.contains_key(key) || FOREIGN.contains(&key.as_str()) {
            continue;
        }
        let change = match after {
            _ if key == "conditions" => conditions(before, after),
            Some(list) if MERGED_LISTS.contains(&key.as_str()) => Some(replaced(list)),
            Some(after) => Some(after.clone()),
            None => Some(Value::Null),
        };
        if let Some(change) = change {
            changes.insert(key.clone(), change);
        }
    }
    (!changes.is_empty()).then(|| json!({ "metadata": { "uid": uid }, "status": changes }))
}

fn tree(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(tree)) => tree,
        _ => Map::new(),
    }
}

/// The kubelet's conditions that changed. The API merges them by type, so that no other's is touched.
fn conditions(before: Option<&Value>, after: Option<&Value>) -> Option<Value> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let before = list(before);
    let changed: Vec<Value> = list(after)
        .into_iter()
        .filter(|condition| condition["type"].as_str().is_some_and(|kind| OWNED.contains(&kind)))
        .filter(|condition| !before.contains(condition))
        .map(|condition| without_leftovers(condition, &before))
        .collect();
    (!changed.is_empty()).then_some(Value::Array(changed))
}

/// A merge keeps what it is not told about: reason and message that are gone must be named.
fn without_leftovers(mut condition: Value, before: &[Value]) -> Value {
    let old = before.iter().find(|old| old["type"] == condition["type"]).cloned().unwrap_or_default();
    for field in ["reason", "message"] {
        if condition.get(field).is_none() && old.get(field).is_some() {
            condition[field] = Value::Null;
        }
    }
    condition
}

fn replaced(list: &Value) -> Value {
    let mut items = vec![json!({ "$patch": "replace" })];
    items.extend(list.as_array().cloned().unwrap_or_default());
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn equal_statuses_need_no_patch() {
        let same = status(json!({ "phase": "Running", "podIPs": [{ "ip": "1.2.3.4" }] }));
        assert_eq!(patch("u", &same, &same), None);
    }

    #[test]
    fn only_what_differs_is_sent_and_foreign_conditions_are_left_alone() {
        let old =
            status(json!({ "phase": "Running", "reason": "x", "hostIP": "h", "podIPs": [{ "ip": "a" }],
            "nominatedNodeName": "n",
            "conditions": [
                { "type": "Ready", "status": "False", "message": "m", "reason": "r" },
                { "type": "PodScheduled", "status": "True" },
                { "type": "DisruptionTarget", "status": "True" } ] }));
        let new = status(json!({ "phase": "Failed", "hostIP": "h", "podIPs": [{ "ip": "b" }],
            "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "PodScheduled", "status": "True" } ] }));
        let want = json!({ "metadata": { "uid": "u" }, "status": {
            "phase": "Failed",
            "reason": null,
            "podIPs": [{ "$patch": "replace" }, { "ip": "b" }],
            "conditions": [{ "type": "Ready", "status": "True", "message": null, "reason": null }] } });
        assert_eq!(patch("u", &old, &new), Some(want));
    }
}
