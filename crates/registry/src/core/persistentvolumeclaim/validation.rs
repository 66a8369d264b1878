//! Validation of persistent volume claims.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;
use steersman_apimachinery::names::qualified_name_problems;
use steersman_apimachinery::quantity::Quantity;

use super::datasource;
use crate::checks::{IMMUTABLE, immutable, invalid};
use crate::core::claimspec;
use crate::core::podspec::validation::{is_native_resource, resource_quantity};
use crate::core::volumes::OLD_CLASS_ANNOTATION;
use crate::rules::differs;
use crate::tree::{Read, Write, same};

const RESIZE: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// Checks a new claim.
pub(super) fn create(claim: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    claimspec::validate(&mut found, claim.at("spec"), &Path::new("spec"));
    found
}

/// Checks a change: a bound claim may ask for more space and for other attributes, and for nothing else.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (path, before) = (Path::new("spec"), old.at("spec"));
    claimspec::validate(&mut found, new.at("spec"), &path);
    // What was accepted once stays, though it would be refused today.
    let any_label = !validate_label_selector(before.at("selector"), &path).is_empty();
    let any_group = before.has("dataSource.apiGroup") || before.has("dataSourceRef.apiGroup");
    found.retain(|error| {
        let place = error.path.to_string();
        let label = place.contains(".selector.") && place.contains(".values[");
        let group = place.starts_with("spec.dataSource") && place.ends_with(".apiGroup");
        !(any_label && label || any_group && group)
    });
    class_annotation(&mut found, new, old);
    if !same(&comparable(new, old), &comparable_old(new, old)) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                   bound claims\n";
        found.push(Error::forbidden(path.clone(), why));
    }
    let (size, old_size) = (asked(new), asked(old));
    if size < old_size && size <= amount(old.at("status.capacity").get("storage")) {
        let path = path.child("resources").child("requests").child("storage");
        found.push(Error::forbidden(path, "field can not be less than status.capacity"));
    }
    immutable(&mut found, Path::new("volumeMode"), new.at("spec.volumeMode"), old.at("spec.volumeMode"));
    attributes_class(&mut found, new, old, path.child("volumeAttributesClassName"));
    found
}

/// Checks a report of the binder or of a driver.
pub(super) fn status(new: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    if new.items("spec.accessModes").is_empty() {
        found.push(Error::required(Path::new("Spec").child("accessModes"), ""));
    }
    for (name, value) in status.entries("capacity") {
        not_below_zero(&mut found, value, path.child("capacity").key(name));
    }
    let at = path.child("allocatedResourceStatuses");
    for (name, value) in status.entries("allocatedResourceStatuses") {
        resource_key(&mut found, name, &at);
        if !RESIZE.contains(&value.as_str().unwrap_or_default()) {
            found.push(Error::not_supported_in_order(at.clone(), name, &RESIZE));
        }
    }
    let at = path.child("allocatedResources");
    for (name, value) in status.entries("allocatedResources") {
        if resource_key(&mut found, name, &at) && not_below_zero(&mut found, value, at.key(name)) {
            resource_quantity(&mut found, "storage", value, &at.key(name));
        }
    }
    found
}

/// The class may move from its old annotation to its field.
fn moves_class(new: &Tree, old: &Tree) -> bool {
    let (before, now) = (annotation(old), annotation(new));
    before.is_some()
        && !old.has("spec.storageClassName")
        && new.at("spec.storageClassName").as_str() == before
        && (now.is_none() || now == before)
}

fn annotation(claim: &Tree) -> Option<&str> {
    claim.at("metadata.annotations").get(OLD_CLASS_ANNOTATION).and_then(Tree::as_str)
}

fn class_annotation(found: &mut ErrorList, new: &Tree, old: &Tree) {
    let (now, before) = (annotation(new).unwrap_or_default(), annotation(old).unwrap_or_default());
    if !moves_class(new, old) && now != before {
        let path = Path::new("metadata").child("annotations").child(OLD_CLASS_ANNOTATION);
        found.push(Error::invalid(path, now, IMMUTABLE));
    }
}

/// The new spec without what may change.
fn comparable(new: &Tree, old: &Tree) -> Tree {
    let mut spec = settled(new);
    let class = "storageClassName";
    if moves_class(new, old) {
        spec.remove(class);
    } else if new.has("spec.storageClassName")
        && !old.has("spec.storageClassName")
        && annotation(old).is_none_or(|before| before == new.text("spec.storageClassName"))
    {
        spec.copy(old.at("spec"), class);
    }
    if new.text("status.phase") == "Bound" {
        let size = settled(old);
        if let Some(requests) = spec.part_mut("resources").and_then(|r| r.part_mut("requests")) {
            requests.copy(size.at("resources.requests"), "storage");
        }
        spec.copy(old.at("spec"), "volumeAttributesClassName");
    }
    spec
}

/// The old spec, with the volume that the binder chose.
fn comparable_old(new: &Tree, old: &Tree) -> Tree {
    let mut spec = settled(old);
    if old.text("spec.volumeName").is_empty() {
        spec.copy(new.at("spec"), "volumeName");
    }
    spec
}

/// A spec with both data sources and with amounts in one form.
fn settled(claim: &Tree) -> Tree {
    let mut spec = claim.at("spec").clone();
    datasource::agree(&mut spec);
    for part in ["requests", "limits"] {
        let amounts = spec.part_mut("resources").and_then(|resources| resources.part_mut(part));
        for value in amounts.and_then(Tree::as_object_mut).into_iter().flat_map(|map| map.values_mut()) {
            if let Ok(amount) = Quantity::from_tree(value) {
                *value = amount.milli_value().into();
            }
        }
    }
    spec
}

fn attributes_class(found: &mut ErrorList, new: &Tree, old: &Tree, path: Path) {
    let class = "spec.volumeAttributesClassName";
    if !differs(new, old, class) || !old.has("status.currentVolumeAttributesClassName") {
        return;
    }
    let to = match new.at(class).as_str() {
        None => "nil",
        Some("") => "empty string",
        Some(_) => return,
    };
    let why = format!("update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil");
    found.push(Error::forbidden(path, why));
}

fn asked(claim: &Tree) -> Quantity {
    amount(claim.at("spec.resources.requests").get("storage"))
}

fn amount(value: Option<&Tree>) -> Quantity {
    value.and_then(|value| Quantity::from_tree(value).ok()).unwrap_or_default()
}

/// Whether an amount is one.
fn not_below_zero(found: &mut ErrorList, value: &Tree, path: Path) -> bool {
    let whole = amount(Some(value)).value();
    if whole < 0 {
        found.push(Error::invalid(path, whole, "must be a valid resource quantity"));
    }
    whole >= 0
}

/// The name of something that a claim can be given more of; whether it is one.
fn resource_key(found: &mut ErrorList, name: &str, path: &Path) -> bool {
    let problems = qualified_name_problems(name);
    let named = problems.is_empty();
    invalid(found, path, name, problems);
    if named && is_native_resource(name) && name != "storage" {
        found.push(Error::not_supported(path.clone(), name, &["storage"]));
        return false;
    }
    named
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
