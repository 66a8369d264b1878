//! `ObjectMeta` read and written in place, on the tree: [`Object`] for reading, [`ObjectMut`] for writing, and what
//! the server does to the metadata of every object.
//!
//! Readers are lenient: what is absent, null or of the wrong type reads as empty. Paths are field names joined by
//! dots (`spec.template.metadata`); keys of maps, which may hold dots themselves, have methods of their own.

mod lifecycle;
mod validation;

use serde_json::{Map, Value};

use crate::Tree;
use crate::gvk::{GroupVersion, GroupVersionKind};

pub use lifecycle::{fill_for_create, fill_for_update};
pub use validation::{
    validate_annotations, validate_create, validate_field_manager, validate_finalizers,
    validate_managed_fields, validate_owner_references, validate_update,
};

/// Reading an object.
pub trait Object {
    /// The value at a path of fields; `None` if it is absent or null.
    fn at(&self, path: &str) -> Option<&Tree>;

    /// The string at a path; empty if there is none.
    fn str_at(&self, path: &str) -> &str {
        self.at(path).and_then(Tree::as_str).unwrap_or_default()
    }

    /// The number at a path, if there is one.
    fn i64_at(&self, path: &str) -> Option<i64> {
        self.at(path).and_then(Tree::as_i64)
    }

    /// The boolean at a path, if there is one.
    fn bool_at(&self, path: &str) -> Option<bool> {
        self.at(path).and_then(Tree::as_bool)
    }

    /// The items of the list at a path; none if there is no list.
    fn items_at(&self, path: &str) -> &[Tree] {
        self.at(path).and_then(Tree::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The entry `key` of the map at a path; `key` may hold dots.
    fn entry_at(&self, path: &str, key: &str) -> Option<&Tree> {
        self.at(path).and_then(|map| map.get(key)).filter(|value| !value.is_null())
    }

    /// `apiVersion`.
    fn api_version(&self) -> &str {
        self.str_at("apiVersion")
    }

    /// `kind`.
    fn kind(&self) -> &str {
        self.str_at("kind")
    }

    /// `apiVersion` and `kind`; `None` if `apiVersion` is not one.
    fn gvk(&self) -> Option<GroupVersionKind> {
        let group_version: GroupVersion = self.api_version().parse().ok()?;
        Some(group_version.with_kind(self.kind()))
    }

    /// `metadata.name`.
    fn name(&self) -> &str {
        self.str_at("metadata.name")
    }

    /// `metadata.generateName`.
    fn generate_name(&self) -> &str {
        self.str_at("metadata.generateName")
    }

    /// `metadata.namespace`.
    fn namespace(&self) -> &str {
        self.str_at("metadata.namespace")
    }

    /// `metadata.uid`.
    fn uid(&self) -> &str {
        self.str_at("metadata.uid")
    }

    /// `metadata.resourceVersion`.
    fn resource_version(&self) -> &str {
        self.str_at("metadata.resourceVersion")
    }

    /// `metadata.generation`; 0 if there is none.
    fn generation(&self) -> i64 {
        self.i64_at("metadata.generation").unwrap_or_default()
    }

    /// `metadata.creationTimestamp`.
    fn creation_timestamp(&self) -> Option<&str> {
        self.at("metadata.creationTimestamp").and_then(Tree::as_str)
    }

    /// `metadata.deletionTimestamp`: set while the object is being deleted.
    fn deletion_timestamp(&self) -> Option<&str> {
        self.at("metadata.deletionTimestamp").and_then(Tree::as_str)
    }

    /// Whether the object is being deleted.
    fn is_deleting(&self) -> bool {
        self.at("metadata.deletionTimestamp").is_some()
    }

    /// One of `metadata.labels`.
    fn label(&self, key: &str) -> Option<&str> {
        self.entry_at("metadata.labels", key).and_then(Tree::as_str)
    }

    /// One of `metadata.annotations`.
    fn annotation(&self, key: &str) -> Option<&str> {
        self.entry_at("metadata.annotations", key).and_then(Tree::as_str)
    }

    /// `metadata.labels`.
    fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        strings(self.at("metadata.labels"))
    }

    /// `metadata.annotations`.
    fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        strings(self.at("metadata.annotations"))
    }

