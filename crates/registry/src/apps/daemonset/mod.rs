//! Daemon sets.

mod defaults;
mod prepare;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::core::podspec::warnings;
use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    subresources: &[table::part("status", "apps", "DaemonSet", Verb::READ_WRITE)],
    definition: "io.k8s.api.apps.v1.DaemonSet",
    storage: "daemonsets",
    strategy: &DaemonSet,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Desired", 0, "Nodes that should run the pod.", |object, _| {
        integer_of(object, "status.desiredNumberScheduled")
    }),
    print::integer("Current", 0, "Nodes that run the pod.", |object, _| {
        integer_of(object, "status.currentNumberScheduled")
    }),
    print::integer("Ready", 0, "Nodes whose pod is ready.", |object, _| {
        integer_of(object, "status.numberReady")
    }),
    print::integer("Up-to-date", 0, "Nodes that run the newest template.", |object, _| {
        integer_of(object, "status.updatedNumberScheduled")
    }),
    print::integer("Available", 0, "Nodes whose pod serves.", |object, _| {
        integer_of(object, "status.numberAvailable")
    }),
    print::text("Node Selector", 0, "Which nodes may run the pod.", |object, _| {
        print::labels(object, "spec.template.spec.nodeSelector").into()
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
    print::text("Selector", 1, "Which pods it owns.", |object, _| {
        print::selector_cell(object, "spec.selector")
    }),
];

struct DaemonSet;

impl Strategy for DaemonSet {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::daemon_set(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        prepare::create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        prepare::update(new, old, context);
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
        let changed =
            old.is_none_or(|old| prepare::template_generation(old) != prepare::template_generation(new));
        if context.subresource.is_none() && changed {
            warnings::template(new, "spec.template")
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn daemon_sets_print_as_upstream() {
        let mut object = json!({
            "metadata": {"name": "d", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {"spec": {
                "nodeSelector": {"disk": "ssd"}, "containers": [{"name": "a", "image": "nginx"}]}}},
            "status": {"desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3,
                "updatedNumberScheduled": 2, "numberAvailable": 1},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "d|5|4|3|2|1|disk=ssd|10s|a|nginx|app=d");
        object["spec"]["template"]["spec"]["nodeSelector"] = json!(null);
        assert!(row(COLUMNS, &object, "2026-01-01T00:00:10Z").contains("|<none>|10s"));
    }

    #[test]
    fn only_a_changed_template_is_warned_of() {
        let set = |generation: &str| {
            json!({"metadata": {"annotations": {"deprecated.daemonset.template.generation": generation}},
                "spec": {"template": {"spec": {"imagePullSecrets": [{}]}}}})
        };
        let context = Context::default();
        let want = ["spec.template.spec.imagePullSecrets[0].name: invalid empty name \"\""];
        assert_eq!(DaemonSet.warnings(&set("1"), None, &context), want);
        assert_eq!(DaemonSet.warnings(&set("2"), Some(&set("1")), &context), want);
        assert!(DaemonSet.warnings(&set("1"), Some(&set("1")), &context).is_empty());
    }
}
