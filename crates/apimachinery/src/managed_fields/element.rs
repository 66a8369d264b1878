//! One step of a path into an object: a field, or an item of a list by its keys, its value or its place.

use std::fmt;

use serde_json::Map;

use crate::Tree;
use crate::quote::{json, quote};

/// A step, kept as `FieldsV1` writes it: `f:spec`, `k:{"name":"web"}`, `v:"a"`, `i:3`. Made only in canonical form,
/// so that equal steps are equal texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathElement(Box<str>);

/// A text that is no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidElement {
    /// Too short, or without the colon.
    #[error("missing colon: {0}")]
    Shape(String),
    /// What is after the colon is not what it must be.
    #[error("invalid path element: {0}")]
    Content(String),
    /// Of a kind that this version does not know; readers skip these.
    #[error("unknown path element type")]
    Unknown,
}

impl PathElement {
    /// A field of a map.
    pub fn field(name: &str) -> Self {
        Self(format!("f:{name}").into())
    }

    /// The item of a list that has these values under its key fields.
    pub fn key(fields: Map<String, Tree>) -> Self {
        Self(format!("k:{}", Tree::Object(fields)).into())
    }

    /// The item of a set.
    pub fn value(value: &Tree) -> Self {
        Self(format!("v:{value}").into())
    }

    /// The item of a list at this place.
    pub fn index(index: usize) -> Self {
        Self(format!("i:{index}").into())
    }

    /// The field's name, if it is a field.
    pub fn as_field(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }

    /// As `FieldsV1` writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what `FieldsV1` writes.
    pub fn parse(text: &str) -> Result<Self, InvalidElement> {
        let content = || InvalidElement::Content(text.to_owned());
        match text.split_at_checked(2) {
            Some(("f:", name)) => Ok(Self::field(name)),
            Some(("v:", value)) => {
                let value: Tree = serde_json::from_str(value).map_err(|_| content())?;
                Ok(Self::value(&value))
            }
            Some(("k:", fields)) => {
                let fields: Map<String, Tree> = serde_json::from_str(fields).map_err(|_| content())?;
                Ok(Self::key(fields))
            }
            Some(("i:", index)) => {
                let index: i64 = index.parse().map_err(|_| content())?;
                Ok(Self(format!("i:{index}").into()))
            }
            Some((kind, _)) if kind.ends_with(':') => Err(InvalidElement::Unknown),
            _ => Err(InvalidElement::Shape(text.to_owned())),
        }
    }
}

impl fmt::Display for PathElement {
    /// As messages print it: `.spec`, `[name="web"]`, `[="a"]`, `[3]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, content) = self.0.split_at(2);
        let read = |text: &str| serde_json::from_str::<Tree>(text).unwrap_or_default();
        match kind {
            "f:" => write!(f, ".{content}"),
            "v:" => write!(f, "[={}]", scalar(&read(content))),
            "k:" => {
                let fields = read(content);
                let fields = fields.as_object().into_iter().flatten();
                let texts: Vec<String> =
                    fields.map(|(name, value)| format!("{name}={}", scalar(value))).collect();
                write!(f, "[{}]", texts.join(","))
            }
            _ => write!(f, "[{content}]"),
        }
    }
}

fn scalar(value: &Tree) -> String {
    match value {
        Tree::String(text) => quote(text),
        other => json(other),
    }
}

/// A path as messages print it.
pub fn print_path(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_and_printed() {
        let cases = [
            ("f:spec", "f:spec", ".spec"),
            ("f:a:b", "f:a:b", ".a:b"),
            (r#"k:{ "port": 80, "name":"a"}"#, r#"k:{"name":"a","port":80}"#, r#"[name="a",port=80]"#),
            (r#"v: "x""#, r#"v:"x""#, r#"[="x"]"#),
            ("v:3", "v:3", "[=3]"),
            ("i:7", "i:7", "[7]"),
        ];
        for (text, canonical, printed) in cases {
            let element = PathElement::parse(text).expect(text);
            assert_eq!((element.as_str(), element.to_string().as_str()), (canonical, printed));
        }
    }

    #[test]
    fn bad_elements_are_refused() {
        let content = |text: &str| Err(InvalidElement::Content(text.to_owned()));
        let cases = [
            ("", Err(InvalidElement::Shape(String::new()))),
            ("fx", Err(InvalidElement::Shape("fx".to_owned()))),
            ("q:x", Err(InvalidElement::Unknown)),
            ("v:{", content("v:{")),
            ("k:[]", content("k:[]")),
            ("i:x", content("i:x")),
        ];
        for (text, want) in cases {
            assert_eq!(PathElement::parse(text), want, "{text}");
        }
    }
}
