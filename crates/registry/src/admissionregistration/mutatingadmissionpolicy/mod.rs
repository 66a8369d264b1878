//! Mutating admission policies.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::expressions::expression;
use super::matching::mutable_operations;
use super::{GROUP, REINVOCATION_POLICIES, policies, static_name, static_name_warnings};
use crate::checks::{known_word, required, required_word};
use crate::print::{self, integer_cell};
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::Read;
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "MutatingAdmissionPolicy",
    plural: "mutatingadmissionpolicies",
    singular: "mutatingadmissionpolicy",
    definition: "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    storage: "mutatingadmissionpolicies",
    strategy: &MutatingPolicy,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Mutations", 0, "Number of mutations.", |policy, _| {
        integer_cell(policy.items("spec.mutations").len())
    }),
    print::text("ParamKind", 0, "Kind of the objects that are parameters.", |policy, _| {
        policies::param_kind_cell(policy)
    }),
    print::AGE,
];

/// How a mutation is given, and the field that has it.
const PATCHES: [(&str, &str); 2] = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];

struct MutatingPolicy;

impl Strategy for MutatingPolicy {
    fn apply_defaults(&self, tree: &mut Tree) {
        policies::defaults(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = policy(tree.at("spec"), false);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        policy(new.at("spec"), policies::same_conditions(new, old))
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn policy(spec: &Tree, same_conditions: bool) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    policies::head(&mut found, spec, &path);
    mutable_operations(&mut found, spec.at("matchConstraints"), &path.child("matchConstraints"));
    policies::conditions_and_variables(&mut found, spec, &path, same_conditions);
    let mutations = spec.items("mutations");
    if mutations.is_empty() {
        let why = "mutations must contain at least one item";
        found.push(Error::required(path.child("mutations"), why));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        self::mutation(&mut found, mutation, &path.child("mutations").index(index));
    }
    let word = spec.text("reinvocationPolicy");
    required_word(&mut found, path.child("reinvocationPolicy"), word, &REINVOCATION_POLICIES);
    found
}

fn mutation(found: &mut ErrorList, mutation: &Tree, path: &Path) {
    let (kind, at) = (mutation.text("patchType"), path.child("patchType"));
    if !required(found, at.clone(), kind) {
        return;
    }
    let Some((_, field)) = PATCHES.iter().find(|(known, _)| *known == kind) else {
        known_word(found, at, kind, &PATCHES.map(|(kind, _)| kind));
        return;
    };
    if mutation.has(field) {
        let path = path.child(field).child("expression");
        expression(found, path, mutation.at(field).text("expression"), "");
    } else {
        found.push(Error::required(path.child(field), format!("must be specified when patchType is {kind}")));
    }
    for (_, other) in PATCHES.iter().filter(|(_, other)| other != field && mutation.has(other)) {
        let why = format!("must not be specified when patchType is {kind}");
        found.push(Error::invalid(path.child(other), format!("{{{other}}}"), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admissionregistration::policies::tests::{constraints, policy as make};
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let mutation = |item: Tree| json!({"mutations": [item]});
        let mut deleting = constraints();
        deleting["resourceRules"][0]["operations"] = json!(["DELETE"]);
        let path = "spec.mutations[0]";
        let cases: Vec<(Tree, Vec<String>)> = vec![
            (json!({}), vec![]),
            (mutation(json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}})), vec![]),
            (
                json!({"mutations": [], "reinvocationPolicy": ""}),
                vec![
                    "spec.mutations: Required value: mutations must contain at least one item".into(),
                    "spec.reinvocationPolicy: Required value".into(),
                ],
            ),
            (
                json!({"reinvocationPolicy": "Often"}),
                vec![
                    "spec.reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\"".into(),
                ],
            ),
            (
                json!({"matchConstraints": deleting}),
                vec![
                    "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"".into(),
                ],
            ),
            (mutation(json!({})), vec![format!("{path}.patchType: Required value")]),
            (
                mutation(json!({"patchType": "Strategic"})),
                vec![format!(
                    "{path}.patchType: Unsupported value: \"Strategic\": supported values: \"ApplyConfiguration\", \"JSONPatch\""
                )],
            ),
            (
                mutation(json!({"patchType": "JSONPatch", "applyConfiguration": {"expression": "x"}})),
                vec![
                    format!("{path}.jsonPatch: Required value: must be specified when patchType is JSONPatch"),
                    format!(
                        "{path}.applyConfiguration: Invalid value: \"{{applyConfiguration}}\": must not be specified when patchType is JSONPatch"
                    ),
                ],
            ),
            (
                mutation(json!({"patchType": "ApplyConfiguration", "applyConfiguration": {}})),
                vec![format!("{path}.applyConfiguration.expression: Required value")],
            ),
        ];
        let base = json!({"reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}]});
        for (changes, want) in cases {
            let made = make(base.clone(), &changes);
            assert_eq!(texts(&policy(&made["spec"], false)), want, "{changes}");
        }
    }

    #[test]
    fn policies_print_as_upstream() {
        let policy = json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"mutations": [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}});
        assert_eq!(row(COLUMNS, &policy, "2026-01-01T00:05:00Z"), "p|1|v1/ConfigMap|5m");
    }
}
