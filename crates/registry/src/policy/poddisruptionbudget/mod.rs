//! Budgets of pod disruptions: how many pods may be evicted at a time.

mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::intstr::IntOrString;
use steersman_apimachinery::names::path_segment_problems;

use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "policy",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    subresources: &[table::part("status", "policy", "PodDisruptionBudget", Verb::READ_WRITE)],
    definition: "io.k8s.api.policy.v1.PodDisruptionBudget",
    storage: "poddisruptionbudgets",
    strategy: &PodDisruptionBudget,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Min Available", 0, "Pods that must stay.", |object, _| {
        limit(object.at("spec.minAvailable"))
    }),
    print::text("Max Unavailable", 0, "Pods that may be away.", |object, _| {
        limit(object.at("spec.maxUnavailable"))
    }),
    print::integer("Allowed Disruptions", 0, "Pods that may be evicted now.", |object, _| {
        integer_of(object, "status.disruptionsAllowed")
    }),
    print::AGE,
];

fn limit(value: &Tree) -> Tree {
    IntOrString::from_tree(value).map_or_else(|| "N/A".to_owned(), |value| value.to_string()).into()
}

/// The key by which `v1beta1` budgets that select everything or nothing are told apart.
const EMPTY_SELECTOR: &str = "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match";

struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(selector) = tree.part_mut("spec").and_then(|spec| spec.part_mut("selector")) {
            drop_empty_mark(selector);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        let status =
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
        tree.set("status", status);
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        keep_parts_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new),
            _ => validation::update(new, old),
        }
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        path_segment_problems(name, prefix)
    }

    /// The controller and evictions race for the status.
    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The mark has a meaning only by itself: next to what a user selects it goes.
fn drop_empty_mark(selector: &mut Tree) {
    let alone = json!([{"key": EMPTY_SELECTOR, "operator": "Exists"}]);
    let marked = selector.items("matchExpressions").iter().any(|rule| rule.text("key") == EMPTY_SELECTOR);
    if !marked || (selector.at("matchExpressions") == &alone && !selector.has("matchLabels")) {
        return;
    }
    if let Some(rules) = selector.get_mut("matchExpressions").and_then(Tree::as_array_mut) {
        rules.retain(|rule| rule.text("key") != EMPTY_SELECTOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn budgets_print_as_upstream() {
        let mut object = json!({
            "metadata": {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 2},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "b|50%|N/A|2|10s");
        object["spec"] = json!({"maxUnavailable": 1});
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "b|N/A|1|2|10s");
    }

    #[test]
    fn a_name_is_any_segment_of_a_path() {
        assert!(PodDisruptionBudget.name_problems("No_Subdomain", false).is_empty());
        assert_eq!(PodDisruptionBudget.name_problems("a/b", false), ["may not contain '/'"]);
    }

    #[test]
    fn the_old_mark_stays_only_by_itself() {
        let mark = || json!({"key": EMPTY_SELECTOR, "operator": "Exists"});
        let cases = [
            (json!({"matchExpressions": [mark()]}), json!({"matchExpressions": [mark()]})),
            (
                json!({"matchExpressions": [mark()], "matchLabels": {"a": "b"}}),
                json!({"matchExpressions": [], "matchLabels": {"a": "b"}}),
            ),
            (json!({}), json!({})),
        ];
        for (selector, want) in cases {
            let mut tree = json!({"spec": {"selector": selector}});
            PodDisruptionBudget.apply_defaults(&mut tree);
            assert_eq!(tree["spec"]["selector"], want);
        }
    }
}
