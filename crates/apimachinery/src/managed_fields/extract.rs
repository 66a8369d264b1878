//! From an object to the set of its fields.

use std::collections::BTreeSet;

use super::element::PathElement;
use super::set::FieldSet;
use super::shape::{Shape, child, item_element};
use crate::Tree;
use crate::schema::{ListSchema, Schema};

/// Every field that `object` sets: the leaves, the items of lists, the keys of maps, and maps that are empty. Structs
/// are not in the set themselves; what they hold is.
pub fn fields_of(object: &Tree, schema: &Schema) -> FieldSet {
    below(object, schema).1
}

/// Whether the value itself is in the set, and what below it is.
fn below(value: &Tree, schema: &Schema) -> (bool, FieldSet) {
    match Shape::of(schema, value) {
        Shape::Leaf => (true, FieldSet::default()),
        Shape::Map => (false, of_map(value, schema)),
        Shape::List(list) => (false, of_list(value, &list)),
    }
}

fn of_map(value: &Tree, schema: &Schema) -> FieldSet {
    let mut set = FieldSet::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        let child = child(schema, name);
        let (leaf, children) = below(value, &child.schema);
        let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        set.attach(PathElement::field(name), leaf || empty || !child.named, children);
    }
    set
}

/// Items that occur twice are owned together and as a whole.
fn of_list(value: &Tree, list: &ListSchema) -> FieldSet {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let elements: Vec<Option<PathElement>> = items.iter().map(|item| item_element(list, item).ok()).collect();
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&PathElement> =
        elements.iter().flatten().filter(|element| !seen.insert(*element)).collect();
    let mut set = FieldSet::default();
    for (item, element) in items.iter().zip(&elements) {
        let Some(element) = element else { continue };
        let children = if twice.contains(element) { FieldSet::default() } else { below(item, &list.items).1 };
        set.attach(element.clone(), true, children);
    }
    set
}

/// The set with the named fields added through which its paths go: with `spec.replicas` also `spec`, but not the
/// `app` of `labels.app`, which is a key of a map.
pub(super) fn with_named_parents(set: &FieldSet, schema: &Schema) -> FieldSet {
    let mut out = FieldSet::default();
    for (element, member, children) in set.elements() {
        let (schema, named) = match (element.as_field(), schema) {
            (Some(name), _) => {
                let child = child(schema, name);
                (child.schema, child.named)
            }
            (None, Schema::List(list)) => (list.items.clone(), false),
            (None, _) => (Schema::Untyped, false),
        };
        let parent = named && !children.is_empty();
        out.attach(element.clone(), member || parent, with_named_parents(children, &schema));
    }
    out
}

/// The set as it would be under the schema of today: below what is a leaf now, nothing is owned apart.
pub(super) fn reconciled(set: &FieldSet, schema: &Schema) -> FieldSet {
    let mut out = FieldSet::default();
    for (element, member, children) in set.elements() {
        let schema = match (element.as_field(), schema) {
            (Some(name), Schema::Struct(fields)) => fields.field(name).map(|field| field.schema),
            (Some(_), Schema::Map(values)) => Some((**values).clone()),
            (None, Schema::List(list)) => Some(list.items.clone()),
            _ => None,
        };
        match schema {
            None => out.attach(element.clone(), member, children.clone()),
            Some(schema) if is_leaf(&schema) => out.attach(element.clone(), true, FieldSet::default()),
            Some(schema) => out.attach(element.clone(), member, reconciled(children, &schema)),
        }
    }
    out
}

fn is_leaf(schema: &Schema) -> bool {
    match schema {
        Schema::Atomic => true,
        Schema::List(list) => list.kind == crate::schema::ListKind::Atomic,
        Schema::Untyped | Schema::Struct(_) | Schema::Map(_) => false,
    }
}
