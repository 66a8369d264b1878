//! Each case changes one field of a valid claim and names the problems that upstream reports then.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn claim() -> Value {
    json!({
        "metadata": {"name": "c"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem",
            "storageClassName": "fast",
        },
        "status": {"phase": "Pending"},
    })
}

fn bound() -> Value {
    let mut claim = claim();
    claim["spec"]["volumeName"] = json!("v");
    claim["spec"]["volumeAttributesClassName"] = json!("gold");
    claim["status"] = json!({
        "phase": "Bound", "capacity": {"storage": "512Mi"}, "currentVolumeAttributesClassName": "gold",
    });
    claim
}

const STAYS: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";

#[test]
fn claims_are_checked_as_their_specs_are() {
    let cases = [
        (
            "/spec/accessModes",
            json!([]),
            vec!["spec.accessModes: Required value: at least 1 access mode is required"],
        ),
        ("/spec/resources/requests", json!({}), vec!["spec.resources[storage]: Required value"]),
    ];
    assert_problems(&claim(), create, cases);
}

#[test]
fn what_was_accepted_once_stays() {
    let mut old = claim();
    old["spec"]["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]});
    old["spec"]["dataSourceRef"] = json!({"apiGroup": "-", "kind": "K", "name": "n"});
    assert_eq!(texts(&create(&old)).len(), 2);
    assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
}

#[test]
fn a_bound_claim_may_grow_and_nothing_else() {
    let old = bound();
    let cases = [
        ("/spec/resources/requests/storage", json!("2Gi"), vec![]),
        ("/spec/resources/requests/storage", json!("1024Mi"), vec![]),
        ("/spec/resources/requests/storage", json!("600Mi"), vec![]),
        (
            "/spec/resources/requests/storage",
            json!("512Mi"),
            vec!["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
        ),
        ("/spec/resources/limits/storage", json!("2Gi"), vec![STAYS]),
        ("/spec/volumeName", json!("w"), vec![STAYS]),
        ("/spec/storageClassName", json!("slow"), vec![STAYS]),
        (
            "/spec/volumeMode",
            json!("Block"),
            vec![STAYS, "volumeMode: Invalid value: \"Block\": field is immutable"],
        ),
        ("/spec/volumeAttributesClassName", json!("silver"), vec![]),
        (
            "/spec/volumeAttributesClassName",
            json!(null),
            vec![
                "spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil",
            ],
        ),
        (
            "/spec/volumeAttributesClassName",
            json!(""),
            vec![
                "spec.volumeAttributesClassName: Forbidden: update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil",
            ],
        ),
        (
            "/metadata/annotations",
            json!({OLD_CLASS_ANNOTATION: "x"}),
            vec![
                "metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: \"x\": field is immutable",
            ],
        ),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
}

#[test]
fn a_pending_claim_gets_its_volume_and_class_once() {
    let mut old = claim();
    old["spec"]["storageClassName"] = json!(null);
    let cases = [
        ("/spec/volumeName", json!("v"), vec![]),
        ("/spec/storageClassName", json!("fast"), vec![]),
        ("/spec/resources/requests/storage", json!("2Gi"), vec![STAYS]),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
    old["metadata"]["annotations"] = json!({OLD_CLASS_ANNOTATION: "fast"});
    let cases = [
        ("/spec/storageClassName", json!("fast"), vec![]),
        ("/spec/storageClassName", json!("slow"), vec![STAYS]),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
    let mut moved = claim();
    moved["metadata"]["annotations"] = json!({});
    assert_eq!(texts(&update(&moved, &old)), Vec::<String>::new());
}

#[test]
fn reports_speak_of_storage() {
    let good = json!({
        "spec": {"accessModes": ["ReadWriteOnce"]},
        "status": {
            "capacity": {"storage": "1Gi"}, "allocatedResources": {"storage": "2Gi"},
            "allocatedResourceStatuses": {"storage": "NodeResizePending"},
        },
    });
    let cases = [
        ("/spec/accessModes", json!([]), vec!["Spec.accessModes: Required value"]),
        (
            "/status/capacity/storage",
            json!("-1"),
            vec!["status.capacity[storage]: Invalid value: -1: must be a valid resource quantity"],
        ),
        (
            "/status/allocatedResources/storage",
            json!("-1"),
            vec!["status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity"],
        ),
        (
            "/status/allocatedResources/cpu",
            json!("1"),
            vec!["status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\""],
        ),
        (
            "/status/allocatedResourceStatuses/storage",
            json!("Done"),
            vec![
                "status.allocatedResourceStatuses: Unsupported value: \"storage\": supported values: \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"",
            ],
        ),
    ];
    assert_problems(&good, status, cases);
}
