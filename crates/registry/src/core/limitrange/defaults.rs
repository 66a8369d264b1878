//! Defaults of limit ranges: for containers, what is not said follows from what is.

use steersman_apimachinery::Tree;

use crate::tree::{Read, Write};

/// Completes one limit.
pub(super) fn limit(limit: &mut Tree) {
    if limit.text("type") != "Container" {
        return;
    }
    for (field, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let known = limit.at(from).clone();
        let Some(amounts) = limit.object_mut(field) else { continue };
        for (name, value) in known.entries("") {
            if amounts.get(name).is_none() {
                amounts.set(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_of_containers_follow_from_each_other() {
        let mut tree = json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1"}, "default": {"a/b": "3"}});
        limit(&mut tree);
        let want = json!({
            "type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1"}, "default": {"a/b": "3", "cpu": "2"},
            "defaultRequest": {"a/b": "3", "cpu": "2", "memory": "1"},
        });
        assert_eq!(tree, want);
        let mut pods = json!({"type": "Pod", "max": {"cpu": "2"}});
        limit(&mut pods);
        assert_eq!(pods, json!({"type": "Pod", "max": {"cpu": "2"}}));
    }
}
