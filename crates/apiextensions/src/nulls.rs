//! Nulls: a field that cannot be null and has no default is as good as absent.

use serde_json::Value;
use steersman_apimachinery::Tree;

use crate::Schema;
use crate::schema::Node;

impl Schema {
    /// Takes nulls away that are no values: of fields that are not nullable, unless a default will replace them.
    pub fn drop_nulls(&self, object: &mut Tree) {
        drop_nulls(object, Some(&self.root));
    }
}

fn drop_nulls(value: &mut Tree, node: Option<&Node>) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let below = node.and_then(|node| node.child(name)).map(|node| &**node);
            if value.is_null() && below.is_some_and(|below| !below.nullable && below.default.is_none()) {
                return false;
            }
            drop_nulls(value, below);
            true
        }),
        Value::Array(items) => {
            let below = node.and_then(|node| node.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, below));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_without_a_meaning_go() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "plain": {"type": "string"},
            "nullable": {"type": "string", "nullable": true},
            "default": {"type": "string", "default": "x"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }}))
        .unwrap();
        let mut object = json!({"plain": null, "nullable": null, "default": null, "map": {"k": null}, "unknown": null,
            "list": [null, {"a": null}]});
        schema.drop_nulls(&mut object);
        let want = json!({"nullable": null, "default": null, "map": {}, "unknown": null, "list": [null, {}]});
        assert_eq!(object, want);
    }
}
