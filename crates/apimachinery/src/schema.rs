//! How patches, apply and pruning see a type: just its structure, whether it comes from the field catalogue of the
//! built-in kinds or from a custom resource's OpenAPI schema.

use std::sync::Arc;

/// The schema of one position in a tree.
#[derive(Clone)]
pub enum Schema {
    /// A string, number or boolean, or something replaced as a whole (`x-kubernetes-map-type: atomic`).
    Atomic,
    /// Nothing is known (preserve-unknown-fields): maps are granular, lists are atomic.
    Untyped,
    /// Named fields.
    Struct(Arc<dyn StructSchema>),
    /// Any keys, all values alike.
    Map(Arc<Schema>),
    /// A list.
    List(Arc<ListSchema>),
}

/// Named fields.
pub trait StructSchema: Send + Sync {
    /// The field of this JSON name; `None` if there is no such field.
    fn field(&self, name: &str) -> Option<FieldSchema>;
    /// What the field of this name is when it is absent, where the type cannot be without it: Go holds structs by
    /// value and has zero values in fields without `omitempty`. Apply takes such a field for there, so that who first
    /// fills it owns what is in it and not the field.
    fn zero_value(&self, _name: &str) -> Option<serde_json::Value> {
        None
    }
    /// Whether unknown fields are allowed and kept.
    fn preserves_unknown(&self) -> bool {
        false
    }
}

/// One field of a struct.
#[derive(Clone)]
pub struct FieldSchema {
    /// The schema of its value.
    pub schema: Schema,
    /// Strategic merge patch's `patchStrategy` (`merge`, `replace`, `retainKeys`, or both of the last by comma).
    pub patch_strategy: Option<Arc<str>>,
    /// Strategic merge patch's `patchMergeKey`.
    pub patch_merge_key: Option<Arc<str>>,
    /// The default of the schema, where it states one (used to complete associative list keys).
    pub default: Option<Arc<serde_json::Value>>,
}

/// A list.
#[derive(Clone)]
pub struct ListSchema {
    /// The schema of its items.
    pub items: Schema,
    /// How server-side apply merges it.
    pub kind: ListKind,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// Items are the keys.
    Set,
    /// Items are structs told apart by these fields.
    Map(Vec<Arc<str>>),
}
