//! Replication controllers: what came before replica sets, with a plain map as selector.

mod defaults;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::core::podspec::warnings;
use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Dependents, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    subresources: &[table::SCALE, table::part("status", "", "ReplicationController", Verb::READ_WRITE)],
    definition: "io.k8s.api.core.v1.ReplicationController",
    storage: "controllers",
    strategy: &ReplicationController,
    columns: COLUMNS,
    selectable_fields: &[("status.replicas", |object| {
        object.int("status.replicas").unwrap_or(0).to_string()
    })],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Desired", 0, "Pods wanted.", |object, _| integer_of(object, "spec.replicas")),
    print::integer("Current", 0, "Pods there are.", |object, _| integer_of(object, "status.replicas")),
    print::integer("Ready", 0, "Pods that are ready.", |object, _| {
        integer_of(object, "status.readyReplicas")
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
    print::text("Selector", 1, "Which pods it owns.", |object, _| {
        print::labels(object, "spec.selector").into()
    }),
];

struct ReplicationController;

impl Strategy for ReplicationController {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::replication_controller(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"replicas": 0}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        keep_parts_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::spec(tree)
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new),
            _ => validation::spec(new),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        warnings::workload(new, old, context)
    }

    /// As `v1` always had it.
    fn default_dependents(&self) -> Dependents {
        Dependents::Orphan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn replication_controllers_print_as_upstream() {
        let object = json!({
            "metadata": {"name": "rc", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "selector": {"app": "a"}, "template": {"spec": {"containers": [
                {"name": "a", "image": "nginx"}]}}},
            "status": {"replicas": 2, "readyReplicas": 1},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "rc|3|2|1|10s|a|nginx|app=a");
    }

    #[test]
    fn names_that_are_no_labels_are_warned_of() {
        let rc = json!({"metadata": {"name": "a.b"}});
        let context = Context::default();
        let got = ReplicationController.warnings(&rc, None, &context);
        let want = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a \
                    DNS label is recommended: [must not contain dots]";
        assert_eq!(got, [want]);
        assert!(ReplicationController.warnings(&rc, Some(&rc), &context).is_empty());
    }
}
