//! Keywords of a schema, each read as the type it has.

use serde_json::{Map, Value};

/// Why a schema cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A value of the wrong JSON type.
    #[error("{path}: expected {expected}")]
    WrongType {
        /// Where, such as `properties.spec.maximum`.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
    /// A `type` that schemas do not have.
    #[error("{path}: unknown type {name:?}")]
    UnknownType {
        /// Where.
        path: String,
        /// The type.
        name: String,
    },
}

/// One schema that is being read, and where it is.
pub(super) struct Keywords<'a> {
    pub(super) fields: &'a Map<String, Value>,
    pub(super) path: String,
}

impl<'a> Keywords<'a> {
    pub(super) fn new(schema: &'a Value, path: String) -> Result<Self, ParseError> {
        match schema.as_object() {
            Some(fields) => Ok(Self { fields, path }),
            None => Err(ParseError::WrongType { path, expected: "a schema" }),
        }
    }

    /// Where a keyword is.
    pub(super) fn at(&self, keyword: &str) -> String {
        if self.path.is_empty() { keyword.to_owned() } else { format!("{}.{keyword}", self.path) }
    }

    /// The keyword's value; null is absent.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.fields.get(keyword).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        keyword: &str,
        expected: &'static str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ParseError> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| ParseError::WrongType { path: self.at(keyword), expected })
    }

    pub(super) fn text(&self, keyword: &str) -> Result<Option<&'a str>, ParseError> {
        Ok(self.read(keyword, "a string", Value::as_str)?.filter(|text| !text.is_empty()))
    }

    pub(super) fn flag(&self, keyword: &str) -> Result<bool, ParseError> {
        Ok(self.read(keyword, "a boolean", Value::as_bool)?.unwrap_or_default())
    }

    pub(super) fn number(&self, keyword: &str) -> Result<Option<f64>, ParseError> {
        self.read(keyword, "a number", Value::as_f64)
    }

    /// A count. What is negative limits nothing from below and everything from above, so it counts as zero.
    pub(super) fn count(&self, keyword: &str) -> Result<Option<u64>, ParseError> {
        let whole = |value: &Value| {
            let float = || value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64);
            value.as_i64().or_else(float).map(|n| u64::try_from(n).unwrap_or(0))
        };
        self.read(keyword, "a whole number", whole)
    }

    pub(super) fn list(&self, keyword: &str) -> Result<&'a [Value], ParseError> {
        Ok(self.read(keyword, "a list", |value| value.as_array().map(Vec::as_slice))?.unwrap_or_default())
    }

    pub(super) fn map(&self, keyword: &str) -> Result<Option<&'a Map<String, Value>>, ParseError> {
        self.read(keyword, "an object", Value::as_object)
    }

    pub(super) fn texts(&self, keyword: &str) -> Result<Vec<&'a str>, ParseError> {
        let wrong = || ParseError::WrongType { path: self.at(keyword), expected: "a list of strings" };
        self.list(keyword)?.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
    }
}
