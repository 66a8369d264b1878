//! Rules: which operations on which resources a webhook or a policy is about.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{Seen, known_word, optional_word, required};
use crate::tree::{Read, Write};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// Completes rules.
pub(super) fn default_rules(rules: &mut [Tree]) {
    for rule in rules.iter_mut().filter(|rule| rule.is_object()) {
        rule.default_value("scope", "*");
    }
}

/// Checks a rule.
pub(super) fn rule(found: &mut ErrorList, rule: &Tree, path: &Path) {
    lonely_wildcard(found, rule, path, "operations", "operations");
    for (index, operation) in rule.texts("operations").into_iter().enumerate() {
        known_word(found, path.child("operations").index(index), operation, &OPERATIONS);
    }
    lonely_wildcard(found, rule, path, "apiGroups", "API groups");
    lonely_wildcard(found, rule, path, "apiVersions", "API versions");
    for (index, version) in rule.texts("apiVersions").into_iter().enumerate() {
        required(found, path.child("apiVersions").index(index), version);
    }
    resources(found, rule, &path.child("resources"));
    optional_word(found, rule, path, "scope", &SCOPES);
}

/// A list that has something in it, and nothing beside a `*`.
fn lonely_wildcard(found: &mut ErrorList, rule: &Tree, path: &Path, field: &str, others: &str) {
    let values = rule.texts(field);
    if values.is_empty() {
        found.push(Error::required(path.child(field), ""));
    }
    if values.len() > 1 && values.contains(&"*") {
        let why = format!("if '*' is present, must not specify other {others}");
        found.push(Error::invalid(path.child(field), rule.at(field).clone(), why));
    }
}

fn resources(found: &mut ErrorList, rule: &Tree, path: &Path) {
    let resources = rule.texts("resources");
    if resources.is_empty() {
        found.push(Error::required(path.clone(), ""));
    }
    // What has been said with a wildcard so far: `pods/*` by its resource, `*/scale` by its subresource.
    let (mut all_of_resource, mut of_all_resources) = (Seen::default(), Seen::default());
    for (index, whole) in resources.iter().enumerate() {
        let at = path.index(index);
        let Some((resource, subresource)) = whole.split_once('/') else {
            required(found, at, whole);
            continue;
        };
        let covers = [
            (all_of_resource.has(resource), format!("{resource}/*")),
            (of_all_resources.has(subresource), format!("*/{subresource}")),
        ];
        for (_, by) in covers.into_iter().filter(|(covered, _)| *covered) {
            let why = format!("if '{by}' is present, must not specify {whole}");
            found.push(Error::invalid(at.clone(), *whole, why));
        }
        if subresource == "*" {
            all_of_resource.first(resource);
        }
        if resource == "*" {
            of_all_resources.first(subresource);
        }
    }
    let shown = || rule.at("resources").clone();
    if resources.len() > 1 && resources.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        found.push(Error::invalid(path.clone(), shown(), why));
    }
    // The last resource without a subresource decides, as upstream does it.
    let last = resources.iter().rev().find(|resource| !resource.is_empty() && !resource.contains('/'));
    if resources.contains(&"*") && last.is_some_and(|last| *last != "*") {
        let why = "if '*' is present, must not specify other resources without subresources";
        found.push(Error::invalid(path.clone(), shown(), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn problems(field: &str, value: Value) -> Vec<String> {
        let mut rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
        default_rules(std::slice::from_mut(&mut rule));
        assert_eq!(rule["scope"], "*");
        rule[field] = value;
        let mut found = ErrorList::new();
        self::rule(&mut found, &rule, &Path::new("r"));
        texts(&found)
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(&str, Value, &[&str]); 15] = [
            ("operations", json!(["*"]), &[]),
            ("operations", json!([]), &["r.operations: Required value"]),
            (
                "operations",
                json!(["*", "CREATE"]),
                &[
                    "r.operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
                ],
            ),
            (
                "operations",
                json!(["GET"]),
                &[
                    "r.operations[0]: Unsupported value: \"GET\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                ],
            ),
            ("apiGroups", json!(null), &["r.apiGroups: Required value"]),
            (
                "apiGroups",
                json!(["*", "apps"]),
                &[
                    "r.apiGroups: Invalid value: [\"*\",\"apps\"]: if '*' is present, must not specify other API groups",
                ],
            ),
            ("apiVersions", json!([""]), &["r.apiVersions[0]: Required value"]),
            (
                "apiVersions",
                json!(["*", "v1"]),
                &[
                    "r.apiVersions: Invalid value: [\"*\",\"v1\"]: if '*' is present, must not specify other API versions",
                ],
            ),
            ("resources", json!([]), &["r.resources: Required value"]),
            ("resources", json!(["", "*/scale", "pods"]), &["r.resources[0]: Required value"]),
            (
                "resources",
                json!(["pods/*", "pods/status"]),
                &[
                    "r.resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
                ],
            ),
            (
                "resources",
                json!(["*/scale", "pods/scale"]),
                &[
                    "r.resources[1]: Invalid value: \"pods/scale\": if '*/scale' is present, must not specify pods/scale",
                ],
            ),
            (
                "resources",
                json!(["*/*", "pods"]),
                &[
                    "r.resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
                ],
            ),
            (
                "resources",
                json!(["*", "pods"]),
                &[
                    "r.resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
                ],
            ),
            (
                "scope",
                json!("World"),
                &[
                    "r.scope: Unsupported value: \"World\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
                ],
            ),
        ];
        for (field, value, want) in cases {
            assert_eq!(problems(field, value.clone()), want, "{field}: {value}");
        }
    }
}
