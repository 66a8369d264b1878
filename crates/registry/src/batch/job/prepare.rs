//! What the server sets on jobs: mostly the selector, which keeps the pods of different jobs apart.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::Context;
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};

/// The names by which a job's pods know it, the old one first.
pub(super) const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
/// The labels with its UID, the old one first.
pub(super) const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// A new job.
pub(super) fn create(job: &mut Tree) {
    if !job.flag("spec.manualSelector") {
        generate_selector(job);
    }
    drop_disabled(job, None);
    job.set("status", json!({}));
    set_generation(job, 1);
}

/// An update.
pub(super) fn update(new: &mut Tree, old: &Tree, context: &Context) {
    drop_disabled(new, Some(old));
    keep_parts_apart(new, old, context);
}

/// `scheduling` is alpha and off.
fn drop_disabled(job: &mut Tree, old: Option<&Tree>) {
    if !old.is_some_and(|old| old.has("spec.scheduling"))
        && let Some(spec) = job.part_mut("spec")
    {
        spec.remove("scheduling");
    }
}

/// Labels the pods with the job's name and UID, and selects them by the UID. What the user wrote stays: if it is wrong,
/// validation says so.
fn generate_selector(job: &mut Tree) {
    let (name, uid) = (job.text("metadata.name").to_owned(), job.text("metadata.uid").to_owned());
    let Some(spec) = job.object_mut("spec") else { return };
    let labels = spec
        .object_mut("template")
        .and_then(|template| template.object_mut("metadata"))
        .and_then(|metadata| metadata.object_mut("labels"));
    if let Some(labels) = labels {
        NAME_LABELS.iter().for_each(|label| labels.default_value(label, name.as_str()));
        UID_LABELS.iter().for_each(|label| labels.default_value(label, uid.as_str()));
    }
    if let Some(labels) = spec.object_mut("selector").and_then(|selector| selector.object_mut("matchLabels"))
    {
        labels.default_value(UID_LABELS[1], uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_labelled_and_selected() {
        let mut job = json!({
            "metadata": {"name": "pi", "uid": "u1"}, "status": {"active": 3},
            "spec": {"scheduling": {}, "template": {"metadata": {"labels": {"job-name": "mine"}}}},
        });
        create(&mut job);
        let labels = json!({
            "job-name": "mine", "batch.kubernetes.io/job-name": "pi",
            "controller-uid": "u1", "batch.kubernetes.io/controller-uid": "u1",
        });
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}})
        );
        assert_eq!(job["status"], json!({}));
        assert!(!job.has("spec.scheduling"));
        assert_eq!(job["metadata"]["generation"], 1);
    }

    #[test]
    fn a_manual_selector_is_left_alone() {
        let mut job = json!({"spec": {"manualSelector": true, "template": {}}});
        create(&mut job);
        assert_eq!(job["spec"], json!({"manualSelector": true, "template": {}}));
    }
}
