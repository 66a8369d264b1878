//! Defaults of jobs.

use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::template;
use crate::tree::{Read, Write};

/// Completes a job.
pub(super) fn job(tree: &mut Tree) {
    template(tree);
    labels(tree);
    let Some(spec) = tree.object_mut("spec") else { return };
    if !spec.has("parallelism") {
        spec.default_value("completions", 1);
    }
    spec.default_value("parallelism", 1);
    let tries = if spec.has("backoffLimitPerIndex") { i32::MAX } else { 6 };
    spec.default_value("backoffLimit", tries);
    spec.default_value("completionMode", "NonIndexed");
    spec.default_value("suspend", false);
    spec.default_value("manualSelector", false);
    let replaced = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    spec.default_value("podReplacementPolicy", replaced);
    pod_failure_policy(spec);
}

/// Completes the patterns by which a job's spec tells failed pods apart.
pub(crate) fn pod_failure_policy(spec: &mut Tree) {
    let Some(policy) = spec.part_mut("podFailurePolicy") else { return };
    for rule in policy.items_mut("rules") {
        for pattern in rule.items_mut("onPodConditions") {
            pattern.default_text("status", "True");
        }
    }
}

/// A job without labels gets those of its pods.
fn labels(tree: &mut Tree) {
    let pods = tree.at("spec.template.metadata.labels").clone();
    let none = tree.entries("metadata.labels").next().is_none();
    if none
        && pods.as_object().is_some_and(|labels| !labels.is_empty())
        && let Some(metadata) = tree.object_mut("metadata")
    {
        metadata.set("labels", pods);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_follows_what_is_there() {
        // spec, field, value
        let cases = [
            (json!({}), "completions", json!(1)),
            (json!({}), "parallelism", json!(1)),
            (json!({"parallelism": 3}), "completions", json!(null)),
            (json!({"completions": 3}), "parallelism", json!(1)),
            (json!({}), "backoffLimit", json!(6)),
            (json!({"backoffLimitPerIndex": 1}), "backoffLimit", json!(2_147_483_647)),
            (json!({}), "podReplacementPolicy", json!("TerminatingOrFailed")),
            (json!({"podFailurePolicy": {}}), "podReplacementPolicy", json!("Failed")),
            (json!({}), "completionMode", json!("NonIndexed")),
            (
                json!({"podFailurePolicy": {"rules": [{"onPodConditions": [{"type": "A"}]}]}}),
                "podFailurePolicy",
                json!({"rules": [{"onPodConditions": [{"type": "A", "status": "True"}]}]}),
            ),
        ];
        for (spec, field, want) in cases {
            let mut tree = json!({"spec": spec});
            job(&mut tree);
            assert_eq!(tree["spec"].at(field), &want, "{field}");
        }
        let mut tree = json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}});
        job(&mut tree);
        assert_eq!(tree["metadata"]["labels"], json!({"a": "b"}));
    }
}
