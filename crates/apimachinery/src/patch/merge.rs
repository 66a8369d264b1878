//! JSON merge patch (RFC 7386). The library that upstream uses differs in one thing: of a value that does not replace a
//! map it drops nulls also from the maps in lists, where the RFC keeps them.

use serde_json::Map;

use super::json_type;
use crate::Tree;
use crate::status::ApiError;

/// Applies a merge patch, which must be a map: 400 if it is none.
pub fn apply_merge(object: &Tree, patch: &Tree) -> Result<Tree, ApiError> {
    if !patch.is_object() && !patch.is_null() {
        let got = json_type(patch);
        return Err(ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {got} into Go value of type map[string]interface {{}}"
        )));
    }
    let mut patched = object.clone();
    if let (Tree::Object(fields), Tree::Object(changes)) = (&mut patched, patch) {
        merge_fields(fields, changes);
    }
    Ok(patched)
}

fn merge_fields(fields: &mut Map<String, Tree>, changes: &Map<String, Tree>) {
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
            continue;
        }
        match (fields.get_mut(key), change) {
            (Some(Tree::Object(old)), Tree::Object(new)) => merge_fields(old, new),
            (Some(old @ Tree::Object(_)), new) => *old = new.clone(),
            (_, new) => drop(fields.insert(key.clone(), without_nulls(new))),
        }
    }
}

fn without_nulls(value: &Tree) -> Tree {
    match value {
        Tree::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Tree::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}

/// The function `MergePatch` of RFC 7386, for any two values.
pub fn merge(target: &mut Tree, patch: &Tree) {
    let Tree::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Tree::Object(Map::new());
    }
    let fields = target.as_object_mut().expect("made a map above");
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key).or_insert(Tree::Null), change);
        }
    }
}