    /// `metadata.finalizers`.
    fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.items_at("metadata.finalizers").iter().filter_map(Tree::as_str)
    }

    /// Whether `metadata.finalizers` has `name`.
    fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers().any(|finalizer| finalizer == name)
    }

    /// `metadata.ownerReferences`.
    fn owner_references(&self) -> &[Tree] {
        self.items_at("metadata.ownerReferences")
    }

    /// The owner reference whose `controller` is true.
    fn controller(&self) -> Option<&Tree> {
        self.owner_references().iter().find(|owner| owner.bool_at("controller") == Some(true))
    }

    /// Whether any of these paths has another value in `other`. Absent, null and the empty list are alike.
    fn differs(&self, other: &Tree, paths: &[&str]) -> bool {
        paths.iter().any(|path| !equivalent(self.at(path), other.at(path)))
    }
}

/// Writing an object. What is in the way of a path and no map is replaced by one.
pub trait ObjectMut: Object {
    /// The value at a path, made (as null) if it is absent.
    fn at_mut(&mut self, path: &str) -> &mut Tree;

    /// Sets the value at a path.
    fn set(&mut self, path: &str, value: impl Into<Tree>) {
        *self.at_mut(path) = value.into();
    }

    /// Takes the value at a path away. Maps that become empty by that stay.
    fn remove(&mut self, path: &str) -> Option<Tree>;

    /// Makes the value at a path what it is in `other`, absent included.
    fn copy_from(&mut self, other: &Tree, path: &str) {
        match other.at(path) {
            Some(value) => self.set(path, value.clone()),
            None => drop(self.remove(path)),
        }
    }

    /// Sets `metadata.generation`.
    fn set_generation(&mut self, generation: i64) {
        self.set("metadata.generation", generation);
    }

    /// Sets one of `metadata.annotations`.
    fn set_annotation(&mut self, key: &str, value: &str) {
        self.set_entry("metadata.annotations", key, value);
    }

    /// Sets one of `metadata.labels`.
    fn set_label(&mut self, key: &str, value: &str) {
        self.set_entry("metadata.labels", key, value);
    }

    /// Sets the entry `key` of the map at a path; `key` may hold dots.
    fn set_entry(&mut self, path: &str, key: &str, value: impl Into<Tree>) {
        entries(self.at_mut(path)).insert(key.to_owned(), value.into());
    }

    /// Takes the entry `key` of the map at a path away; `key` may hold dots.
    fn remove_entry(&mut self, path: &str, key: &str) -> Option<Tree> {
        self.at(path)?.get(key)?;
        entries(self.at_mut(path)).remove(key)
    }

    /// Takes a finalizer away; whether it was there.
    fn remove_finalizer(&mut self, name: &str) -> bool;
}

impl Object for Value {
    fn at(&self, path: &str) -> Option<&Tree> {
        path.split('.').try_fold(self, |tree, field| tree.get(field)).filter(|value| !value.is_null())
    }
}

impl ObjectMut for Value {
    fn at_mut(&mut self, path: &str) -> &mut Tree {
        path.split('.').fold(self, |tree, field| entries(tree).entry(field).or_insert(Value::Null))
    }

    fn remove(&mut self, path: &str) -> Option<Tree> {
        let (parent, field) = match path.rsplit_once('.') {
            Some((parent, field)) => {
                let parent = parent.split('.').try_fold(self, |tree, field| tree.get_mut(field))?;
                (parent, field)
            }
            None => (self, path),
        };
        parent.as_object_mut()?.remove(field)
    }

    fn remove_finalizer(&mut self, name: &str) -> bool {
        if !self.has_finalizer(name) {
            return false;
        }
        if let Some(finalizers) = self.at_mut("metadata.finalizers").as_array_mut() {
            finalizers.retain(|finalizer| finalizer.as_str() != Some(name));
        }
        if self.items_at("metadata.finalizers").is_empty() {
            self.remove("metadata.finalizers");
        }
        true
    }
}

fn entries(tree: &mut Tree) -> &mut Map<String, Tree> {
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    tree.as_object_mut().expect("made a map above")
}

fn strings(map: Option<&Tree>) -> impl Iterator<Item = (&str, &str)> {
    let entries = map.and_then(Tree::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Whether two values are the same to Kubernetes: absent, null and the empty list are alike, at every depth.
pub fn equivalent(a: Option<&Tree>, b: Option<&Tree>) -> bool {
    match (a.filter(|v| !is_blank(v)), b.filter(|v| !is_blank(v))) {
        (None, None) => true,
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let same = |(key, value)| equivalent(Some(value), b.get(key));
            a.iter().all(same) && b.iter().all(|(key, value)| a.contains_key(key) || is_blank(value))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equivalent(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

fn is_blank(value: &Tree) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests;
