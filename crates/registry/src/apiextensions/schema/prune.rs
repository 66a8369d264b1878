//! Pruning: what a schema does not know is dropped.

use steersman_apimachinery::Tree;

use crate::tree::Read;

const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops the fields of `value` that the schema does not know. What `apiVersion`, `kind` and `metadata` of a whole
/// resource (`root`) or of an embedded one say is kept.
pub fn prune(value: &mut Tree, schema: &Tree, root: bool) {
    let preserves = schema.flag("x-kubernetes-preserve-unknown-fields");
    let embedded = root || schema.flag("x-kubernetes-embedded-resource");
    match value {
        Tree::Object(map) => {
            map.retain(|name, inner| {
                if embedded && META.contains(&name.as_str()) {
                    return true;
                }
                let property = schema.at("properties").get(name);
                let more = schema.at("additionalProperties");
                match (property, more) {
                    (Some(property), _) => prune(inner, property, false),
                    // Even `false` and `true`, which know nothing of what is inside.
                    (None, more) if !more.is_null() => prune(inner, more, false),
                    (None, _) => return preserves,
                }
                true
            });
        }
        Tree::Array(items) => {
            let of_items = schema.at("items");
            for item in items.iter_mut().filter(|_| !(preserves && of_items.is_null())) {
                prune_item(item, of_items, preserves);
            }
        }
        _ => {}
    }
}

/// An item of a list that preserves is preserved in what its own schema does not say otherwise.
fn prune_item(item: &mut Tree, schema: &Tree, preserves: bool) {
    if preserves {
        let mut preserving = schema.clone();
        if let Some(map) = preserving.as_object_mut() {
            map.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
        }
        prune(item, &preserving, false);
    } else {
        prune(item, schema, false);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_dropped() {
        let keep = "x-kubernetes-preserve-unknown-fields";
        let a = json!({"properties": {"a": {"properties": {"b": {}}}}});
        let cases = [
            (a.clone(), false, json!({"a": {"b": 1, "c": 2}, "d": 3}), json!({"a": {"b": 1}})),
            (
                a,
                true,
                json!({"kind": "K", "metadata": {"x": 1}, "d": 3}),
                json!({"kind": "K", "metadata": {"x": 1}}),
            ),
            (
                json!({keep: true, "properties": {"a": {}}}),
                false,
                json!({"a": {"b": 1}, "c": {"d": 2}}),
                json!({"a": {}, "c": {"d": 2}}),
            ),
            (
                json!({"additionalProperties": {"properties": {"a": {}}}}),
                false,
                json!({"x": {"a": 1, "b": 2}}),
                json!({"x": {"a": 1}}),
            ),
            (
                json!({"additionalProperties": true}),
                false,
                json!({"x": {"a": 1}, "y": 1}),
                json!({"x": {}, "y": 1}),
            ),
            (
                json!({"items": {"properties": {"a": {}}}}),
                false,
                json!([{"a": 1, "b": 2}, 3]),
                json!([{"a": 1}, 3]),
            ),
            (json!({keep: true}), false, json!([{"a": [{"b": 1}]}]), json!([{"a": [{"b": 1}]}])),
            (json!({"type": "string"}), false, json!("x"), json!("x")),
        ];
        for (schema, root, mut value, want) in cases {
            prune(&mut value, &schema, root);
            assert_eq!(value, want, "{schema}");
        }
    }
}
