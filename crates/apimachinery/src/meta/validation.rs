//! The rules for the metadata of every object (`k8s.io/apimachinery/pkg/api/validation`).

use serde_json::json;

use super::{Object, equivalent, strings};
use crate::Tree;
use crate::field::{Error, ErrorList, Path};
use crate::gvk::GroupVersion;
use crate::labels::validate_labels;
use crate::names::{dns1123_label_problems, qualified_name_problems};
use crate::quote::{is_printable, quote};

const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
const FIELD_MANAGER_MAX_BYTES: usize = 128;
const SUBRESOURCE_MAX_BYTES: usize = 256;
const IMMUTABLE: &str = "field is immutable";

/// A kind's rule for names: the problems of a name, or (second argument) of a prefix that gets letters after it.
pub type NameRule<'a> = &'a dyn Fn(&str, bool) -> Vec<String>;

/// The problems of a new object's metadata. Its name must have been generated already.
pub fn validate_create(object: &Tree, namespaced: bool, name_rule: NameRule<'_>) -> ErrorList {
    let path = Path::new("metadata");
    let mut found = ErrorList::new();
    let prefix = object.generate_name();
    if !prefix.is_empty() {
        found.extend(invalid(&path.child("generateName"), prefix, name_rule(prefix, true)));
    }
    let name = object.name();
    if name.is_empty() {
        found.push(Error::required(path.child("name"), "name or generateName is required"));
    } else {
        found.extend(invalid(&path.child("name"), name, name_rule(name, false)));
    }
    let namespace = object.namespace();
    let at = path.child("namespace");
    match (namespaced, namespace.is_empty()) {
        (true, true) => found.push(Error::required(at, "")),
        (true, false) => found.extend(invalid(&at, namespace, dns1123_label_problems(namespace, false))),
        (false, true) => {}
        (false, false) => found.push(Error::forbidden(at, "not allowed on this type")),
    }
    found.extend(generation_problem(object, &path));
    found.extend(validate_labels(object.at("metadata.labels"), &path.child("labels")));
    found.extend(validate_annotations(object.at("metadata.annotations"), &path.child("annotations")));
    found.extend(validate_owner_references(object.owner_references(), &path.child("ownerReferences")));
    found.extend(validate_finalizers(object.items_at("metadata.finalizers"), &path.child("finalizers")));
    found.extend(validate_managed_fields(
        object.items_at("metadata.managedFields"),
        &path.child("managedFields"),
    ));
    found
}

