//! What the two kinds of webhook configurations share.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;
use steersman_apimachinery::names::{dns1035_label_problems, dns1123_subdomain_problems};

use super::matching::{MATCH_POLICIES, default_selection, match_conditions};
use super::rules::{default_rules, rule};
use super::{FAILURE_POLICIES, REINVOCATION_POLICIES, static_name, static_name_warnings};
use crate::checks::{Seen, invalid, label_selector, optional_word};
use crate::print::{self, integer_cell};
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, webhook};

pub(super) const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Webhooks", 0, "Number of webhooks.", |object, _| {
        integer_cell(object.items("webhooks").len())
    }),
    print::AGE,
];

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];
const SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];

/// The rules of both kinds.
pub(super) struct Webhooks {
    /// Whether they may change objects.
    pub(super) mutating: bool,
}

impl Strategy for Webhooks {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults(tree, self.mutating);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "webhooks");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = create(tree);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        update(new, old)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Completes webhooks; only mutating ones can be called again.
fn defaults(tree: &mut Tree, mutating: bool) {
    for hook in tree.items_mut("webhooks").iter_mut().filter(|hook| hook.is_object()) {
        hook.default_value("failurePolicy", "Fail");
        default_selection(hook);
        hook.default_value("timeoutSeconds", 10);
        if mutating {
            hook.default_value("reinvocationPolicy", "Never");
        }
        if let Some(config) = hook.part_mut("clientConfig") {
            webhook::default_client_config(config);
        }
        default_rules(hook.items_mut("rules"));
    }
}

/// What an update may leave as it was though it would not be allowed anew.
#[derive(Clone, Copy, Default)]
struct Tolerated {
    conditions: bool,
    side_effects: bool,
    review_versions: bool,
    names: bool,
    label_values: bool,
}

/// Checks a new configuration.
fn create(object: &Tree) -> ErrorList {
    all(object, Tolerated::default())
}

/// Checks a change.
fn update(new: &Tree, old: &Tree) -> ErrorList {
    let hooks = old.items("webhooks");
    let mut names = Seen::default();
    let bad_selector = |hook: &Tree, field: &str| {
        hook.has(field) && !validate_label_selector(hook.at(field), &Path::root()).is_empty()
    };
    let accepted = |hook: &Tree| {
        let versions = hook.texts("admissionReviewVersions");
        versions.is_empty() || versions.iter().any(|version| REVIEW_VERSIONS.contains(version))
    };
    all(
        new,
        Tolerated {
            conditions: same_conditions(new.items("webhooks"), hooks),
            side_effects: !hooks.iter().all(|hook| HARMLESS.contains(&hook.text("sideEffects"))),
            review_versions: !hooks.iter().all(accepted),
            names: !hooks.iter().all(|hook| names.first(hook.text("name"))),
            label_values: hooks
                .iter()
                .any(|hook| bad_selector(hook, "namespaceSelector") || bad_selector(hook, "objectSelector")),
        },
    )
}

fn same_conditions(new: &[Tree], old: &[Tree]) -> bool {
    new.len() == old.len() && new.iter().zip(old).all(|(new, old)| !differs(new, old, "matchConditions"))
}

fn all(object: &Tree, tolerated: Tolerated) -> ErrorList {
    let mut found = ErrorList::new();
    let mut names = Seen::default();
    for (index, hook) in object.items("webhooks").iter().enumerate() {
        let (name, path) = (hook.text("name"), Path::new("webhooks").index(index));
        self::hook(&mut found, hook, &path, tolerated);
        review_versions(&mut found, hook, &path.child("admissionReviewVersions"), tolerated);
        if !tolerated.names && !name.is_empty() {
            names.unique(&mut found, path.child("name"), name);
        }
    }
    found
}

fn hook(found: &mut ErrorList, hook: &Tree, path: &Path, tolerated: Tolerated) {
    qualified_domain(found, hook.text("name"), &path.child("name"));
    for (index, item) in hook.items("rules").iter().enumerate() {
        rule(found, item, &path.child("rules").index(index));
    }
    optional_word(found, hook, path, "failurePolicy", &FAILURE_POLICIES);
    optional_word(found, hook, path, "matchPolicy", &MATCH_POLICIES);
    let allowed: &[&str] = if tolerated.side_effects { &SIDE_EFFECTS } else { &HARMLESS };
    if !hook.has("sideEffects") {
        let why = format!("must specify one of {}", allowed.join(", "));
        found.push(Error::required(path.child("sideEffects"), why));
    }
    optional_word(found, hook, path, "sideEffects", allowed);
    if let Some(seconds) = hook.int("timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        found.push(Error::invalid(path.child("timeoutSeconds"), seconds, why));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        label_selector(found, hook.at(field), &path.child(field), tolerated.label_values);
    }
    optional_word(found, hook, path, "reinvocationPolicy", &REINVOCATION_POLICIES);
    webhook::client_config(found, hook.at("clientConfig"), &path.child("clientConfig"));
    if !tolerated.conditions {
        match_conditions(found, hook.items("matchConditions"), &path.child("matchConditions"));
    }
}

/// A name of at least three labels.
fn qualified_domain(found: &mut ErrorList, name: &str, path: &Path) {
    let problems = dns1123_subdomain_problems(name, false);
    if name.is_empty() {
        found.push(Error::required(path.clone(), ""));
    } else if !problems.is_empty() {
        found.push(Error::invalid(path.clone(), name, problems.join(",")));
    } else if name.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        found.push(Error::invalid(path.clone(), name, why));
    }
}

