//! Each case changes one field of a valid volume and names the problems that upstream reports then.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn volume() -> Value {
    json!({
        "metadata": {"name": "v"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Recycle", "storageClassName": "fast",
            "hostPath": {"path": "/data", "type": ""},
        },
    })
}

fn csi() -> Value {
    let mut volume = volume();
    volume["spec"]["hostPath"] = json!(null);
    volume["spec"]["csi"] = json!({"driver": "d", "volumeHandle": "h"});
    volume["spec"]["volumeAttributesClassName"] = json!("gold");
    volume
}

#[test]
fn problems_read_as_upstream_words_them() {
    let cases = [
        ("/spec/accessModes", json!([]), vec!["spec.accessModes: Required value"]),
        (
            "/spec/accessModes/1",
            json!("Never"),
            vec![
                "spec.accessModes: Unsupported value: \"Never\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ],
        ),
        (
            "/spec/accessModes/1",
            json!("ReadWriteOncePod"),
            vec!["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
        ),
        (
            "/spec/capacity",
            json!(null),
            vec![
                "spec.capacity: Required value",
                "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            ],
        ),
        (
            "/spec/capacity/cpu",
            json!("1"),
            vec![
                "spec.capacity: Unsupported value: {\"cpu\":\"1\",\"storage\":\"1Gi\"}: supported values: \"storage\"",
            ],
        ),
        (
            "/spec/capacity/storage",
            json!("-1"),
            vec![
                "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                "spec.capacity[storage]: Invalid value: \"-1\": must be greater than zero",
            ],
        ),
        (
            "/spec/persistentVolumeReclaimPolicy",
            json!("Burn"),
            vec![
                "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Burn\": supported values: \"Delete\", \"Recycle\", \"Retain\"",
            ],
        ),
        (
            "/spec/nodeAffinity",
            json!({}),
            vec!["spec.nodeAffinity.required: Required value: must specify required node constraints"],
        ),
        (
            "/spec/nodeAffinity",
            json!({"required": {"nodeSelectorTerms": []}}),
            vec![
                "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term",
            ],
        ),
        (
            "/spec/hostPath/path",
            json!("//."),
            vec![
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            ],
        ),
        (
            "/spec/volumeMode",
            json!("Tape"),
            vec!["spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\""],
        ),
        (
            "/spec/volumeAttributesClassName",
            json!(""),
            vec![
                "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
                "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
            ],
        ),
        (
            "/metadata/annotations",
            json!({MOUNT_OPTIONS: "ro"}),
            vec![
                "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type",
            ],
        ),
    ];
    assert_problems(&volume(), create, cases);
    let mut named = volume();
    named["spec"]["storageClassName"] = json!("A");
    let got = texts(&create(&named));
    assert!(
        got[0].starts_with("spec.storageClassName: Invalid value: \"A\": a lowercase RFC 1123 subdomain")
    );
}

#[test]
fn inline_volumes_are_of_csi_only() {
    let check = |spec: &Tree| {
        let mut found = ErrorList::new();
        inline_spec(&mut found, spec, &Path::new("v"));
        found
    };
    let good = json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}});
    let cases = [
        (
            "/claimRef",
            json!({}),
            vec!["v.claimRef: Forbidden: may not be specified in the context of inline volumes"],
        ),
        (
            "/capacity",
            json!({"storage": "1"}),
            vec!["v.capacity: Forbidden: may not be specified in the context of inline volumes"],
        ),
        (
            "/csi",
            json!(null),
            vec![
                "v.csi: Required value: has to be specified in the context of inline volumes",
                "v: Required value: must specify a volume type",
            ],
        ),
        (
            "/persistentVolumeReclaimPolicy",
            json!("Delete"),
            vec![
                "v.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
            ],
        ),
        (
            "/nodeAffinity",
            json!({}),
            vec!["v.nodeAffinity: Forbidden: may not be specified in the context of inline volumes"],
        ),
        (
            "/volumeMode",
            json!("Block"),
            vec![
                "v.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes",
            ],
        ),
    ];
    assert_problems(&good, check, cases);
}

#[test]
fn where_the_data_is_stays() {
    let old = csi();
    let cases = [
        (
            "/spec/csi/volumeHandle",
            json!("i"),
            vec![
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n",
            ],
        ),
        ("/spec/csi/controllerExpandSecretRef", json!({"name": "a", "namespace": "b"}), vec![]),
        (
            "/spec/volumeMode",
            json!("Block"),
            vec!["volumeMode: Invalid value: \"Block\": field is immutable"],
        ),
        (
            "/spec/volumeAttributesClassName",
            json!(null),
            vec!["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"],
        ),
        ("/spec/volumeAttributesClassName", json!("silver"), vec![]),
        ("/spec/capacity/storage", json!("2Gi"), vec![]),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
}

#[test]
fn label_values_that_were_accepted_once_stay() {
    let mut old = csi();
    old["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["-"]}]}]}});
    assert_eq!(texts(&create(&old)).len(), 1);
    assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
    assert_eq!(texts(&update(&old, &csi())).len(), 1);
}
