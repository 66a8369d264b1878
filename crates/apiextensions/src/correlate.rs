//! Which part of the old object a part of the new one comes from: fields by their names, items of `map` lists by their
//! keys. Items of other lists come from nowhere.

use serde_json::{Map, Value};

use crate::schema::{ListType, Node, Type};

/// A value with the one it was before.
#[derive(Clone, Copy)]
pub(crate) struct Correlated<'a> {
    pub(crate) new: &'a Value,
    pub(crate) old: &'a Value,
    pub(crate) node: &'a Node,
}

impl<'a> Correlated<'a> {
    /// The field of this name; `None` where it is new, or the schema does not know it.
    pub(crate) fn key(&self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.as_object()?.get(name)?, self.old.as_object()?.get(name)?);
        Some(Self { new, old, node: self.node.child(name)? })
    }

    /// The item at an index of the new list.
    pub(crate) fn index(&self, index: usize) -> Option<Self> {
        let new = self.new.as_array()?.get(index)?;
        let old = same_item(self.node, self.old.as_array()?, new)?;
        Some(Self { new, old, node: self.node.items.as_deref()? })
    }

    /// Whether nothing changed. `map` lists are the same in any order; what the schema does not know is never the
    /// same.
    pub(crate) fn is_unchanged(&self) -> bool {
        match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) => {
                let keyed = is_keyed(self.node) && !old.is_empty();
                let item_same = |i| self.index(i).is_some_and(|item| item.is_unchanged());
                new.len() == old.len() && (if keyed { (0..new.len()).all(item_same) } else { new == old })
            }
            (Value::Object(new), Value::Object(old)) => {
                let same = |name: &String| self.key(name).is_some_and(|field| field.is_unchanged());
                new.len() == old.len() && new.keys().all(same)
            }
            (new, old) => new == old,
        }
    }
}

fn is_keyed(node: &Node) -> bool {
    node.kind == Some(Type::Array) && matches!(&node.list, ListType::Map(keys) if !keys.is_empty())
}

/// The old item with the keys of a new one. Nothing is the same without all its keys, or with keys that are no scalars.
pub(crate) fn same_item<'a>(node: &Node, old: &'a [Value], new: &Value) -> Option<&'a Value> {
    let ListType::Map(names) = &node.list else { return None };
    if !is_keyed(node) {
        return None;
    }
    let keys = |item: &'a Value| all_keys(names, item.as_object()?);
    let wanted = all_keys(names, new.as_object()?)?;
    old.iter().find(|item| keys(item).is_some_and(|keys| keys == wanted))
}

fn all_keys<'v>(names: &[std::sync::Arc<str>], item: &'v Map<String, Value>) -> Option<Vec<&'v Value>> {
    let scalar = |value: &&Value| matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
    names.iter().map(|name| item.get(&**name).filter(scalar)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    #[test]
    fn lists_by_key_are_the_same_in_any_order() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
            "list": {"type": "array", "items": {"type": "integer"}}, "free": {"type": "object"}}}))
        .unwrap();
        let unchanged =
            |new: Value, old: Value| Correlated { new: &new, old: &old, node: &schema.root }.is_unchanged();
        let ab = json!({"map": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]});
        assert!(unchanged(json!({"map": [{"k": "b", "v": 2}, {"k": "a", "v": 1}]}), ab.clone()));
        assert!(!unchanged(json!({"map": [{"k": "b", "v": 3}, {"k": "a", "v": 1}]}), ab.clone()));
        assert!(!unchanged(json!({"map": [{"k": "a", "v": 1}]}), ab));
        assert!(unchanged(json!({"list": [1, 2]}), json!({"list": [1, 2]})));
        assert!(!unchanged(json!({"list": [2, 1]}), json!({"list": [1, 2]})));
        assert!(!unchanged(json!({"free": {"x": 1}}), json!({"free": {"x": 1}})), "unknown to the schema");
    }
}
