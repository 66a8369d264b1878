//! Validation of budgets of pod disruptions.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;

use crate::checks::{at_most_all, count_or_percent, not_negative, optional_word};
use crate::conditions::conditions;
use crate::tree::Read;

/// Checks a new budget.
pub(super) fn create(budget: &Tree) -> ErrorList {
    let mut found = limits(budget.at("spec"));
    found.extend(selector_problems(budget));
    found
}

/// Checks a change: a selector that was bad before may stay so.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = limits(new.at("spec"));
    if selector_problems(old).is_empty() {
        found.extend(selector_problems(new));
    }
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    conditions(&mut found, status.items("conditions"), &path.child("conditions"));
    let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
    not_negative(&mut found, status, &path, &counts);
    found
}

fn limits(spec: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        let why = "minAvailable and maxUnavailable cannot be both set";
        found.push(Error::invalid(path.clone(), as_go(spec), why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        count_or_percent(&mut found, &path.child(field), spec.at(field));
        at_most_all(&mut found, &path.child(field), spec.at(field));
    }
    optional_word(&mut found, spec, &path, "unhealthyPodEvictionPolicy", &["AlwaysAllow", "IfHealthyBudget"]);
    found
}

fn as_go(spec: &Tree) -> Tree {
    json!({
        "MinAvailable": spec.at("minAvailable"), "Selector": spec.at("selector"),
        "MaxUnavailable": spec.at("maxUnavailable"),
        "UnhealthyPodEvictionPolicy": spec.at("unhealthyPodEvictionPolicy"),
    })
}

fn selector_problems(budget: &Tree) -> ErrorList {
    validate_label_selector(budget.at("spec.selector"), &Path::new("spec").child("selector"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(Tree, &[&str]); 6] = [
            (json!({"minAvailable": "100%", "selector": {"matchLabels": {"a": "b"}}}), &[]),
            (
                json!({"minAvailable": 1, "maxUnavailable": 2}),
                &["spec: Invalid value: {\"MaxUnavailable\":2,\"MinAvailable\":1,\"Selector\":null,\
                   \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set"],
            ),
            (
                json!({"minAvailable": -1}),
                &["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!({"maxUnavailable": "101%"}),
                &["spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"],
            ),
            (
                json!({"unhealthyPodEvictionPolicy": "Never"}),
                &[
                    "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \
                   \"IfHealthyBudget\"",
                ],
            ),
            (
                json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}),
                &[
                    "spec.selector.matchExpressions[0].operator: Invalid value: \"Odd\": not a valid selector operator",
                ],
            ),
        ];
        for (spec, want) in cases {
            assert_eq!(texts(&create(&json!({"spec": spec}))), want);
        }
    }

    #[test]
    fn a_bad_selector_may_stay() {
        let good = json!({"spec": {}});
        let bad = json!({"spec": {"selector": {"matchLabels": {"a": "b c"}}}});
        assert_eq!(update(&bad, &good).len(), 1);
        assert!(update(&bad, &bad).is_empty());
    }

    #[test]
    fn the_status_is_checked() {
        let condition = |reason: &str| {
            json!({"type": "DisruptionAllowed", "status": "True", "reason": reason,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let report = json!({"status": {
            "disruptionsAllowed": -1, "conditions": [condition("Fine"), condition(""), {"observedGeneration": -1}],
        }});
        let want = [
            "status.conditions[1]: Duplicate value: \"DisruptionAllowed\"",
            "status.conditions[1].reason: Required value",
            "status.conditions[2].type: Required value: is required",
            "status.conditions[2].status: Required value",
            "status.conditions[2].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
            "status.conditions[2].lastTransitionTime: Required value",
            "status.conditions[2].reason: Required value",
            "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0",
        ];
        assert_eq!(texts(&status(&report)), want);
        let odd = json!({"status": {"conditions": [condition("not a word")]}});
        let got = texts(&status(&odd));
        let want = "status.conditions[0].reason: Invalid value: \"not a word\": a condition reason must start with \
                    alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must \
                    end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or \
                    'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is \
                    '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
        assert_eq!(got, [want]);
    }
}
