//! Problems of an object, each with the path of its field, worded as upstream words them
//! (`k8s.io/apimachinery/pkg/util/validation/field`): tools match on these texts.

use std::fmt;

use serde_json::Value;

/// The path of a field: `spec.containers[0].ports[1].name`, `metadata.labels[app]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
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
    /// A list longer than allowed.
    TooMany,
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
    /// The offending value; not shown for `Required`, `Forbidden`, `TooLong` and `Internal`.
    pub value: Value,
    /// What is wrong with it; may be empty.
    pub detail: String,
}

impl Error {
    /// A value that must be given was not.
    pub fn required(path: Path, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::Required, path, value: Value::String(String::new()), detail: detail.into() }
    }

    /// A value of the wrong form.
    pub fn invalid(path: Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::Invalid, path, value: value.into(), detail: detail.into() }
    }

    /// A value that may not be given here.
    pub fn forbidden(path: Path, detail: impl Into<String>) -> Self {
        Self { kind: ErrorType::Forbidden, path, value: Value::String(String::new()), detail: detail.into() }
    }

    /// A value that occurs again.
    pub fn duplicate(path: Path, value: impl Into<Value>) -> Self {
        Self { kind: ErrorType::Duplicate, path, value: value.into(), detail: String::new() }
    }

    /// A reference to something that does not exist.
    pub fn not_found(path: Path, value: impl Into<Value>) -> Self {
        Self { kind: ErrorType::NotFound, path, value: value.into(), detail: String::new() }
    }

    /// A value outside `supported`; the detail lists them sorted, as upstream does.
    pub fn not_supported(path: Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut known = supported.to_vec();
        known.sort_unstable();
        let quoted: Vec<String> = known.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self { kind: ErrorType::NotSupported, path, value: value.into(), detail }
    }

    /// A string longer than `max` bytes.
    pub fn too_long(path: Path, max: usize) -> Self {
        let detail = format!("may not be more than {max} bytes");
        Self { kind: ErrorType::TooLong, path, value: Value::Null, detail }
    }

    /// A list of `actual` items where `max` are allowed.
    pub fn too_many(path: Path, actual: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} item{}", if max == 1 { "" } else { "s" });
        Self { kind: ErrorType::TooMany, path, value: actual.into(), detail }
    }

    /// The message without the path: a `Status` cause's `message`.
    pub fn body(&self) -> String {
        let words = self.kind.words();
        let head = match (self.kind, &self.value) {
            (ErrorType::Required | ErrorType::Forbidden | ErrorType::TooLong | ErrorType::Internal, _) => {
                words.to_owned()
            }
            (_, Value::String(s)) => format!("{words}: {s:?}"),
            (_, value) => format!("{words}: {value}"),
        };
        if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
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
            (Error::forbidden(Path::new("data").key("a"), "no"), "data[a]: Forbidden: no"),
        ];
        for (error, want) in cases {
            assert_eq!(error.to_string(), want);
        }
    }
}
