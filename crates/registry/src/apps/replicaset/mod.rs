//! Replica sets.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use crate::apps::{not_greater, selector_and_template};
use crate::checks::{immutable, not_negative};
use crate::core::podspec::defaults::template;
use crate::core::podspec::warnings;
use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[table::SCALE, table::part("status", "apps", "ReplicaSet", Verb::READ_WRITE)],
    definition: "io.k8s.api.apps.v1.ReplicaSet",
    storage: "replicasets",
    strategy: &ReplicaSet,
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
        print::or(&print::selector(object.at("spec.selector")), "<none>").into()
    }),
];

struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn apply_defaults(&self, tree: &mut Tree) {
        template(tree);
        if let Some(spec) = tree.object_mut("spec") {
            spec.default_value("replicas", 1);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"replicas": 0}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        keep_parts_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let (spec, path) = (tree.at("spec"), Path::new("spec"));
        not_negative(&mut found, spec, &path, &["replicas", "minReadySeconds"]);
        selector_and_template(&mut found, spec, &path);
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        if context.subresource == Some("status") {
            return status(new);
        }
        let mut found = self.validate(new, context);
        let path = Path::new("spec").child("selector");
        immutable(&mut found, path, new.at("spec.selector"), old.at("spec.selector"));
        found
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        warnings::workload(new, old, context)
    }
}

/// Checks a report of the controller.
fn status(new: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ];
    not_negative(&mut found, status, &path, &counts);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    not_greater(&mut found, status, &parts, "status.replicas", &path);
    not_greater(&mut found, status, &["availableReplicas"], "readyReplicas", &path);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn replica_sets_print_as_upstream() {
        let object = json!({
            "metadata": {"name": "d-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "nginx"}]}}},
            "status": {"replicas": 2},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "d-1|3|2|0|10s|a|nginx|<none>");
    }
}
