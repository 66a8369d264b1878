//! Defaults of replication controllers: selector and labels follow those of the template.

use steersman_apimachinery::Tree;

use crate::core::podspec::defaults::template_of;
use crate::tree::{Read, Write};

/// Completes a replication controller.
pub(super) fn replication_controller(tree: &mut Tree) {
    let labels = tree.at("spec.template.metadata.labels").clone();
    let follows = labels.as_object().is_some_and(|labels| !labels.is_empty());
    let empty = |map: &Tree| map.is_null() || map.as_object().is_some_and(serde_json::Map::is_empty);
    if follows
        && empty(tree.at("metadata.labels"))
        && let Some(metadata) = tree.object_mut("metadata")
    {
        metadata.set("labels", labels.clone());
    }
    let Some(spec) = tree.object_mut("spec") else { return };
    if follows && empty(spec.at("selector")) {
        spec.set("selector", labels);
    }
    spec.default_value("replicas", 1);
    // Unlike with other workloads, there may be no template at all.
    if spec.has("template") {
        template_of(spec);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_follow_the_template() {
        let mut tree = json!({"spec": {"template": {"metadata": {"labels": {"app": "a"}}}}});
        replication_controller(&mut tree);
        assert_eq!(tree["metadata"]["labels"], json!({"app": "a"}));
        assert_eq!(tree["spec"]["selector"], json!({"app": "a"}));
        assert_eq!(tree["spec"]["replicas"], 1);

        let mut tree = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"selector": {"b": "c"},
            "template": {"metadata": {"labels": {"app": "a"}}}}});
        replication_controller(&mut tree);
        assert_eq!(tree["metadata"]["labels"], json!({"x": "y"}));
        assert_eq!(tree["spec"]["selector"], json!({"b": "c"}));
    }
}
