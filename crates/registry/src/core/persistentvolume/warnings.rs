//! What the server warns of in persistent volumes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Path;

use crate::core::podspec::warnings::old_label;
use crate::core::volumes::OLD_CLASS_ANNOTATION;
use crate::tree::Read;

const OLD_ANNOTATIONS: [(&str, &str); 2] = [
    (OLD_CLASS_ANNOTATION, "deprecated since v1.8; use \"storageClassName\" attribute instead"),
    (
        "volume.beta.kubernetes.io/mount-options",
        "deprecated since v1.31; use \"mountOptions\" attribute instead",
    ),
];

/// Sources that nothing serves any more: the field, how upstream's message spells it, and since when.
const OLD_SOURCES: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warnings of a volume.
pub(super) fn volume(volume: &Tree) -> Vec<String> {
    let (spec, path) = (volume.at("spec"), Path::new("spec"));
    let mut warnings = Vec::new();
    for (annotation, why) in OLD_ANNOTATIONS {
        if volume.at("metadata.annotations").get(annotation).is_some() {
            let path = Path::new("metadata").child("annotations").key(annotation);
            warnings.push(format!("{path}: {why}"));
        }
    }
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        warnings.push(format!(
            "{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic \
             provisioning.",
            path.child("persistentVolumeReclaimPolicy")
        ));
    }
    let terms = path.child("nodeAffinity").child("required").child("nodeSelectorTerms");
    for (index, term) in spec.items("nodeAffinity.required.nodeSelectorTerms").iter().enumerate() {
        let path = terms.index(index).child("matchExpressions");
        for (index, rule) in term.items("matchExpressions").iter().enumerate() {
            let key = rule.text("key");
            if let Some(why) = old_label(key) {
                warnings.push(format!("{}: {key} is {why}", path.index(index).child("key")));
            }
        }
    }
    for (field, shown, why) in OLD_SOURCES {
        if spec.has(field) {
            warnings.push(format!("{}: {why}", path.child(shown)));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_old_is_warned_of() {
        let object = json!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}},
            "spec": {
                "persistentVolumeReclaimPolicy": "Recycle", "storageos": {},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "Exists"}]}]}},
            },
        });
        let want = [
            "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
            "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
        ];
        assert_eq!(volume(&object), want);
    }
}
