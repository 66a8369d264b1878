//! Selectable fields of a custom resource.

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::go_value;

use crate::jsonpath::{InvalidPath, JsonPath};

/// One of `selectableFields`.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectableField {
    name: Box<str>,
    path: JsonPath,
}

impl SelectableField {
    /// Reads the field's `jsonPath`.
    pub fn parse(json_path: &str) -> Result<Self, InvalidPath> {
        let name = json_path.strip_prefix('.').unwrap_or(json_path);
        Ok(Self { name: name.into(), path: JsonPath::parse(json_path)? })
    }

    /// The label that selectors use: `spec.color`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field's value as selectors compare it; empty if there is none.
    pub fn value(&self, object: &Tree) -> String {
        let found = self.path.find(object).unwrap_or_default();
        match found.first() {
            None | Some(Value::Null) => String::new(),
            Some(value) => go_value(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_texts() {
        let object = json!({"spec": {"color": "red", "n": 5, "on": false, "none": null}});
        let cases = [
            (".spec.color", "red"),
            (".spec.n", "5"),
            (".spec.on", "false"),
            (".spec.none", ""),
            (".spec.x", ""),
        ];
        for (path, want) in cases {
            let field = SelectableField::parse(path).unwrap();
            assert_eq!((field.name(), field.value(&object).as_str()), (&path[1..], want));
        }
    }
}
