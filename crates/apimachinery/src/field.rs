//! Problems of an object, each with the path of its field, worded as upstream words them
//! (`k8s.io/apimachinery/pkg/util/validation/field`): tools match on these texts.

use std::fmt;

use serde_json::Value;

use crate::quote::{go_value, json, quote};

/// The path of a field: `spec.containers[0].ports[1].name`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// The whole object; fields below it have no head.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of one field.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            return Self::new(name);
        }
        Self(format!("{}.{name}", self.0))
    }

    /// The item at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The value under `key` of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// What kind of problem; the name is the `reason` of a `Status` cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// A reference to something that does not exist.
    NotFound,
    /// A value that must be given was not.
    Required,
    /// A value that must be unique occurs again.
    Duplicate,
    /// A value of the wrong form.
    Invalid,
    /// A value outside an enumeration.
    NotSupported,
    /// A value that may not be given here.
    Forbidden,
    /// A string longer than allowed.
    TooLong,
    /// A string shorter than allowed.
    TooShort,
    /// A list longer than allowed.
    TooMany,
    /// A list shorter than allowed.
    TooFew,
    /// A value of the wrong JSON type.
    TypeInvalid,
    /// A fault of the server.
    Internal,
}

impl ErrorType {
    /// The cause's `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooFew => "FieldValueTooFew",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooFew => "Too few",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One problem of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What kind of problem.
    pub kind: ErrorType,
    /// Where.
    pub path: Path,
    /// The offending value; not shown for `Required`, `Forbidden`, `TooLong`, `TooShort` and `Internal`.
    pub value: Value,
    /// What is wrong with it; may be empty.
    pub detail: String,
    /// Whether the message shows the value at all.
    pub shown: bool,
}

impl Error {
    /// A value that must be given was not.
    pub fn required(path: Path, detail: impl Into<String>) -> Self {
        Self {
            kind: ErrorType::Required,
            path,
            value: Value::String(String::new()),
            detail: detail.into(),
            shown: true,
        }
    }

    /// A value of the wrong form.
    pub fn invalid(path: Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::Invalid, path, value: value.into(), detail: detail.into(), shown: true }
    }

    /// A value of the wrong form that is too long or too secret to be shown.
    pub fn invalid_unshown(path: Path, detail: impl Into<String>) -> Self {
        Self { shown: false, ..Self::invalid(path, Value::Null, detail) }
    }

    /// A value that may not be given here.
    pub fn forbidden(path: Path, detail: impl Into<String>) -> Self {
        Self {
            kind: ErrorType::Forbidden,
            path,
            value: Value::String(String::new()),
            detail: detail.into(),
            shown: true,
        }
    }

    /// A value that occurs again.
    pub fn duplicate(path: Path, value: impl Into<Value>) -> Self {
        Self { kind: ErrorType::Duplicate, path, value: value.into(), detail: String::new(), shown: true }
    }

    /// A reference to something that does not exist.
    pub fn not_found(path: Path, value: impl Into<Value>) -> Self {
        Self { kind: ErrorType::NotFound, path, value: value.into(), detail: String::new(), shown: true }
    }

    /// A value outside `supported`; the detail lists them sorted, as upstream does for its sets.
    pub fn not_supported(path: Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut known = supported.to_vec();
        known.sort_unstable();
        Self::not_supported_in_order(path, value, &known)
    }

    /// A value outside `supported`; the detail lists them in this order.
    pub fn not_supported_in_order(path: Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| quote(s)).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self { kind: ErrorType::NotSupported, path, value: value.into(), detail, shown: true }
    }

    /// A string longer than `max` bytes.
    pub fn too_long(path: Path, max: usize) -> Self {
        let detail = format!("may not be more than {max} byte{}", plural(max));
        Self { kind: ErrorType::TooLong, path, value: Value::Null, detail, shown: true }
    }

    /// A string longer than `max` characters.
    pub fn too_long_characters(path: Path, max: usize) -> Self {
        let detail = format!("may not be more than {max} character{}", plural(max));
        Self { kind: ErrorType::TooLong, path, value: Value::Null, detail, shown: true }
    }

    /// A string shorter than `min` characters.
    pub fn too_short(path: Path, min: usize) -> Self {
        let detail = format!("must be at least {min} character{}", plural(min));
        Self { kind: ErrorType::TooShort, path, value: Value::Null, detail, shown: true }
    }

    /// A list of `actual` items where `min` are needed.
    pub fn too_few(path: Path, actual: usize, min: usize) -> Self {
        let detail = format!("must have at least {min} item{}", plural(min));
        Self { kind: ErrorType::TooFew, path, value: actual.into(), detail, shown: true }
    }

    /// A value of the wrong JSON type.
    pub fn type_invalid(path: Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::TypeInvalid, path, value: value.into(), detail: detail.into(), shown: true }
    }

    /// A fault of the server.
    pub fn internal(path: Path, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::Internal, path, value: Value::Null, detail: detail.into(), shown: true }
    }

    /// A list of `actual` items where `max` are allowed.
    pub fn too_many(path: Path, actual: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} item{}", plural(max));
        Self { kind: ErrorType::TooMany, path, value: actual.into(), detail, shown: true }
    }

    /// The message without the path: a `Status` cause's `message`.
    pub fn body(&self) -> String {
        let words = self.kind.words();
        let head = match (self.kind, &self.value) {
            (
                ErrorType::Required
                | ErrorType::Forbidden
                | ErrorType::TooLong
                | ErrorType::TooShort
                | ErrorType::Internal,
                _,
            ) => words.to_owned(),
            _ if !self.shown => words.to_owned(),
            (_, Value::String(s)) => format!("{words}: {}", quote(s)),
            (_, value @ Value::Number(_)) => format!("{words}: {}", go_value(value)),
            (_, value) => format!("{words}: {}", json(value)),
        };
        if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// One text for several problems, as upstream's `Aggregate` prints them: each once, in brackets if there are several.
pub fn aggregate(problems: &[Error]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(problems.len());
    for problem in problems {
        let text = problem.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// All problems of an object, in the order in which they were found.
pub type ErrorList = Vec<Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_upstream_writes_them() {
        let spec = Path::new("spec");
        let cases = [
            (Error::required(spec.child("selector"), ""), "spec.selector: Required value"),
            (
                Error::invalid(spec.child("replicas"), -1, "must be greater than or equal to 0"),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                Error::not_supported(
                    spec.child("containers").index(0).child("imagePullPolicy"),
                    "Maybe",
                    &["Never", "Always"],
                ),
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"Never\"",
            ),
            (Error::invalid_unshown(spec.clone(), "bad"), "spec: Invalid value: bad"),
            (Error::forbidden(Path::new("data").key("a"), "no"), "data[a]: Forbidden: no"),
            (Error::too_long(spec.clone(), 1), "spec: Too long: may not be more than 1 byte"),
            (Error::too_short(spec.clone(), 2), "spec: Too short: must be at least 2 characters"),
            (Error::too_many(spec.clone(), 3, 2), "spec: Too many: 3: must have at most 2 items"),
            (
                Error::invalid(Path::root(), serde_json::json!({"a": "<"}), "x"),
                "<nil>: Invalid value: {\"a\":\"\\u003c\"}: x",
            ),
        ];
        for (error, want) in cases {
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn an_aggregate_says_each_thing_once() {
        let a = Error::required(Path::new("a"), "");
        let b = Error::required(Path::new("b"), "");
        assert_eq!(aggregate(&[a.clone(), a.clone()]), "a: Required value");
        assert_eq!(aggregate(&[a.clone(), b, a]), "[a: Required value, b: Required value]");
    }
}