/// The problems of an update's metadata.
pub fn validate_update(new: &Tree, old: &Tree) -> ErrorList {
    let path = Path::new("metadata");
    let mut found = ErrorList::new();
    if old.is_deleting() {
        found.extend(new_finalizers_problem(new, old, &path));
    }
    if new.resource_version().is_empty() {
        let why = "must be specified for an update";
        found.push(Error::invalid(path.child("resourceVersion"), "", why));
    }
    found.extend(generation_problem(new, &path));
    if new.generation() < old.generation() {
        found.push(Error::invalid(path.child("generation"), new.generation(), "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        found.extend(immutable_problem(new, old, &path, field, json!("")));
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        found.extend(immutable_problem(new, old, &path, field, Tree::Null));
    }
    found.extend(validate_labels(new.at("metadata.labels"), &path.child("labels")));
    found.extend(validate_annotations(new.at("metadata.annotations"), &path.child("annotations")));
    found.extend(validate_owner_references(new.owner_references(), &path.child("ownerReferences")));
    found.extend(validate_managed_fields(
        new.items_at("metadata.managedFields"),
        &path.child("managedFields"),
    ));
    found
}

fn invalid(path: &Path, value: &str, problems: Vec<String>) -> ErrorList {
    problems.into_iter().map(|why| Error::invalid(path.clone(), value, why)).collect()
}

fn generation_problem(object: &Tree, path: &Path) -> Option<Error> {
    let generation = object.generation();
    let why = "must be greater than or equal to 0";
    (generation < 0).then(|| Error::invalid(path.child("generation"), generation, why))
}

fn immutable_problem(new: &Tree, old: &Tree, path: &Path, field: &str, absent: Tree) -> Option<Error> {
    let of = |tree: &Tree| tree.at(&format!("metadata.{field}")).cloned().unwrap_or_else(|| absent.clone());
    let (new, old) = (of(new), of(old));
    (!equivalent(Some(&new), Some(&old))).then(|| Error::invalid(path.child(field), new, IMMUTABLE))
}

fn new_finalizers_problem(new: &Tree, old: &Tree, path: &Path) -> Option<Error> {
    let mut extra: Vec<&str> = new.finalizers().filter(|finalizer| !old.has_finalizer(finalizer)).collect();
    extra.sort_unstable();
    extra.dedup();
    if extra.is_empty() {
        return None;
    }
    let list: Vec<String> = extra.iter().map(|finalizer| quote(finalizer)).collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        list.join(", ")
    );
    Some(Error::forbidden(path.child("finalizers"), why))
}

/// The problems of annotations: keys are qualified names whatever their case, and all together have a size limit.
pub fn validate_annotations(annotations: Option<&Tree>, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    let mut bytes = 0;
    for (key, value) in strings(annotations) {
        found.extend(invalid(path, key, qualified_name_problems(&key.to_lowercase())));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        found.push(Error::too_long(path.clone(), ANNOTATIONS_MAX_BYTES));
    }
    found
}

/// The problems of owner references; only one may be the controller.
pub fn validate_owner_references(owners: &[Tree], path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    let mut controller: Option<String> = None;
    for (i, owner) in owners.iter().enumerate() {
        found.extend(owner_problems(owner, &path.index(i)));
        if owner.bool_at("controller") != Some(true) {
            continue;
        }
        let this = format!("{}/{}", owner.kind(), owner.str_at("name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                found.push(Error::invalid(path.clone(), owners.to_vec(), why));
            }
        }
    }
    found
}

fn owner_problems(owner: &Tree, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    let api_version = owner.api_version();
    let group_version = api_version.parse::<GroupVersion>().unwrap_or_default();
    if api_version.is_empty() {
        found.push(Error::required(path.child("apiVersion"), "must not be empty"));
    } else if group_version.version.is_empty() {
        let why = "must be <group>/<version> or <version>";
        found.push(Error::invalid(path.child("apiVersion"), api_version, why));
    }
    for field in ["kind", "name", "uid"] {
        if owner.str_at(field).is_empty() {
            found.push(Error::required(path.child(field), "must not be empty"));
        }
    }
    if api_version == "v1" && owner.kind() == "Event" {
        let why = "/v1, Kind=Event is disallowed from being an owner";
        found.push(Error::invalid(path.clone(), owner.clone(), why));
    }
    found
}

/// The problems of finalizers.
pub fn validate_finalizers(finalizers: &[Tree], path: &Path) -> ErrorList {
    let names: Vec<&str> = finalizers.iter().filter_map(Tree::as_str).collect();
    let mut found: ErrorList =
        names.iter().flat_map(|name| invalid(path, name, qualified_name_problems(name))).collect();
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        found.push(Error::invalid(path.clone(), finalizers.to_vec(), why));
    }
    found
}

/// The problems of the outside of managed fields entries; their inside is read by server-side apply.
pub fn validate_managed_fields(entries: &[Tree], path: &Path) -> ErrorList {
    entries.iter().enumerate().flat_map(|(i, entry)| managed_fields_problems(entry, &path.index(i))).collect()
}

fn managed_fields_problems(entry: &Tree, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    match entry.str_at("operation") {
        "Apply" | "Update" => {}
        "" => found.push(Error::required(path.child("operation"), "must not be empty")),
        other => found.push(Error::not_supported(path.child("operation"), other, &["Apply", "Update"])),
    }
    let fields_type = entry.str_at("fieldsType");
    if !matches!(fields_type, "" | "FieldsV1") {
        found.push(Error::invalid(path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
    }
    found.extend(validate_field_manager(entry.str_at("manager"), &path.child("manager")));
    if entry.str_at("subresource").len() > SUBRESOURCE_MAX_BYTES {
        found.push(Error::too_long(path.child("subresource"), SUBRESOURCE_MAX_BYTES));
    }
    found
}

/// The problems of a field manager's name.
pub fn validate_field_manager(manager: &str, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        found.push(Error::too_long(path.clone(), FIELD_MANAGER_MAX_BYTES));
    }
    for (at, c) in manager.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
        found.push(Error::invalid(path.clone(), manager, why));
    }
    found
}
