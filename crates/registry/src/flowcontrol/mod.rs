//! The group `flowcontrol.apiserver.k8s.io`: which requests wait for which.

pub(crate) mod flowschema;
pub(crate) mod prioritylevelconfiguration;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::checks::{Seen, required};
use crate::rules::{count_generation, differs, keep_metadata_for_status, keep_spec, set_generation};
use crate::tree::{Read, Write};

/// The object that must exist with a fixed content, and whose requests never wait.
const EXEMPT: &str = "exempt";
/// The object that must exist with a fixed content, for what no other one takes.
const CATCH_ALL: &str = "catch-all";

fn prepare_for_create(tree: &mut Tree) {
    tree.set("status", json!({}));
    set_generation(tree, 1);
}

fn prepare_for_update(new: &mut Tree, old: &Tree, subresource: Option<&str>) {
    if subresource.is_some() {
        keep_spec(new, old);
        keep_metadata_for_status(new, old);
        return;
    }
    new.copy(old, "status");
    let changed = differs(new, old, "spec");
    count_generation(new, old, changed);
}

/// The problems of a status: each condition has a type, and one of its own.
fn status(object: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("status").child("conditions");
    let mut seen = Seen::default();
    for (index, condition) in object.items("status.conditions").iter().enumerate() {
        let at = path.index(index).child("type");
        seen.unique(&mut found, at.clone(), condition.text("type"));
        required(&mut found, at, condition.text("type"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn conditions_have_types_of_their_own() {
        let object = json!({"status": {"conditions": [{"type": "A"}, {"type": "A"}, {}]}});
        let want = [
            "status.conditions[1].type: Duplicate value: \"A\"",
            "status.conditions[2].type: Required value",
        ];
        assert_eq!(texts(&status(&object)), want);
    }

    #[test]
    fn each_write_changes_its_part() {
        let mut old = json!({"metadata": {}, "spec": {"a": 1}, "status": {"x": 1}});
        prepare_for_create(&mut old);
        assert_eq!((&old["metadata"]["generation"], &old["status"]), (&json!(1), &json!({})));
        let new = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"a": 2}, "status": {"x": 2}});
        let (mut by_spec, mut by_status) = (new.clone(), new);
        prepare_for_update(&mut by_spec, &old, None);
        let want =
            json!({"metadata": {"labels": {"a": "b"}, "generation": 2}, "spec": {"a": 2}, "status": {}});
        assert_eq!(by_spec, want);
        prepare_for_update(&mut by_status, &old, Some("status"));
        assert_eq!(by_status, json!({"metadata": {"generation": 1}, "spec": {"a": 1}, "status": {"x": 2}}));
    }
}
