//! Reading and completing trees by field name. Reading is lenient: what is absent, null or of another type reads as
//! empty, since the decoder has already refused wrong types.

use serde_json::Map;
use steersman_apimachinery::Tree;

static NULL: Tree = Tree::Null;

/// Reads a tree by dotted paths (`status.podIP`). A key that has a dot itself (a label) needs [`Tree::get`].
pub(crate) trait Read {
    /// The value at `path`; null if there is none.
    fn at(&self, path: &str) -> &Tree;

    /// The string at `path`; empty if there is none.
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// The integer at `path`.
    fn int(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    /// The boolean at `path`; false if there is none.
    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or_default()
    }

    /// The list at `path`; empty if there is none.
    fn items(&self, path: &str) -> &[Tree] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    /// The map at `path`, in its order; empty if there is none.
    fn entries(&self, path: &str) -> impl Iterator<Item = (&str, &Tree)> {
        self.at(path).as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there is something other than null at `path`.
    fn has(&self, path: &str) -> bool {
        !self.at(path).is_null()
    }

    /// The strings of the list at `path`.
    fn texts(&self, path: &str) -> Vec<&str> {
        self.items(path).iter().filter_map(Tree::as_str).collect()
    }
}

impl Read for Tree {
    fn at(&self, path: &str) -> &Tree {
        let mut here = self;
        if path.is_empty() {
            return here;
        }
        for name in path.split('.') {
            match here.get(name) {
                Some(next) => here = next,
                None => return &NULL,
            }
        }
        here
    }
}

/// Completes a tree. A tree that is no object is left alone: validation reports it.
pub(crate) trait Write {
    /// Sets `key` if it is absent, null or the empty string: how a Go string field tells "not given".
    fn default_text(&mut self, key: &str, value: &str);

    /// Sets `key` if it is absent or null: how a Go pointer field tells "not given".
    fn default_value(&mut self, key: &str, value: impl Into<Tree>);

    /// Sets `key` if it is absent, null or zero: how a plain Go integer tells "not given".
    fn default_number(&mut self, key: &str, value: i64);

    /// The object under `key`; made if absent or null. `None` if something else is there.
    fn object_mut(&mut self, key: &str) -> Option<&mut Tree>;

    /// The object under `key`, if there is one.
    fn part_mut(&mut self, key: &str) -> Option<&mut Tree>;

    /// The items of the list under `key`; none if there is no list.
    fn items_mut(&mut self, key: &str) -> &mut [Tree];

    /// Sets `key`.
    fn set(&mut self, key: &str, value: impl Into<Tree>);

    /// Removes `key`.
    fn remove(&mut self, key: &str);

    /// Makes `key` what it is in `other`: absent if it is absent there.
    fn copy(&mut self, other: &Tree, key: &str);
}

impl Write for Tree {
    fn default_text(&mut self, key: &str, value: &str) {
        if self.text(key).is_empty() && !matches!(self.get(key), Some(Tree::Number(_) | Tree::Object(_))) {
            self.set(key, value);
        }
    }

    fn default_value(&mut self, key: &str, value: impl Into<Tree>) {
        if !self.has(key) {
            self.set(key, value);
        }
    }

    fn default_number(&mut self, key: &str, value: i64) {
        if !self.has(key) || self.int(key) == Some(0) {
            self.set(key, value);
        }
    }

    fn object_mut(&mut self, key: &str) -> Option<&mut Tree> {
        self.default_value(key, Tree::Object(Map::new()));
        self.part_mut(key)
    }

    fn part_mut(&mut self, key: &str) -> Option<&mut Tree> {
        self.get_mut(key).filter(|part| part.is_object())
    }

    fn items_mut(&mut self, key: &str) -> &mut [Tree] {
        self.get_mut(key).and_then(Tree::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
    }

    fn set(&mut self, key: &str, value: impl Into<Tree>) {
        if let Some(map) = self.as_object_mut() {
            map.insert(key.to_owned(), value.into());
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(map) = self.as_object_mut() {
            map.remove(key);
        }
    }

    fn copy(&mut self, other: &Tree, key: &str) {
        match other.get(key) {
            Some(value) => self.set(key, value.clone()),
            None => self.remove(key),
        }
    }
}

/// Whether two trees say the same to Go: an absent field equals null, an empty list, map or string, zero and false.
pub(crate) fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Object(x), Tree::Object(y)) => {
            let keys = x.keys().chain(y.keys().filter(|key| !x.contains_key(*key)));
            keys.into_iter().all(|key| same(x.get(key).unwrap_or(&NULL), y.get(key).unwrap_or(&NULL)))
        }
        (Tree::Array(x), Tree::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        _ => a == b || (is_zero(a) && is_zero(b)),
    }
}

fn is_zero(tree: &Tree) -> bool {
    match tree {
        Tree::Null => true,
        Tree::Bool(b) => !b,
        Tree::Number(n) => n.as_f64() == Some(0.0),
        Tree::String(s) => s.is_empty(),
        Tree::Array(items) => items.is_empty(),
        Tree::Object(map) => map.values().all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_empty_are_the_same() {
        assert!(same(&json!({"a": null, "b": [], "c": 1}), &json!({"c": 1, "d": {"e": ""}})));
        assert!(!same(&json!({"a": [1]}), &json!({"a": [1, 2]})));
        assert!(!same(&json!({"a": "x"}), &json!({})));
    }

    #[test]
    fn reads_are_lenient() {
        let tree = json!({"a": {"b": "x", "n": 3}});
        assert_eq!(tree.text("a.b"), "x");
        assert_eq!(tree.text("a.n"), "");
        assert_eq!(tree.int("a.n"), Some(3));
        assert!(tree.items("a.b").is_empty());
        assert!(!tree.has("a.c.d"));
    }
}
