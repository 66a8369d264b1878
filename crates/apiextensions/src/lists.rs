//! The promises of `x-kubernetes-list-type`: items of a `set` are unique, those of a `map` have unique keys.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList};

use crate::Schema;
use crate::place::Place;
use crate::schema::{ListType, Node};

impl Schema {
    /// Items that occur again, each once.
    pub fn validate_lists(&self, object: &Tree) -> ErrorList {
        let mut found = ErrorList::new();
        walk(object, &self.root, &Place::ROOT, &mut found);
        found
    }

    /// The same on an update: nothing is wrong with an object that was wrong before.
    pub fn validate_lists_update(&self, new: &Tree, old: &Tree) -> ErrorList {
        let found = self.validate_lists(new);
        if found.is_empty() || !self.validate_lists(old).is_empty() { ErrorList::new() } else { found }
    }
}

fn walk(value: &Tree, node: &Node, place: &Place<'_>, found: &mut ErrorList) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(below) = node.property(name) {
                    walk(value, below, &place.field(name), found);
                } else if let Some(below) = node.values() {
                    walk(value, below, &place.key(name), found);
                }
            }
        }
        Value::Array(items) => {
            match &node.list {
                ListType::Set => check_set(items, place, found),
                ListType::Map(keys) => check_map(items, keys, place, found),
                ListType::Unstated | ListType::Atomic => {}
            }
            let Some(below) = &node.items else { return };
            for (i, item) in items.iter().enumerate() {
                walk(item, below, &place.index(i), found);
            }
        }
        _ => {}
    }
}

fn check_set(items: &[Tree], place: &Place<'_>, found: &mut ErrorList) {
    let again = repeated(items.iter().map(Tree::to_string));
    found.extend(again.into_iter().map(|i| Error::duplicate(place.path().index(i), items[i].clone())));
}

fn check_map(items: &[Tree], names: &[Arc<str>], place: &Place<'_>, found: &mut ErrorList) {
    if let Some(i) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let why = "must be an object for an array of list-type map";
        found.push(Error::invalid(place.path().index(i), items[i].clone(), why));
        return;
    }
    let keys: Vec<Tree> = items.iter().map(|item| key_of(item, names)).collect();
    let again = repeated(keys.iter().map(Tree::to_string));
    found.extend(again.into_iter().map(|i| Error::duplicate(place.path().index(i), keys[i].clone())));
}

/// Those of the key fields that an item has.
fn key_of(item: &Tree, names: &[Arc<str>]) -> Tree {
    let field = |name: &Arc<str>| Some((name.to_string(), item.get(&**name)?.clone()));
    Tree::Object(Map::from_iter(names.iter().filter_map(field)))
}

/// Where a text occurs for the second time.
fn repeated(texts: impl Iterator<Item = String>) -> Vec<usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut out = Vec::new();
    for (i, text) in texts.enumerate() {
        let times = seen.entry(text).or_default();
        *times += 1;
        if *times == 2 {
            out.push(i);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_occurs_again_is_found() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "one": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {}, "set": {"type": "array",
                    "x-kubernetes-list-type": "set"}}}},
            "two": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "l"]},
            "maps": {"type": "object", "additionalProperties": {"type": "array", "x-kubernetes-list-type": "set"}},
        }}))
        .unwrap();
        let cases = [
            (json!({"set": ["a", "b", "a", "a"]}), &["set[2]: Duplicate value: \"a\""][..]),
            (json!({"set": [1, 1.0, "1"]}), &[]),
            (
                json!({"one": [{"k": 1}, {"k": 2}, {"k": 1}, {}, null]}),
                &["one[2]: Duplicate value: {\"k\":1}", "one[4]: Duplicate value: {}"],
            ),
            (json!({"one": [{"k": 1, "set": ["x", "x"]}]}), &["one[0].set[1]: Duplicate value: \"x\""]),
            (
                json!({"one": [1]}),
                &["one[0]: Invalid value: 1: must be an object for an array of list-type map"],
            ),
            (
                json!({"two": [{"k": 1, "l": 1}, {"k": 1}, {"k": 1, "l": 1, "z": 0}]}),
                &["two[2]: Duplicate value: {\"k\":1,\"l\":1}"],
            ),
            (json!({"maps": {"x": [[1], [1]]}}), &["maps[x][1]: Duplicate value: [1]"]),
        ];
        for (object, want) in cases {
            let texts: Vec<String> = schema.validate_lists(&object).iter().map(ToString::to_string).collect();
            assert_eq!(texts, want, "{object}");
        }
        let (wrong, worse) = (json!({"set": ["a", "a"]}), json!({"set": ["a", "a", "b", "b"]}));
        assert!(schema.validate_lists_update(&worse, &wrong).is_empty());
        assert_eq!(schema.validate_lists_update(&wrong, &json!({})).len(), 1);
    }
}
