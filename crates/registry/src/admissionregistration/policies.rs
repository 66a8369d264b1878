//! What the two kinds of admission policies share.

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1035_label_problems, dns1123_subdomain_problems};

use super::FAILURE_POLICIES;
use super::expressions::{expression, is_identifier};
use super::matching::{default_match_resources, match_conditions, match_resources};
use crate::checks::{known_word, required};
use crate::rules::differs;
use crate::tree::{Read, Write};

/// The cell of the column `ParamKind`.
pub(super) fn param_kind_cell(policy: &Tree) -> Value {
    let kind = policy.at("spec.paramKind");
    if kind.is_null() {
        return "<unset>".into();
    }
    format!("{}/{}", kind.text("apiVersion"), kind.text("kind")).into()
}

/// Completes a policy.
pub(super) fn defaults(tree: &mut Tree) {
    let Some(spec) = tree.object_mut("spec") else { return };
    spec.default_value("failurePolicy", "Fail");
    if let Some(constraints) = spec.part_mut("matchConstraints") {
        default_match_resources(constraints);
    }
}

/// Whether an update changes nothing that could make match conditions wrong that were right.
pub(super) fn same_conditions(new: &Tree, old: &Tree) -> bool {
    !differs(new, old, "spec.paramKind") && !differs(new, old, "spec.matchConditions")
}

/// Checks what comes before the match conditions.
pub(super) fn head(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let policy = spec.text("failurePolicy");
    match spec.has("failurePolicy") {
        true => known_word(found, path.child("failurePolicy"), policy, &FAILURE_POLICIES),
        false => found.push(Error::required(path.child("failurePolicy"), "")),
    }
    if spec.has("paramKind") {
        param_kind(found, spec.at("paramKind"), &path.child("paramKind"));
    }
    let (constraints, at) = (spec.at("matchConstraints"), path.child("matchConstraints"));
    if constraints.is_null() {
        found.push(Error::required(at, ""));
        return;
    }
    match_resources(found, constraints, &at);
    if constraints.items("resourceRules").is_empty() {
        found.push(Error::required(at.child("resourceRules"), ""));
    }
}

/// Checks the match conditions, unless they are as they were, and the variables.
pub(super) fn conditions_and_variables(
    found: &mut ErrorList,
    spec: &Tree,
    path: &Path,
    same_conditions: bool,
) {
    if !same_conditions {
        match_conditions(found, spec.items("matchConditions"), &path.child("matchConditions"));
    }
    for (index, variable) in spec.items("variables").iter().enumerate() {
        let (name, path) = (variable.text("name"), path.child("variables").index(index));
        if name.trim().is_empty() {
            found.push(Error::required(path.child("name"), "name is not specified"));
        } else if !is_identifier(name) {
            found.push(Error::invalid(path.child("name"), name, "must be a valid CEL identifier"));
        }
        let text = variable.text("expression");
        expression(found, path.child("expression"), text, "expression is not specified");
    }
}

fn param_kind(found: &mut ErrorList, kind: &Tree, path: &Path) {
    let (version, at) = (kind.text("apiVersion"), path.child("apiVersion"));
    if required(found, at.clone(), version) {
        group_version(found, version, &at);
    }
    let (name, at) = (kind.text("kind"), path.child("kind"));
    if required(found, at.clone(), name) {
        let problems = dns1035_label_problems(&name.to_lowercase(), false);
        if !problems.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", problems.join(","));
            found.push(Error::invalid(at, name, why));
        }
    }
}

fn group_version(found: &mut ErrorList, text: &str, path: &Path) {
    if text.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {text}");
        found.push(Error::invalid(path.clone(), text, why));
        return;
    }
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    let mut check = |part: &str, problems: Vec<String>| {
        if !problems.is_empty() {
            found.push(Error::invalid(path.clone(), part, problems.join(",")));
        }
    };
    if !group.is_empty() {
        check(group, dns1123_subdomain_problems(group, false));
    }
    if version.is_empty() {
        found.push(Error::invalid(path.clone(), text, "version must be specified"));
    } else {
        check(version, dns1035_label_problems(version, false));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    /// What a policy matches, completed.
    pub(crate) fn constraints() -> Tree {
        let mut constraints = json!({"resourceRules": [{"operations": ["CREATE"], "apiGroups": [""],
            "apiVersions": ["v1"], "resources": ["pods"]}]});
        default_match_resources(&mut constraints);
        constraints
    }

    /// A policy with some fields of its spec changed, and completed.
    pub(crate) fn policy(mut spec: Tree, changes: &Tree) -> Tree {
        spec["matchConstraints"] = constraints();
        for (field, value) in changes.as_object().expect("a map") {
            spec[field] = value.clone();
        }
        let mut policy = json!({"metadata": {"name": "p"}, "spec": spec});
        defaults(&mut policy);
        policy
    }

    fn problems(changes: &Tree) -> Vec<String> {
        let policy = policy(json!({}), changes);
        let mut found = ErrorList::new();
        head(&mut found, &policy["spec"], &Path::new("spec"));
        conditions_and_variables(&mut found, &policy["spec"], &Path::new("spec"), false);
        texts(&found)
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(Tree, &[&str]); 10] = [
            (json!({"paramKind": {"apiVersion": "a.b/v1", "kind": "Limit"}}), &[]),
            (
                json!({"failurePolicy": "Panic"}),
                &["spec.failurePolicy: Unsupported value: \"Panic\": supported values: \"Fail\", \"Ignore\""],
            ),
            (
                json!({"paramKind": {}}),
                &["spec.paramKind.apiVersion: Required value", "spec.paramKind.kind: Required value"],
            ),
            (
                json!({"paramKind": {"apiVersion": "a/b/c", "kind": "K"}}),
                &[
                    "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                ],
            ),
            (
                json!({"paramKind": {"apiVersion": "a/", "kind": "K"}}),
                &["spec.paramKind.apiVersion: Invalid value: \"a/\": version must be specified"],
            ),
            (json!({"matchConstraints": null}), &["spec.matchConstraints: Required value"]),
            (json!({"matchConstraints": {}}), &["spec.matchConstraints.resourceRules: Required value"]),
            (
                json!({"variables": [{}]}),
                &[
                    "spec.variables[0].name: Required value: name is not specified",
                    "spec.variables[0].expression: Required value: expression is not specified",
                ],
            ),
            (
                json!({"variables": [{"name": "a-b", "expression": "1"}]}),
                &["spec.variables[0].name: Invalid value: \"a-b\": must be a valid CEL identifier"],
            ),
            (
                json!({"matchConditions": [{"name": "a"}]}),
                &["spec.matchConditions[0].expression: Required value"],
            ),
        ];
        for (changes, want) in cases {
            assert_eq!(problems(&changes), want, "{changes}");
        }
        let got = problems(&json!({"paramKind": {"apiVersion": "A/V1", "kind": "a b"}}));
        assert!(got[0].starts_with("spec.paramKind.apiVersion: Invalid value: \"A\": "), "{got:?}");
        assert!(got[1].starts_with("spec.paramKind.apiVersion: Invalid value: \"V1\": "), "{got:?}");
        let want =
            "spec.paramKind.kind: Invalid value: \"a b\": may have mixed case, but should otherwise match: ";
        assert!(got[2].starts_with(want), "{got:?}");
        let mut found = ErrorList::new();
        head(&mut found, &json!({"matchConstraints": constraints()}), &Path::new("spec"));
        assert_eq!(texts(&found), ["spec.failurePolicy: Required value"]);
    }
}
