//! The structural form of a schema.

mod checks;
mod formats;
mod parse;
mod pattern;
mod read;
mod reference;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use checks::{Bound, Checks};
pub(crate) use formats::{Format, FormatRule};
pub use parse::ParseError;
pub(crate) use pattern::Pattern;
pub use reference::SchemaRef;

/// The schema of one version of a custom resource. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) root: Arc<Node>,
}

impl Schema {
    /// Reads an `openAPIV3Schema`. Keywords that a structural schema cannot have are not looked at; patterns are
    /// compiled when they are first needed.
    pub fn parse(open_api_v3_schema: &Value) -> Result<Self, ParseError> {
        parse::parse(open_api_v3_schema).map(|root| Self { root: Arc::new(root) })
    }

    /// The schema's root, for reading its structure.
    pub fn root(&self) -> SchemaRef<'_> {
        SchemaRef(&self.root)
    }
}

/// A JSON type as schemas name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    /// As it is written in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// `x-kubernetes-list-type` with its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Not stated: atomic to server-side apply.
    #[default]
    Unstated,
    /// Replaced as a whole.
    Atomic,
    /// Items are unique.
    Set,
    /// Items are objects told apart by these fields.
    Map(Vec<Arc<str>>),
}

/// `x-kubernetes-map-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapType {
    /// Not stated: granular.
    #[default]
    Unstated,
    /// Merged field by field.
    Granular,
    /// Replaced as a whole.
    Atomic,
}

/// `additionalProperties`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Additional {
    /// Not stated: unknown fields are pruned.
    #[default]
    Unstated,
    /// `true`: any value, of which nothing is known.
    Any,
    /// `false`.
    Nothing,
    /// Values of this schema.
    Of(Arc<Node>),
}

/// One position of a schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded: bool,
    pub(crate) list: ListType,
    pub(crate) map: MapType,
    /// Sorted by name.
    pub(crate) properties: Box<[(Box<str>, Arc<Node>)]>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Arc<Node>>,
    /// Pruned already; never null.
    pub(crate) default: Option<Arc<Value>>,
    pub(crate) checks: Option<Box<Checks>>,
    pub(crate) rules: Box<[(RuleId, Rule)]>,
}

impl Node {
    /// The schema of the named field.
    pub(crate) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        let at = self.properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.properties[at].1)
    }

    /// The schema of the values under keys that are not named.
    pub(crate) fn values(&self) -> Option<&Arc<Self>> {
        match &self.additional {
            Additional::Of(values) => Some(values),
            Additional::Unstated | Additional::Any | Additional::Nothing => None,
        }
    }

    /// The schema of a field, named or not.
    pub(crate) fn child(&self, name: &str) -> Option<&Arc<Self>> {
        self.property(name).or_else(|| self.values())
    }

    /// Whether this type is allowed.
    pub(crate) fn allows(&self, kind: Type) -> bool {
        match self.int_or_string {
            true => matches!(kind, Type::Integer | Type::String),
            false => self.kind == Some(kind),
        }
    }

    /// The type in error messages; `None` if any is allowed.
    pub(crate) fn type_name(&self) -> Option<&'static str> {
        if self.int_or_string { Some("integer,string") } else { self.kind.map(Type::as_str) }
    }
}

/// Which of the schema's rules: they are numbered from 0 in the order in which the schema is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub usize);

/// One of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The expression.
    pub rule: String,
    /// What to say if it does not hold; empty if not stated.
    pub message: String,
    /// An expression for what to say; empty if not stated.
    pub message_expression: String,
    /// `FieldValueInvalid`, `FieldValueForbidden`, `FieldValueRequired` or `FieldValueDuplicate`; empty if not stated.
    pub reason: String,
    /// The field that the error is about, as a path below the rule's, as error messages show it; empty if not stated.
    pub field_path: String,
    /// Whether `oldSelf` is an optional, and the rule is evaluated where there is no old value too.
    pub optional_old_self: bool,
}
