//! Pruning: fields that the schema does not know are taken away.

use serde_json::{Map, Value};
use steersman_apimachinery::Tree;

use crate::place::Place;
use crate::schema::{Additional, Node};
use crate::{Schema, coerce};

/// What is kept of every whole object, whatever the schema says.
pub(crate) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Schema {
    /// Takes unknown fields away and gives their paths, sorted. Metadata is not looked at. Pruning twice is pruning
    /// once.
    pub fn prune(&self, object: &mut Tree) -> Vec<String> {
        prune_as(object, &self.root, true)
    }
}

/// Prunes a value; `is_object`: it is a whole object, whatever its schema says.
pub(crate) fn prune_as(value: &mut Tree, node: &Node, is_object: bool) -> Vec<String> {
    let mut pruner = Pruner { unknown: Vec::new() };
    pruner.prune(value, Some(node), is_object || node.embedded, &Place::ROOT);
    pruner.unknown.sort_unstable();
    pruner.unknown
}

struct Pruner {
    unknown: Vec<String>,
}

impl Pruner {
    fn prune(&mut self, value: &mut Tree, node: Option<&Node>, embedded: bool, place: &Place<'_>) {
        match (value, node) {
            (value, Some(node)) if node.preserve_unknown => self.prune_known(value, node, embedded, place),
            (Value::Object(fields), None) => self.drop_all(fields, place),
            (Value::Object(fields), Some(node)) => self.prune_fields(fields, node, embedded, place),
            (Value::Array(items), node) => {
                let below = node.and_then(|node| node.items.as_deref());
                for (i, item) in items.iter_mut().enumerate() {
                    self.prune(item, below, coerce::is_embedded(below), &place.index(i));
                }
            }
            _ => {}
        }
    }

    fn drop_all(&mut self, fields: &mut Map<String, Value>, place: &Place<'_>) {
        self.unknown.extend(fields.keys().map(|name| place.field(name).dotted()));
        fields.clear();
    }

    fn prune_fields(
        &mut self,
        fields: &mut Map<String, Value>,
        node: &Node,
        embedded: bool,
        place: &Place<'_>,
    ) {
        fields.retain(|name, value| {
            if embedded && META_FIELDS.contains(&name.as_str()) {
                return true;
            }
            let at = place.field(name);
            match (node.property(name), &node.additional) {
                (Some(below), _) | (None, Additional::Of(below)) => {
                    self.prune(value, Some(below), below.embedded, &at);
                    true
                }
                (None, Additional::Any | Additional::Nothing) => {
                    self.prune(value, None, false, &at);
                    true
                }
                (None, Additional::Unstated) => {
                    if !place.is_root() || !META_FIELDS.contains(&name.as_str()) {
                        self.unknown.push(at.dotted());
                    }
                    false
                }
            }
        });
    }

    /// Where unknown fields are kept, what is known is still pruned inside.
    fn prune_known(&mut self, value: &mut Tree, node: &Node, embedded: bool, place: &Place<'_>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if embedded && META_FIELDS.contains(&name.as_str()) {
                        continue;
                    }
                    let at = place.field(name);
                    match (node.property(name), &node.additional) {
                        (Some(below), _) | (None, Additional::Of(below)) => {
                            self.prune(value, Some(below), below.embedded, &at);
                        }
                        (None, Additional::Any | Additional::Nothing) => self.prune(value, None, false, &at),
                        (None, Additional::Unstated) => {}
                    }
                }
            }
            Value::Array(items) => {
                let Some(below) = node.items.as_deref() else { return };
                for (i, item) in items.iter_mut().enumerate() {
                    self.prune_known(item, below, below.embedded, &place.index(i));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, mut object: Value, want: Value, unknown: &[&str]) {
        let schema = Schema::parse(&schema).unwrap();
        assert_eq!(schema.prune(&mut object), unknown, "{object}");
        assert_eq!(object, want);
    }

    #[test]
    fn unknown_fields_go_and_are_reported() {
        let spec = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"y": {}}}},
            "open": {"type": "object", "additionalProperties": true},
        }}}});
        check(
            spec,
            json!({"apiVersion": "v1", "kind": "K", "metadata": {"odd": 1}, "extra": 1, "spec": {
                "a": "b", "z": 1, "list": [{"x": 1}, {"x": 2, "y": 3}], "map": {"k": {"y": 1, "z": 2}},
                "open": {"scalar": 1, "list": [{"gone": 1}]}}}),
            json!({"apiVersion": "v1", "kind": "K", "metadata": {"odd": 1}, "spec": {
                "a": "b", "list": [{"x": 1}, {"x": 2}], "map": {"k": {"y": 1}},
                "open": {"scalar": 1, "list": [{}]}}}),
            &["extra", "spec.list[1].y", "spec.map.k.z", "spec.open.list[0].gone", "spec.z"],
        );
    }

    #[test]
    fn what_is_preserved_is_kept_but_for_unknown_fields_below_known_ones() {
        check(
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "known": {"type": "object", "properties": {"a": {}}}}}),
            json!({"free": {"x": 1}, "known": {"a": 1, "b": 2}}),
            json!({"free": {"x": 1}, "known": {"a": 1}}),
            &["known.b"],
        );
    }

    #[test]
    fn embedded_resources_keep_what_every_object_has() {
        check(
            json!({"type": "object", "properties": {
                "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": {"spec": {"type": "object"}}},
                "plain": {"type": "object"}}}),
            json!({"template": {"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": {"a": 1}, "b": 1},
                "plain": {"kind": "K"}}),
            json!({"template": {"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": {}}, "plain": {}}),
            &["plain.kind", "template.b", "template.spec.a"],
        );
    }
}
