//! Validation of persistent volumes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quantity::Quantity;

use super::sources;
use crate::checks::{immutable, known_word, positive_quantity, subdomain};
use crate::core::podspec::validation::node_selector;
use crate::core::volumes::{check_access_modes, check_volume_mode};
use crate::rules::differs;
use crate::tree::{Read, Write, same};

const INLINE: &str = "may not be specified in the context of inline volumes";
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

/// Sources that take mount options as an annotation.
const TAKE_MOUNT_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];

/// Checks a new volume.
pub(super) fn create(volume: &Tree) -> ErrorList {
    check(volume, false)
}

/// Checks a change: where the data is stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let was_bad = has_bad_label_values(old.at("spec"));
    let mut found = check(new, was_bad);
    let path = Path::new("spec");
    if sources::differ(&without_new_secret(new.at("spec"), old.at("spec")), old.at("spec")) {
        let why = "spec.persistentvolumesource is immutable after creation\n";
        found.push(Error::forbidden(path.child("persistentvolumesource"), why));
    }
    immutable(&mut found, Path::new("volumeMode"), new.at("spec.volumeMode"), old.at("spec.volumeMode"));
    let class = "spec.volumeAttributesClassName";
    if differs(new, old, class) && old.has(class) && !new.has(class) {
        let why = "update from non-nil value to nil is forbidden";
        found.push(Error::forbidden(path.child("volumeAttributesClassName"), why));
    }
    found
}

fn check(volume: &Tree, any_label_value: bool) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (volume.at("spec"), Path::new("spec"));
    modes(&mut found, spec, &path);
    capacity(&mut found, spec, &path.child("capacity"));
    let policy = spec.text("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        let known = ["Delete", "Recycle", "Retain"];
        known_word(&mut found, path.child("persistentVolumeReclaimPolicy"), policy, &known);
    }
    affinity(&mut found, spec, &path.child("nodeAffinity"), any_label_value);
    sources::one(&mut found, spec, volume.text("metadata.name"), &path);
    if policy == "Recycle" && is_root(spec.text("hostPath.path")) {
        let why = "may not be 'recycle' for a hostPath mount of '/'";
        found.push(Error::forbidden(path.child("persistentVolumeReclaimPolicy"), why));
    }
    if !spec.text("storageClassName").is_empty() {
        subdomain(&mut found, &path.child("storageClassName"), spec.text("storageClassName"));
    }
    check_volume_mode(&mut found, spec, &path);
    attributes_class(&mut found, spec, &path);
    let options = Path::new("metadata").child("annotations").child(MOUNT_OPTIONS);
    let takes = TAKE_MOUNT_OPTIONS.iter().any(|kind| spec.has(kind));
    if !takes && volume.at("metadata.annotations").get(MOUNT_OPTIONS).is_some() {
        found.push(Error::forbidden(options, "may not specify mount options for this volume type"));
    }
    found
}

/// Checks a volume's spec that stands within another object instead of a volume: only CSI drivers know such.
pub(crate) fn inline_spec(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let mut refuse = |given: bool, field: &str| {
        if given {
            found.push(Error::forbidden(path.child(field), INLINE));
        }
    };
    refuse(spec.has("claimRef"), "claimRef");
    refuse(spec.entries("capacity").next().is_some(), "capacity");
    if !spec.has("csi") {
        let why = "has to be specified in the context of inline volumes";
        found.push(Error::required(path.child("csi"), why));
    }
    modes(found, spec, path);
    let policy = spec.text("persistentVolumeReclaimPolicy");
    if !matches!(policy, "" | "Retain") {
        let why = "may only be Retain in the context of inline volumes";
        found.push(Error::forbidden(path.child("persistentVolumeReclaimPolicy"), why));
    }
    if spec.has("nodeAffinity") {
        found.push(Error::forbidden(path.child("nodeAffinity"), INLINE));
    }
    sources::one(found, spec, "", path);
    if !spec.text("storageClassName").is_empty() {
        found.push(Error::forbidden(path.child("storageClassName"), INLINE));
    }
    if !matches!(spec.text("volumeMode"), "" | "Filesystem") {
        let why = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        found.push(Error::forbidden(path.child("volumeMode"), why));
    }
}

fn modes(found: &mut ErrorList, spec: &Tree, path: &Path) {
    if spec.items("accessModes").is_empty() {
        found.push(Error::required(path.child("accessModes"), ""));
    }
    check_access_modes(found, spec, path);
}

fn capacity(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let capacity = spec.at("capacity");
    let count = spec.entries("capacity").count();
    if count == 0 {
        found.push(Error::required(path.clone(), ""));
    }
    if capacity.get("storage").is_none() || count > 1 {
        found.push(Error::not_supported(path.clone(), capacity.clone(), &["storage"]));
    }
    for (name, value) in spec.entries("capacity") {
        let amount = Quantity::from_tree(value).unwrap_or_default().value();
        if amount < 0 {
            found.push(Error::invalid(path.key(name), amount, "must be a valid resource quantity"));
        }
        positive_quantity(found, path.key(name), value);
    }
}

fn affinity(found: &mut ErrorList, spec: &Tree, path: &Path, any_label_value: bool) {
    let affinity = spec.at("nodeAffinity");
    if affinity.is_null() {
        return;
    }
    let path = path.child("required");
    if !affinity.has("required") {
        found.push(Error::required(path, "must specify required node constraints"));
        return;
    }
    let mut problems = ErrorList::new();
    node_selector(&mut problems, affinity.at("required"), &path);
    problems.retain(|error| !(any_label_value && is_of_label_value(error)));
    found.append(&mut problems);
}

fn is_of_label_value(error: &Error) -> bool {
    let path = error.path.to_string();
    path.contains(".matchExpressions[") && path.contains(".values[")
}

/// Whether a volume was accepted when upstream did not check the values of its affinity.
fn has_bad_label_values(spec: &Tree) -> bool {
    let mut problems = ErrorList::new();
    node_selector(&mut problems, spec.at("nodeAffinity.required"), &Path::root());
    problems.iter().any(is_of_label_value)
}

fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "." | ".."))
}

fn attributes_class(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let Some(class) = spec.at("volumeAttributesClassName").as_str() else { return };
    let at = path.child("volumeAttributesClassName");
    if class.is_empty() {
        found.push(Error::required(at, "an empty string is disallowed"));
    } else {
        subdomain(found, &at, class);
    }
    if !spec.has("csi") {
        let why = "has to be specified when using volumeAttributesClassName";
        found.push(Error::required(path.child("csi"), why));
    }
}

/// The spec as it is compared with the old one: a secret for expansion may be added later.
fn without_new_secret(new: &Tree, old: &Tree) -> Tree {
    const SECRET: &str = "controllerExpandSecretRef";
    let mut new = new.clone();
    if old.has("csi")
        && same(old.at("csi").at(SECRET), &Tree::Null)
        && let Some(csi) = new.part_mut("csi")
    {
        csi.remove(SECRET);
    }
    new
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
