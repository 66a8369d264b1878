//! Defaults of persistent volumes.

use steersman_apimachinery::Tree;

use crate::tree::Write;

/// Strings that a source gets if they are empty.
const SOURCE_TEXTS: &[(&str, &[(&str, &str)])] = &[
    ("rbd", &[("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")]),
    ("iscsi", &[("iscsiInterface", "default")]),
    ("scaleIO", &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")]),
];

/// Completes a volume.
pub(super) fn volume(tree: &mut Tree) {
    if let Some(status) = tree.object_mut("status") {
        status.default_text("phase", "Pending");
    }
    if let Some(spec) = tree.object_mut("spec") {
        spec.default_text("persistentVolumeReclaimPolicy", "Retain");
        spec.default_value("volumeMode", "Filesystem");
        source(spec);
    }
}

fn source(spec: &mut Tree) {
    if let Some(path) = spec.part_mut("hostPath") {
        path.default_value("type", "");
    }
    for (kind, fields) in SOURCE_TEXTS {
        if let Some(source) = spec.part_mut(kind) {
            fields.iter().for_each(|(field, value)| source.default_text(field, value));
        }
    }
    if let Some(disk) = spec.part_mut("azureDisk") {
        disk.default_value("cachingMode", "ReadWrite");
        disk.default_value("fsType", "ext4");
        disk.default_value("readOnly", false);
        disk.default_value("kind", "Shared");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_are_completed() {
        let cases = [
            (json!({"hostPath": {"path": "/"}}), json!({"hostPath": {"path": "/", "type": ""}})),
            (json!({"iscsi": {}}), json!({"iscsi": {"iscsiInterface": "default"}})),
            (
                json!({"rbd": {"pool": "p"}}),
                json!({"rbd": {"pool": "p", "user": "admin", "keyring": "/etc/ceph/keyring"}}),
            ),
            (
                json!({"azureDisk": {"kind": "Managed"}}),
                json!({"azureDisk": {"kind": "Managed", "cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": false}}),
            ),
        ];
        for (spec, mut want) in cases {
            let mut tree = json!({"spec": spec});
            volume(&mut tree);
            want["persistentVolumeReclaimPolicy"] = json!("Retain");
            want["volumeMode"] = json!("Filesystem");
            assert_eq!(tree, json!({"spec": want, "status": {"phase": "Pending"}}));
        }
    }
}
