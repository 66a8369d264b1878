//! Deployments.

mod defaults;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::core::podspec::warnings;
use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::rules::{count_generation, differs, keep_metadata, keep_spec, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    subresources: &[table::SCALE, table::part("status", "apps", "Deployment", Verb::READ_WRITE)],
    definition: "io.k8s.api.apps.v1.Deployment",
    storage: "deployments",
    strategy: &Deployment,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Ready", 0, "Ready pods, of those wanted.", |object, _| {
        let (ready, wanted) = (object.int("status.readyReplicas"), object.int("spec.replicas"));
        format!("{}/{}", ready.unwrap_or(0), wanted.unwrap_or(0)).into()
    }),
    print::text("Up-to-date", 0, "Pods of the newest template.", |object, _| {
        integer_of(object, "status.updatedReplicas")
    }),
    print::text("Available", 0, "Pods that serve.", |object, _| {
        integer_of(object, "status.availableReplicas")
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
    print::text("Selector", 1, "Which pods it owns.", |object, _| {
        print::selector(object.at("spec.selector")).into()
    }),
];

struct Deployment;

impl Strategy for Deployment {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::deployment(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource == Some("status") {
            keep_spec(new, old);
            keep_metadata(new, old, "labels");
            return;
        }
        new.copy(old, "status");
        // The controller copies annotations to replica sets, so they count.
        let changed = differs(new, old, "spec") || differs(new, old, "metadata.annotations");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new, old),
            _ => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        warnings::workload(new, old, context)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn deployments_print_as_upstream() {
        let object = json!({
            "metadata": {"name": "d", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "d"}}, "template": {"spec": {"containers": [
                {"name": "a", "image": "nginx"}, {"name": "b", "image": "redis:7"}]}}},
            "status": {"readyReplicas": 2, "updatedReplicas": 1},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-03T01:00:00Z"), "d|2/3|1|0|2d1h|a,b|nginx,redis:7|app=d");
    }
}
