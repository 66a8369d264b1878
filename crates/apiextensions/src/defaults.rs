//! Defaulting.

use serde_json::Value;
use steersman_apimachinery::Tree;

use crate::Schema;
use crate::schema::Node;

impl Schema {
    /// Fills in what was left out. A null of a field that cannot be null is left out, too. Doing it twice changes
    /// nothing.
    pub fn apply_defaults(&self, object: &mut Tree) {
        apply(object, &self.root);
    }
}

fn apply(value: &mut Tree, node: &Node) {
    match value {
        Value::Object(fields) => {
            for (name, below) in &node.properties {
                let Some(default) = &below.default else { continue };
                match fields.get_mut(&**name) {
                    None => drop(fields.insert(name.to_string(), (**default).clone())),
                    Some(value) => replace_null(value, below),
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(below) = node.property(name) {
                    apply(value, below);
                } else if let Some(below) = node.values() {
                    replace_null(value, below);
                    apply(value, below);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = &node.items else { return };
            for item in items {
                replace_null(item, below);
                apply(item, below);
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Tree, node: &Node) {
    if let (true, false, Some(default)) = (value.is_null(), node.nullable, &node.default) {
        *value = (**default).clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {
            "a": {"type": "string", "default": "A"},
            "n": {"type": "string", "nullable": true, "default": "N"},
            "spec": {"type": "object", "default": {}, "properties": {
                "replicas": {"type": "integer", "default": 1},
                "deep": {"type": "object", "properties": {"x": {"type": "integer", "default": 7}}}}},
            "list": {"type": "array", "items": {"type": "object", "default": {"i": 1}, "properties": {
                "i": {"type": "integer"}, "j": {"type": "integer", "default": 2}}}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "default": "M"}},
        }}))
        .unwrap()
    }

    #[test]
    fn what_was_left_out_is_filled_in() {
        let cases = [
            (json!({}), json!({"a": "A", "n": "N", "spec": {"replicas": 1}})),
            (
                json!({"a": null, "n": null, "spec": {"replicas": 3, "deep": {}}, "list": [null, {"i": 5}],
                    "map": {"k": null, "l": "v"}}),
                json!({"a": "A", "n": null, "spec": {"replicas": 3, "deep": {"x": 7}},
                    "list": [{"i": 1, "j": 2}, {"i": 5, "j": 2}], "map": {"k": "M", "l": "v"}}),
            ),
        ];
        for (mut object, want) in cases {
            schema().apply_defaults(&mut object);
            assert_eq!(object, want);
            schema().apply_defaults(&mut object);
            assert_eq!(object, want, "twice");
        }
    }
}
