//! Reading a schema's structure from outside: what the types of expressions follow from.

use serde_json::Value;

use super::{Additional, ListType, MapType, Node, Type};

/// One position of a schema.
#[derive(Clone, Copy, Debug)]
pub struct SchemaRef<'a>(pub(crate) &'a Node);

impl<'a> SchemaRef<'a> {
    /// The type; `None` if it is not stated (int-or-string, or anything).
    pub fn kind(self) -> Option<Type> {
        self.0.kind
    }

    /// Whether null is a value.
    pub fn is_nullable(self) -> bool {
        self.0.nullable
    }

    /// Whether the value is a number or a string.
    pub fn is_int_or_string(self) -> bool {
        self.0.int_or_string
    }

    /// Whether the value is a whole Kubernetes object.
    pub fn is_embedded_resource(self) -> bool {
        self.0.embedded
    }

    /// Whether fields that are not named here are kept.
    pub fn preserves_unknown_fields(self) -> bool {
        self.0.preserve_unknown
    }

    /// The named fields, sorted.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, SchemaRef<'a>)> {
        self.0.properties.iter().map(|(name, node)| (&**name, SchemaRef(node)))
    }

    /// The named field.
    pub fn property(self, name: &str) -> Option<SchemaRef<'a>> {
        self.0.property(name).map(|node| SchemaRef(node))
    }

    /// The values of a map with keys of any name.
    pub fn values(self) -> Option<SchemaRef<'a>> {
        self.0.values().map(|node| SchemaRef(node))
    }

    /// Whether keys of any name are allowed with values of which nothing is known.
    pub fn has_any_values(self) -> bool {
        matches!(self.0.additional, Additional::Any)
    }

    /// The items of a list.
    pub fn items(self) -> Option<SchemaRef<'a>> {
        self.0.items.as_deref().map(SchemaRef)
    }

    /// How the items of a list are told apart.
    pub fn list_type(self) -> &'a ListType {
        &self.0.list
    }

    /// How a map is merged.
    pub fn map_type(self) -> MapType {
        self.0.map
    }

    /// The default.
    pub fn default_value(self) -> Option<&'a Value> {
        self.0.default.as_deref()
    }

    /// The format, as far as it is supported, as the schema spells it.
    pub fn format(self) -> Option<&'a str> {
        self.0.checks.as_ref()?.format.as_ref().map(|format| &*format.name)
    }

    /// Whether a named field must be there.
    pub fn requires(self, name: &str) -> bool {
        self.0.checks.as_ref().is_some_and(|checks| checks.required.iter().any(|own| **own == *name))
    }

    /// The allowed values; empty if any is.
    pub fn allowed_values(self) -> &'a [Value] {
        self.0.checks.as_ref().map(|checks| &*checks.allowed).unwrap_or_default()
    }

    /// `maxLength` in characters.
    pub fn max_length(self) -> Option<u64> {
        self.0.checks.as_ref()?.max_length
    }

    /// `maxItems`.
    pub fn max_items(self) -> Option<u64> {
        self.0.checks.as_ref()?.max_items
    }

    /// `maxProperties`.
    pub fn max_properties(self) -> Option<u64> {
        self.0.checks.as_ref()?.max_properties
    }
}
