//! What the two kinds of bindings share.

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1123_subdomain_problems, path_segment_problems};

use super::matching::{default_match_resources, match_resources};
use super::{static_name, static_name_warnings};
use crate::checks::{invalid, known_word, label_selector, required_name};
use crate::print;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy};

pub(super) const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("PolicyName", 0, "Policy that is put to use.", |binding, _| {
        binding.text("spec.policyName").into()
    }),
    print::text("ParamRef", 0, "Objects that the policy gets as parameters.", |binding, _| {
        param_ref_cell(binding.at("spec.paramRef"))
    }),
    print::AGE,
];

fn param_ref_cell(reference: &Tree) -> Value {
    match (reference.text("name"), reference.text("namespace")) {
        ("", _) if reference.has("selector") => selector_as_go(reference.at("selector")).into(),
        ("", _) => "<unset>".into(),
        // Whether the parameter has a namespace cannot be told from here.
        (name, "") => format!("*/{name}").into(),
        (name, namespace) => format!("{namespace}/{name}").into(),
    }
}

/// A selector as Go prints the struct.
fn selector_as_go(selector: &Tree) -> String {
    let mut labels: Vec<String> = selector
        .entries("matchLabels")
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default()))
        .collect();
    labels.sort_unstable();
    let expression = |rule: &Tree| {
        let (key, operator, values) =
            (rule.text("key"), rule.text("operator"), rule.texts("values").join(" "));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = selector.items("matchExpressions").iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}",
        labels.concat()
    )
}

/// The rules of both kinds.
pub(super) struct Binding {
    /// Checks what only one kind has: the spec and its path.
    pub(super) own: fn(&mut ErrorList, &Tree, &Path),
}

impl Binding {
    /// The problems of a binding.
    pub(super) fn problems(&self, binding: &Tree) -> ErrorList {
        let mut found = ErrorList::new();
        let (spec, path) = (binding.at("spec"), Path::new("spec"));
        common(&mut found, spec, &path);
        (self.own)(&mut found, spec, &path);
        found
    }
}

impl Strategy for Binding {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = self.problems(tree);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        self.problems(new)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Completes a binding.
fn defaults(tree: &mut Tree) {
    if let Some(resources) = tree.part_mut("spec").and_then(|spec| spec.part_mut("matchResources")) {
        default_match_resources(resources);
    }
}

/// Checks what both kinds of bindings have.
fn common(found: &mut ErrorList, spec: &Tree, path: &Path) {
    required_name(found, path.child("policyName"), spec.text("policyName"), dns1123_subdomain_problems);
    if spec.has("paramRef") {
        param_ref(found, spec.at("paramRef"), &path.child("paramRef"));
    }
    match_resources(found, spec.at("matchResources"), &path.child("matchResources"));
}

fn param_ref(found: &mut ErrorList, reference: &Tree, path: &Path) {
    const ONE: &str = "name and selector are mutually exclusive";
    let (name, selector) = (reference.text("name"), reference.at("selector"));
    if !name.is_empty() {
        invalid(found, &path.child("name"), name, path_segment_problems(name, false));
        if !selector.is_null() {
            found.push(Error::forbidden(path.child("name"), ONE));
        }
    }
    if !selector.is_null() {
        label_selector(found, selector, &path.child("selector"), false);
        if !name.is_empty() {
            found.push(Error::forbidden(path.child("selector"), ONE));
        }
    } else if name.is_empty() {
        found.push(Error::required(path.clone(), "one of name or selector must be specified"));
    }
    let at = path.child("parameterNotFoundAction");
    match reference.text("parameterNotFoundAction") {
        "" => found.push(Error::required(at, "")),
        action => known_word(found, at, action, &["Deny", "Allow"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn problems(spec: &Tree) -> Vec<String> {
        let mut found = ErrorList::new();
        common(&mut found, spec, &Path::new("spec"));
        texts(&found)
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(Tree, &[&str]); 6] = [
            (json!({"name": "a", "parameterNotFoundAction": "Allow"}), &[]),
            (json!({"selector": {}, "parameterNotFoundAction": "Deny"}), &[]),
            (
                json!({}),
                &[
                    "spec.paramRef: Required value: one of name or selector must be specified",
                    "spec.paramRef.parameterNotFoundAction: Required value",
                ],
            ),
            (
                json!({"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}),
                &[
                    "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                    "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                ],
            ),
            (
                json!({"name": "a/b", "parameterNotFoundAction": "Deny"}),
                &["spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'"],
            ),
            (
                json!({"name": "a", "parameterNotFoundAction": "Wait"}),
                &[
                    "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Wait\": supported values: \"Deny\", \"Allow\"",
                ],
            ),
        ];
        for (reference, want) in cases {
            assert_eq!(problems(&json!({"policyName": "p", "paramRef": reference})), want, "{reference}");
        }
        assert_eq!(problems(&json!({})), ["spec.policyName: Required value"]);
        assert!(
            problems(&json!({"policyName": "A"}))[0].starts_with("spec.policyName: Invalid value: \"A\": ")
        );
        let mut binding = json!({"spec": {"policyName": "p", "matchResources": {"matchPolicy": "Fuzzy"}}});
        defaults(&mut binding);
        let want = "spec.matchResources.matchPolicy: Unsupported value: \"Fuzzy\": supported values: \"Equivalent\", \"Exact\"";
        assert_eq!(problems(&binding["spec"]), [want]);
    }

    #[test]
    fn bindings_print_as_upstream() {
        let show = |reference: Tree| {
            let binding = json!({"metadata": {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"policyName": "p", "paramRef": reference}});
            row(COLUMNS, &binding, "2026-01-01T00:05:00Z")
        };
        assert_eq!(show(json!(null)), "b|p|<unset>|5m");
        assert_eq!(show(json!({"name": "a"})), "b|p|*/a|5m");
        assert_eq!(show(json!({"name": "a", "namespace": "n"})), "b|p|n/a|5m");
        let selector = json!({"matchLabels": {"b": "1", "a": "2"},
            "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"]}]});
        let want = "b|p|&LabelSelector{MatchLabels:map[string]string{a: 2,b: 1,},\
            MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:c,Operator:In,Values:[x y],},},}|5m";
        assert_eq!(show(json!({"selector": selector})), want);
    }
}