fn review_versions(found: &mut ErrorList, hook: &Tree, path: &Path, tolerated: Tolerated) {
    let versions = hook.texts("admissionReviewVersions");
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        found.push(Error::required(path.clone(), format!("must specify one of {known}")));
        return;
    }
    let mut seen = Seen::default();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        if seen.first(*version) {
            invalid(found, &path, version, dns1035_label_problems(version, false));
        } else {
            found.push(Error::invalid(path, *version, "duplicate version"));
        }
    }
    if !tolerated.review_versions && !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let shown = hook.at("admissionReviewVersions").clone();
        found.push(Error::invalid(path.clone(), shown, format!("must include at least one of {known}")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn configuration(changes: &[(&str, Value)]) -> Value {
        let mut hook = json!({"name": "a.b.c", "clientConfig": {"url": "https://a"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"]});
        for (field, value) in changes {
            hook[*field] = value.clone();
        }
        let mut object = json!({"webhooks": [hook]});
        defaults(&mut object, true);
        object
    }

    #[test]
    fn webhooks_have_defaults() {
        let object =
            configuration(&[("clientConfig", json!({"service": {"name": "a"}})), ("rules", json!([{}]))]);
        let hook = &object["webhooks"][0];
        let want = json!({"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "a", "port": 443}}, "rules": [{"scope": "*"}],
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "timeoutSeconds": 10, "reinvocationPolicy": "Never"});
        assert_eq!(hook, &want);
        let mut validating = json!({"webhooks": [{}]});
        defaults(&mut validating, false);
        assert_eq!(validating["webhooks"][0].get("reinvocationPolicy"), None);
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(&str, Value, &[&str]); 15] = [
            ("name", json!("a.b.c"), &[]),
            ("name", json!(""), &["name: Required value"]),
            (
                "name",
                json!("a.b"),
                &[
                    "name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
                ],
            ),
            (
                "failurePolicy",
                json!("Panic"),
                &["failurePolicy: Unsupported value: \"Panic\": supported values: \"Fail\", \"Ignore\""],
            ),
            (
                "matchPolicy",
                json!("Fuzzy"),
                &["matchPolicy: Unsupported value: \"Fuzzy\": supported values: \"Equivalent\", \"Exact\""],
            ),
            (
                "sideEffects",
                json!(null),
                &["sideEffects: Required value: must specify one of None, NoneOnDryRun"],
            ),
            (
                "sideEffects",
                json!("Some"),
                &["sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\""],
            ),
            (
                "timeoutSeconds",
                json!(31),
                &["timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
            ),
            (
                "reinvocationPolicy",
                json!("Often"),
                &[
                    "reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\"",
                ],
            ),
            (
                "clientConfig",
                json!({}),
                &["clientConfig: Required value: exactly one of url or service is required"],
            ),
            ("matchConditions", json!([{"name": "a"}]), &["matchConditions[0].expression: Required value"]),
            (
                "admissionReviewVersions",
                json!([]),
                &["admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
            ),
            (
                "admissionReviewVersions",
                json!(["v1", "v1"]),
                &["admissionReviewVersions[1]: Invalid value: \"v1\": duplicate version"],
            ),
            (
                "admissionReviewVersions",
                json!(["v2"]),
                &[
                    "admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
                ],
            ),
            (
                "rules",
                json!([{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"]}]),
                &["rules[0].resources: Required value"],
            ),
        ];
        for (field, value, want) in cases {
            let want: Vec<String> = want.iter().map(|why| format!("webhooks[0].{why}")).collect();
            assert_eq!(texts(&create(&configuration(&[(field, value.clone())]))), want, "{field}: {value}");
        }
        let mut twice = configuration(&[]);
        let hook = twice["webhooks"][0].clone();
        twice["webhooks"].as_array_mut().expect("a list").push(hook);
        assert_eq!(texts(&create(&twice)), ["webhooks[1].name: Duplicate value: \"a.b.c\""]);
    }

    #[test]
    fn an_update_tolerates_what_was_there() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]});
        let mut old = configuration(&[
            ("sideEffects", json!("Some")),
            ("admissionReviewVersions", json!(["v2"])),
            ("matchConditions", json!([{"name": "a"}])),
            ("objectSelector", selector),
        ]);
        let hook = old["webhooks"][0].clone();
        old["webhooks"].as_array_mut().expect("a list").push(hook);
        assert_eq!(create(&old).len(), 9);
        assert_eq!(texts(&update(&old, &old)), Vec::<String>::new());
        assert_eq!(update(&old, &configuration(&[])).len(), 9);
    }

    #[test]
    fn configurations_print_as_upstream() {
        let object = json!({"metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}, "webhooks": [{}, {}]});
        assert_eq!(crate::print::tests::row(COLUMNS, &object, "2026-01-01T00:05:00Z"), "c|2|5m");
    }

    #[test]
    fn the_generation_counts_webhooks() {
        for kind in [Webhooks { mutating: true }, Webhooks { mutating: false }] {
            let old = json!({"metadata": {"generation": 3}, "webhooks": [{"name": "a"}]});
            let mut new = json!({"metadata": {}, "webhooks": [{"name": "b"}]});
            kind.prepare_for_update(&mut new, &old, &Context::default());
            assert_eq!(new["metadata"]["generation"], 4);
            let mut new = json!({"metadata": {"labels": {"a": "b"}}, "webhooks": [{"name": "a"}]});
            kind.prepare_for_update(&mut new, &old, &Context::default());
            assert_eq!(new["metadata"]["generation"], 3);
        }
    }
}
