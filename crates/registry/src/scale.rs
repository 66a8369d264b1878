//! The subresource `scale`: the number of replicas of a workload, in a form that is the same for all of them.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};
use steersman_apimachinery::labels::Selector;

use crate::checks::not_negative;
use crate::tree::{Read, Write};

/// Metadata of the workload that a scale shows.
const SHOWN: [&str; 5] = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];

/// The `autoscaling/v1` `Scale` of a workload.
pub fn scale_of(object: &Tree) -> Tree {
    let mut metadata = json!({});
    for field in SHOWN.into_iter().filter(|field| object.at("metadata").has(field)) {
        metadata.copy(object.at("metadata"), field);
    }
    let mut spec = json!({});
    match object.int("spec.replicas") {
        None | Some(0) => {}
        Some(replicas) => spec.set("replicas", replicas),
    }
    let mut status = json!({"replicas": object.int("status.replicas").unwrap_or(0)});
    if let Some(selector) = selector_of(object.at("spec.selector")) {
        status.set("selector", selector.to_string());
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
    })
}

/// A selector in either form: most workloads have a `LabelSelector`, the oldest a plain map of labels.
fn selector_of(selector: &Tree) -> Option<Selector> {
    let plain = selector.as_object().is_some_and(|map| map.values().all(Tree::is_string));
    if plain {
        Some(Selector::from_map(Some(selector)))
    } else {
        Selector::from_label_selector(Some(selector)).ok()
    }
}

/// Gives a workload the number of replicas of a `Scale`, and its `resourceVersion` for the check of conflicts.
pub fn set_scale(object: &mut Tree, scale: &Tree) {
    if let Some(spec) = object.object_mut("spec") {
        spec.set("replicas", scale.int("spec.replicas").unwrap_or(0));
    }
    if let Some(metadata) = object.object_mut("metadata") {
        metadata.copy(scale.at("metadata"), "resourceVersion");
    }
}

/// The problems of a `Scale`.
pub fn validate_scale(scale: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    not_negative(&mut found, scale.at("spec"), &Path::new("spec"), &["replicas"]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn a_scale_shows_and_sets_the_replicas() {
        let mut object = json!({
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "resourceVersion": "3", "labels": {"a": "b"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "d"}}},
            "status": {"replicas": 2},
        });
        let mut scale = scale_of(&object);
        let want = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "resourceVersion": "3"},
            "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "app=d"},
        });
        assert_eq!(scale, want);
        object["spec"]["selector"] = json!({"b": "1", "a": "2"});
        assert_eq!(scale_of(&object)["status"]["selector"], "a=2,b=1");
        scale["spec"]["replicas"] = json!(5);
        scale["metadata"]["resourceVersion"] = json!("2");
        set_scale(&mut object, &scale);
        assert_eq!(object["spec"]["replicas"], 5);
        assert_eq!(object["metadata"]["resourceVersion"], "2");
        let want = ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"];
        assert_eq!(texts(&validate_scale(&json!({"spec": {"replicas": -1}}))), want);
    }
}
