//! `format`: which ones are looked at.

use super::Type;

/// A format that is checked, or that types of numbers mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Format {
    /// As the schema spells it, for messages.
    pub(crate) name: Box<str>,
    /// How it is checked.
    pub(crate) rule: FormatRule,
}

/// What a format means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatRule {
    Int32,
    Int64,
    Float,
    Double,
    /// A form of strings.
    Text(crate::formats::Form),
}

impl Format {
    /// The format of values of a type (`None`: of any). Formats that upstream does not know are `None`: they are
    /// ignored.
    pub(crate) fn supported(name: &str, kind: Option<Type>) -> Option<Self> {
        let rule = match (kind, name) {
            (Some(Type::Integer), "int32") => FormatRule::Int32,
            (Some(Type::Integer), "int64") => FormatRule::Int64,
            (Some(Type::Number), "float") => FormatRule::Float,
            (Some(Type::Number), "double") => FormatRule::Double,
            (None | Some(Type::String), name) => FormatRule::Text(crate::formats::Form::named(name)?),
            _ => return None,
        };
        Some(Self { name: name.into(), rule })
    }
}
