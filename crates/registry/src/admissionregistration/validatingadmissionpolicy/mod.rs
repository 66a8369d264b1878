//! Validating admission policies.

mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use super::{GROUP, policies, static_name, static_name_warnings};
use crate::print::{self, integer_cell};
use crate::resource::{Resource, Verb};
use crate::rules::{count_generation, differs, keep_metadata_for_status, keep_spec, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ValidatingAdmissionPolicy",
    plural: "validatingadmissionpolicies",
    singular: "validatingadmissionpolicy",
    subresources: &[table::part(
        "status",
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        Verb::READ_WRITE,
    )],
    definition: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    storage: "validatingadmissionpolicies",
    strategy: &ValidatingPolicy,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Validations", 0, "Number of validations.", |policy, _| {
        integer_cell(policy.items("spec.validations").len())
    }),
    print::text("ParamKind", 0, "Kind of the objects that are parameters.", |policy, _| {
        policies::param_kind_cell(policy)
    }),
    print::AGE,
];

struct ValidatingPolicy;

impl Strategy for ValidatingPolicy {
    fn apply_defaults(&self, tree: &mut Tree) {
        policies::defaults(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            keep_metadata_for_status(new, old);
            return;
        }
        new.copy(old, "status");
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = validation::policy(tree, false);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some(_) => validation::status(new.at("status")),
            None => validation::policy(new, policies::same_conditions(new, old)),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn policies_print_as_upstream() {
        let mut policy = json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"validations": [{}, {}]}});
        assert_eq!(row(COLUMNS, &policy, "2026-01-01T00:05:00Z"), "p|2|<unset>|5m");
        policy["spec"]["paramKind"] = json!({"apiVersion": "a.b/v1", "kind": "K"});
        assert_eq!(row(COLUMNS, &policy, "2026-01-01T00:05:00Z"), "p|2|a.b/v1/K|5m");
    }

    #[test]
    fn each_write_changes_its_part() {
        let mut old = json!({"metadata": {}, "spec": {"a": 1}, "status": {"x": 1}});
        ValidatingPolicy.prepare_for_create(&mut old, &Context::default());
        let new = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"a": 2}, "status": {"x": 2}});
        let (mut by_spec, mut by_status) = (new.clone(), new);
        ValidatingPolicy.prepare_for_update(&mut by_spec, &old, &Context::default());
        let want =
            json!({"metadata": {"labels": {"a": "b"}, "generation": 2}, "spec": {"a": 2}, "status": {}});
        assert_eq!(by_spec, want);
        let status = Context { subresource: Some("status"), ..Context::default() };
        ValidatingPolicy.prepare_for_update(&mut by_status, &old, &status);
        assert_eq!(by_status, json!({"metadata": {"generation": 1}, "spec": {"a": 1}, "status": {"x": 2}}));
    }
}
