//! What persistent volumes and their claims share.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::known_word;
use crate::tree::Read;

/// Where the class of a volume or a claim was written before it had a field.
pub(crate) const OLD_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The access modes, in the order in which they print.
const MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", ONLY_POD_SHORT),
];
const ONLY_POD: &str = "ReadWriteOncePod";
const ONLY_POD_SHORT: &str = "RWOP";

/// Access modes as `kubectl get` shows them.
pub(crate) fn access_modes(given: &[&str]) -> String {
    let short = MODES.iter().filter(|(mode, _)| given.contains(mode)).map(|(_, short)| *short);
    short.collect::<Vec<_>>().join(",")
}

/// The class of a volume or a claim.
pub(crate) fn class_of(object: &Tree) -> &str {
    let annotation = object.at("metadata.annotations").get(OLD_CLASS_ANNOTATION).and_then(Tree::as_str);
    annotation.unwrap_or_else(|| object.text("spec.storageClassName"))
}

/// The phase of a volume or a claim as `kubectl get` shows it.
pub(crate) fn phase(object: &Tree) -> &str {
    match object.has("metadata.deletionTimestamp") {
        true => "Terminating",
        false => object.text("status.phase"),
    }
}

/// What the list `accessModes` says, if it is not empty.
pub(crate) fn check_access_modes(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let path = path.child("accessModes");
    let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", ONLY_POD];
    let given = spec.texts("accessModes");
    for mode in &given {
        known_word(found, path.clone(), mode, &known);
    }
    let shared = given.iter().any(|mode| *mode != ONLY_POD && known.contains(mode));
    if given.contains(&ONLY_POD) && shared {
        found.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// The field `volumeMode`.
pub(crate) fn check_volume_mode(found: &mut ErrorList, spec: &Tree, path: &Path) {
    if spec.has("volumeMode") {
        known_word(found, path.child("volumeMode"), spec.text("volumeMode"), &["Block", "Filesystem"]);
    }
}
