//! What the server sets on pods, and which part of a pod each subresource may change.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::qos::qos_class;
use crate::rules::{count_generation, differs, keep_metadata, set_generation};
use crate::tree::{Read, Write};

/// A new pod is pending, whatever its maker says.
pub(super) fn create(pod: &mut Tree) {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(pod.at("spec"))});
    if !pod.items("spec.schedulingGates").is_empty() {
        status.set("conditions", json!([gated()]));
    }
    pod.set("status", status);
    set_generation(pod, 1);
}

/// The condition of a pod that the scheduler must not look at yet.
fn gated() -> Tree {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
        "lastProbeTime": null, "lastTransitionTime": null,
    })
}

/// Lets an update change only what its subresource may.
pub(super) fn update(new: &mut Tree, old: &Tree, subresource: Option<&str>) {
    match subresource {
        Some("status") => status(new, old),
        Some("ephemeralcontainers") => {
            only(new, old, |spec, wanted| spec.copy(wanted, "ephemeralContainers"))
        }
        Some("resize") => only(new, old, resize),
        _ => new.copy(old, "status"),
    }
    let changed = differs(new, old, "spec");
    count_generation(new, old, changed);
}

fn status(new: &mut Tree, old: &Tree) {
    new.copy(old, "spec");
    // Older kubelets send owner references back damaged.
    keep_metadata(new, old, "ownerReferences");
    if let Some(status) = new.object_mut("status") {
        status.default_text("qosClass", old.text("status.qosClass"));
    }
}

/// Takes the stored pod and lets `take` carry some of the wanted spec over into it.
fn only(new: &mut Tree, old: &Tree, take: impl Fn(&mut Tree, &Tree)) {
    let wanted = new.at("spec").clone();
    let version = new.at("metadata.resourceVersion").clone();
    let managed = new.at("metadata").clone();
    *new = old.clone();
    if let Some(metadata) = new.part_mut("metadata") {
        metadata.set("resourceVersion", version);
        metadata.copy(&managed, "managedFields");
    }
    if let Some(spec) = new.part_mut("spec") {
        take(spec, &wanted);
    }
}

/// Resources and their resize policy, of the containers that exist.
fn resize(spec: &mut Tree, wanted: &Tree) {
    for list in ["containers", "initContainers"] {
        for container in spec.items_mut(list) {
            let name = container.text("name").to_owned();
            if let Some(wanted) = wanted.items(list).iter().find(|c| c.text("name") == name) {
                container.copy(wanted, "resources");
                container.copy(wanted, "resizePolicy");
            }
        }
    }
    spec.copy(wanted, "resources");
}

/// Seconds between the request to delete and the end: nothing to wait for if no kubelet has the pod or it is over.
pub(super) fn grace_period_seconds(pod: &Tree, asked: Option<i64>) -> i64 {
    let unscheduled = pod.text("spec.nodeName").is_empty();
    let over = matches!(pod.text("status.phase"), "Succeeded" | "Failed");
    match asked.or(pod.int("spec.terminationGracePeriodSeconds")).unwrap_or(0) {
        _ if unscheduled || over => 0,
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Tree {
        json!({
            "metadata": {"name": "p", "generation": 3, "resourceVersion": "7", "ownerReferences": [{"uid": "u"}]},
            "spec": {"nodeName": "n", "containers": [{"name": "a", "image": "x", "resources": {}}]},
            "status": {"phase": "Running", "qosClass": "BestEffort"},
        })
    }

    #[test]
    fn new_pods_are_pending() {
        let mut pod = json!({"metadata": {"generation": 9}, "spec": {"schedulingGates": [{"name": "g"}]},
            "status": {"phase": "Running"}});
        create(&mut pod);
        assert_eq!(pod["status"]["phase"], "Pending");
        assert_eq!(pod["status"]["qosClass"], "BestEffort");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated");
        assert_eq!(pod["metadata"]["generation"], 1);
    }

    #[test]
    fn each_subresource_changes_its_part_only() {
        let mut wanted = stored();
        wanted["metadata"]["generation"] = json!(100);
        wanted["metadata"]["ownerReferences"] = json!([]);
        wanted["spec"]["containers"][0] =
            json!({"name": "a", "image": "y", "resources": {"limits": {"cpu": "1"}}});
        wanted["spec"]["ephemeralContainers"] = json!([{"name": "debug"}]);
        wanted["status"] = json!({"phase": "Failed"});
        let image = "/spec/containers/0/image";
        let cpu = "/spec/containers/0/resources/limits/cpu";
        // subresource, generation, image, cpu limit, phase, has a debug container
        let cases = [
            (None, 4, "y", Some("1"), "Running", true),
            (Some("status"), 3, "x", None, "Failed", false),
            (Some("ephemeralcontainers"), 4, "x", None, "Running", true),
            (Some("resize"), 4, "x", Some("1"), "Running", false),
        ];
        for (subresource, generation, want_image, want_cpu, phase, debug) in cases {
            let mut new = wanted.clone();
            update(&mut new, &stored(), subresource);
            assert_eq!(new["metadata"]["generation"], generation, "{subresource:?}");
            assert_eq!(new.pointer(image).and_then(Tree::as_str), Some(want_image), "{subresource:?}");
            assert_eq!(new.pointer(cpu).and_then(Tree::as_str), want_cpu, "{subresource:?}");
            assert_eq!(new["status"]["phase"], phase, "{subresource:?}");
            assert_eq!(new["status"]["qosClass"], "BestEffort", "{subresource:?}");
            assert_eq!(new.has("spec.ephemeralContainers"), debug, "{subresource:?}");
        }
    }

    #[test]
    fn grace_follows_the_pods_state() {
        let scheduled = |phase| {
            json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30},
            "status": {"phase": phase}})
        };
        let cases = [
            (scheduled("Running"), None, 30),
            (scheduled("Running"), Some(5), 5),
            (scheduled("Running"), Some(0), 0),
            (scheduled("Running"), Some(-3), 1),
            (scheduled("Succeeded"), Some(5), 0),
            (json!({"spec": {"terminationGracePeriodSeconds": 30}}), Some(5), 0),
        ];
        for (pod, asked, want) in cases {
            assert_eq!(grace_period_seconds(&pod, asked), want, "{pod} {asked:?}");
        }
    }
}
