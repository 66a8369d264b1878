//! What may be wrong with an object's JSON, in upstream's words.

use std::fmt;

/// A problem that a client may choose to have ignored, warned about, or refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StrictProblem {
    /// The type has no such field.
    UnknownField(String),
    /// The field was there before.
    DuplicateField(String),
    /// The same of a YAML mapping, with its own wording.
    Yaml(String),
}

impl fmt::Display for StrictProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField(path) => write!(f, "unknown field {path:?}"),
            Self::DuplicateField(path) => write!(f, "duplicate field {path:?}"),
            Self::Yaml(text) => f.write_str(text),
        }
    }
}

/// The one error that stands for all problems: `strict decoding error: unknown field "spec.foo", …`.
pub fn strict_decoding_error(problems: &[StrictProblem]) -> String {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("strict decoding error: {}", texts.join(", "))
}

/// Why an object cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value of the wrong JSON type.
    #[error("json: cannot unmarshal {value} into {target} of type {go_type}")]
    Type {
        /// `string`, `number 1.5`, `array`, ….
        value: String,
        /// `Go struct field DeploymentSpec.spec.replicas`, or `Go value` for the object itself.
        target: String,
        /// `int32`, `[]v1.Container`, ….
        go_type: String,
    },
    /// A scalar of the wrong form (times, quantities, base64).
    #[error("{0}")]
    Form(String),
    /// More than 128 levels of nesting.
    #[error("exceeded max depth")]
    TooDeep,
}

/// The message of the 400 for an object that claims to be a `kind` of `version` where a `wanted` is expected:
/// `Deployment in version "v1" cannot be handled as a Deployment: …`.
pub fn cannot_be_handled(kind: &str, version: &str, wanted: &str, why: &dyn fmt::Display) -> String {
    format!("{kind} in version {version:?} cannot be handled as a {wanted}: {why}")
}

impl DecodeError {
    /// A parser's error in the words of Go's parser. `json` is the text, if there is one.
    pub(super) fn from_parser(error: &serde_json::Error, json: Option<&[u8]>) -> Self {
        if error.is_eof() {
            return Self::Syntax("unexpected end of JSON input".to_owned());
        }
        let text = error.to_string();
        if text.starts_with("recursion limit exceeded") {
            return Self::TooDeep;
        }
        let context = CONTEXTS.iter().find(|(start, _)| text.starts_with(start)).map(|(_, context)| context);
        match (context, json.and_then(|json| char_at(json, error.line(), error.column()))) {
            (Some(context), Some(c)) => Self::Syntax(format!("invalid character {c} {context}")),
            _ => Self::Syntax(text),
        }
    }
}

/// What the parser says, and what Go's says of the offending character.
const CONTEXTS: [(&str, &str); 12] = [
    ("expected `:`", "after object key"),
    ("expected `,` or `]`", "after array element"),
    ("expected `,` or `}`", "after object key:value pair"),
    ("expected value", "looking for beginning of value"),
    ("expected ident", "in literal"),
    ("key must be a string", "looking for beginning of object key string"),
    ("trailing comma", "looking for beginning of value"),
    ("trailing characters", "after top-level value"),
    ("invalid escape", "in string escape code"),
    ("control character", "in string literal"),
    ("invalid number", "in numeric literal"),
    ("number out of range", "in numeric literal"),
];

/// The character before a position, quoted as Go quotes it. Lines and columns count from one.
fn char_at(json: &[u8], line: usize, column: usize) -> Option<String> {
    let text = json.split(|b| *b == b'\n').nth(line.checked_sub(1)?)?;
    let tail = text.get(column.checked_sub(1)?..)?;
    let c = String::from_utf8_lossy(tail.get(..tail.len().min(4))?).chars().next()?;
    Some(match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", c.escape_debug()),
    })
}
