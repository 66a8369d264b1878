//! How a value is walked: as a map of fields, as a list of items that can be told apart, or as one leaf.

use std::sync::Arc;

use serde_json::Map;

use super::element::PathElement;
use crate::Tree;
use crate::quote::quote;
use crate::schema::{ListKind, ListSchema, Schema};

/// What to do with a value at a position.
#[derive(Clone)]
pub(super) enum Shape {
    /// Owned and replaced as a whole.
    Leaf,
    /// Field by field.
    Map,
    /// Item by item.
    List(Arc<ListSchema>),
}

impl Shape {
    /// The shape of a value. What is absent or null takes the shape that the schema gives.
    pub(super) fn of(schema: &Schema, value: &Tree) -> Self {
        match (schema, value) {
            (Schema::Untyped | Schema::Struct(_) | Schema::Map(_), Tree::Object(_) | Tree::Null) => Self::Map,
            (Schema::List(list), Tree::Array(_) | Tree::Null) if list.kind != ListKind::Atomic => {
                Self::List(list.clone())
            }
            _ => Self::Leaf,
        }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A field of a map.
pub(super) struct Child {
    /// The schema of its value.
    pub(super) schema: Schema,
    /// Whether the schema names the field. (Others are keys of a map, or unknown.)
    pub(super) named: bool,
    /// What the field is when it is absent, where the type cannot be without it.
    pub(super) zero: Option<Tree>,
}

/// The field `name` below a schema.
pub(super) fn child(schema: &Schema, name: &str) -> Child {
    let other = |schema: &Schema| Child { schema: schema.clone(), named: false, zero: None };
    match schema {
        Schema::Struct(fields) => match fields.field(name) {
            Some(field) => Child { schema: field.schema, named: true, zero: fields.zero_value(name) },
            None => other(&Schema::Untyped),
        },
        Schema::Map(values) => other(values),
        Schema::Untyped | Schema::Atomic | Schema::List(_) => other(&Schema::Untyped),
    }
}

/// The step to an item of a list, or why it has none.
pub(super) fn item_element(list: &ListSchema, item: &Tree) -> Result<PathElement, String> {
    match &list.kind {
        ListKind::Map(keys) => keyed_element(list, keys, item),
        ListKind::Set => set_element(item),
        ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
    }
}

fn set_element(item: &Tree) -> Result<PathElement, String> {
    let why = match item {
        Tree::Object(_) => "associative list without keys has an element that's a map type",
        Tree::Array(_) => "not supported: associative list with lists as elements",
        Tree::Null => "associative list without keys has an element that's an explicit null",
        scalar => return Ok(PathElement::value(scalar)),
    };
    Err(why.to_owned())
}

fn keyed_element(list: &ListSchema, keys: &[Arc<str>], item: &Tree) -> Result<PathElement, String> {
    let fields = match item {
        Tree::Object(fields) => fields,
        Tree::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut found = Map::new();
    for key in keys {
        if let Some(value) = fields.get(&**key).cloned().or_else(|| key_default(list, key)) {
            found.insert(key.to_string(), value);
        }
    }
    if found.is_empty() {
        let names: Vec<String> = keys.iter().map(|key| quote(key)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    Ok(PathElement::key(found))
}

fn key_default(list: &ListSchema, key: &str) -> Option<Tree> {
    match &list.items {
        Schema::Struct(fields) => {
            let stated = fields.field(key)?.default.as_deref().cloned();
            stated.or_else(|| fields.zero_value(key)).filter(|default| !default.is_null())
        }
        _ => None,
    }
}

/// Whether two values are the same; 1 and 1.0 are.
pub(super) fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Number(x), Tree::Number(y)) => {
            x == y || x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64())
        }
        (Tree::Array(x), Tree::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Tree::Object(x), Tree::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        (a, b) => a == b,
    }
}
