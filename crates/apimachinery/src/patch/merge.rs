//! JSON merge patch (RFC 7386).

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
    if patch.is_object() {
        merge(&mut patched, patch);
    }
    Ok(patched)
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
