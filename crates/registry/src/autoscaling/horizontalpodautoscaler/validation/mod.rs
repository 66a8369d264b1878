//! Validation of autoscalers.

mod metrics;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::path_segment_problems;
use steersman_apimachinery::quantity::Quantity;

use crate::checks::{invalid, known_word, not_negative, optional_word, required};
use crate::tree::Read;

const MAX_WINDOW_SECONDS: i64 = 3600;
const MAX_PERIOD_SECONDS: i64 = 1800;

/// What an `apiVersion` may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApiVersion {
    /// A group and a version.
    Grouped,
    /// A version with or without a group.
    Any,
    /// Whatever it was before.
    Unchecked,
}

/// Checks a new autoscaler.
pub(super) fn create(autoscaler: &Tree) -> ErrorList {
    spec(autoscaler, &Tree::Null)
}

/// Checks a change. What was wrong before may stay so.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    spec(new, old)
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    not_negative(&mut found, new.at("status"), &Path::new("status"), &["currentReplicas", "desiredReplicas"]);
    found
}

fn spec(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (new.at("spec"), Path::new("spec"));
    // Scaling to zero is alpha and off.
    let lowest = if old.int("spec.minReplicas") == Some(0) { 0 } else { 1 };
    replicas(&mut found, spec, lowest, &path);
    let (target, at) = (spec.at("scaleTargetRef"), path.child("scaleTargetRef"));
    reference(&mut found, target, &at, target_rule(target, old.at("spec.scaleTargetRef")));
    metrics::all(&mut found, spec, &path.child("metrics"), metrics::object_rule(old));
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(
            &mut found,
            spec.at("behavior").at(direction),
            &path.child("behavior").child(direction),
        );
    }
    found
}

fn replicas(found: &mut ErrorList, spec: &Tree, lowest: i64, path: &Path) {
    let (min, max) = (spec.int("minReplicas"), spec.int("maxReplicas").unwrap_or(0));
    let at = path.child("maxReplicas");
    if let Some(min) = min.filter(|min| *min < lowest) {
        let why = format!("must be greater than or equal to {lowest}");
        found.push(Error::invalid(path.child("minReplicas"), min, why));
    }
    if max == 0 {
        found.push(Error::required(at.clone(), ""));
    } else if max < 0 {
        found.push(Error::invalid(at.clone(), max, "must be greater than or equal to 1"));
    }
    if min.is_some_and(|min| max < min) {
        found.push(Error::invalid(at, max, "must be greater than or equal to `minReplicas`"));
    }
}

/// Only the core group has no name, and only one of its kinds can be scaled.
fn target_rule(target: &Tree, old: &Tree) -> ApiVersion {
    let same = |field: &str| target.text(field) == old.text(field);
    match target.text("kind") {
        _ if !old.is_null() && same("apiVersion") && same("kind") => ApiVersion::Unchecked,
        "ReplicationController" => ApiVersion::Any,
        _ => ApiVersion::Grouped,
    }
}

fn reference(found: &mut ErrorList, reference: &Tree, path: &Path, rule: ApiVersion) {
    for field in ["kind", "name"] {
        let (value, at) = (reference.text(field), path.child(field));
        if required(found, at.clone(), value) {
            invalid(found, &at, value, path_segment_problems(value, false));
        }
    }
    let version = reference.text("apiVersion");
    if let Some(why) = api_version_problem(version, rule) {
        found.push(Error::invalid(path.child("apiVersion"), version, why));
    }
}

fn api_version_problem(text: &str, rule: ApiVersion) -> Option<String> {
    let group = match text.split('/').collect::<Vec<_>>()[..] {
        _ if rule == ApiVersion::Unchecked => return None,
        [_] => "",
        [group, _] => group,
        _ => return Some(format!("unexpected GroupVersion string: {text}")),
    };
    (group.is_empty() && rule == ApiVersion::Grouped).then(|| "apiVersion must specify API group".to_owned())
}

fn scaling_rules(found: &mut ErrorList, rules: &Tree, path: &Path) {
    if rules.is_null() {
        return;
    }
    if let Some(seconds) = rules.int("stabilizationWindowSeconds") {
        let at = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            found.push(Error::invalid(at, seconds, "must be greater than or equal to zero"));
        } else if seconds > MAX_WINDOW_SECONDS {
            let why = format!("must be less than or equal to {MAX_WINDOW_SECONDS}");
            found.push(Error::invalid(at, seconds, why));
        }
    }
    optional_word(found, rules, path, "selectPolicy", &["Disabled", "Max", "Min"]);
    let at = path.child("policies");
    if rules.items("policies").is_empty() {
        found.push(Error::required(at.clone(), "must specify at least one Policy"));
    }
    for (index, policy) in rules.items("policies").iter().enumerate() {
        scaling_policy(found, policy, &at.index(index));
    }
    let tolerance = rules.at("tolerance");
    if Quantity::from_tree(tolerance).is_ok_and(|tolerance| tolerance.signum() < 0) {
        let why = "must be greater than or equal to 0";
        found.push(Error::invalid(path.child("tolerance"), tolerance.clone(), why));
    }
}

fn scaling_policy(found: &mut ErrorList, policy: &Tree, path: &Path) {
    known_word(found, path.child("type"), policy.text("type"), &["Percent", "Pods"]);
    for field in ["value", "periodSeconds"] {
        let value = policy.int(field).unwrap_or(0);
        if value <= 0 {
            found.push(Error::invalid(path.child(field), value, "must be greater than zero"));
        }
        if field == "periodSeconds" && value > MAX_PERIOD_SECONDS {
            let why = format!("must be less than or equal to {MAX_PERIOD_SECONDS}");
            found.push(Error::invalid(path.child(field), value, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::autoscaling::horizontalpodautoscaler::defaults;
    use crate::checks::tests::texts;

    fn autoscaler(spec: &Value) -> Value {
        let mut tree = json!({"spec": {"maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}});
        for (field, value) in spec.entries("") {
            tree["spec"][field] = value.clone();
        }
        defaults::v2(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let target = |version: &str, kind: &str, name: &str| json!({"scaleTargetRef": {"apiVersion": version, "kind": kind, "name": name}});
        let up = |rules: Value| json!({"behavior": {"scaleUp": rules}});
        let cases: [(Value, &[&str]); 13] = [
            (json!({}), &[]),
            (
                json!({"maxReplicas": 0, "minReplicas": null}),
                &[
                    "maxReplicas: Required value",
                    "maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
                ],
            ),
            (
                json!({"maxReplicas": -1, "minReplicas": 0}),
                &[
                    "minReplicas: Invalid value: 0: must be greater than or equal to 1",
                    "maxReplicas: Invalid value: -1: must be greater than or equal to 1",
                    "maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`",
                    "metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero \
                 replicas",
                ],
            ),
            (
                target("apps/v1", "", "a/b"),
                &[
                    "scaleTargetRef.kind: Required value",
                    "scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'",
                ],
            ),
            (
                target("apps/v1", "..", ""),
                &[
                    "scaleTargetRef.kind: Invalid value: \"..\": may not be '..'",
                    "scaleTargetRef.name: Required value",
                ],
            ),
            (
                target("v1", "Deployment", "d"),
                &["scaleTargetRef.apiVersion: Invalid value: \"v1\": apiVersion must specify API group"],
            ),
            (target("", "ReplicationController", "d"), &[]),
            (
                target("a/b/c", "ReplicationController", "d"),
                &[
                    "scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                ],
            ),
            (
                up(json!({"stabilizationWindowSeconds": -1, "selectPolicy": "Odd"})),
                &[
                    "behavior.scaleUp.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero",
                    "behavior.scaleUp.selectPolicy: Unsupported value: \"Odd\": supported values: \"Disabled\", \"Max\", \
                 \"Min\"",
                ],
            ),
            (
                up(json!({"stabilizationWindowSeconds": 3601, "tolerance": "-1"})),
                &[
                    "behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
                    "behavior.scaleUp.tolerance: Invalid value: \"-1\": must be greater than or equal to 0",
                ],
            ),
            (
                up(json!({"policies": []})),
                &["behavior.scaleUp.policies: Required value: must specify at least one Policy"],
            ),
            (
                up(json!({"policies": [{"type": "Odd", "value": 0, "periodSeconds": 0}]})),
                &[
                    "behavior.scaleUp.policies[0].type: Unsupported value: \"Odd\": supported values: \"Percent\", \"Pods\"",
                    "behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
                    "behavior.scaleUp.policies[0].periodSeconds: Invalid value: 0: must be greater than zero",
                ],
            ),
            (
                up(json!({"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]})),
                &[
                    "behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
                ],
            ),
        ];
        for (spec, want) in cases {
            let want: Vec<String> = want.iter().map(|text| format!("spec.{text}")).collect();
            assert_eq!(texts(&create(&autoscaler(&spec))), want, "{spec}");
        }
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let bad =
            autoscaler(&json!({"scaleTargetRef": {"apiVersion": "v1", "kind": "Deployment", "name": "d"}}));
        assert!(update(&bad, &bad).is_empty());
        let zero = autoscaler(&json!({"minReplicas": 0, "metrics": [{"type": "External", "external": {
            "metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}}}]}));
        assert_eq!(update(&zero, &bad).len(), 1);
        assert!(update(&zero, &zero).is_empty());
    }

    #[test]
    fn counts_of_a_status_are_not_negative() {
        let report = json!({"status": {"currentReplicas": -1, "desiredReplicas": -2}});
        let want = [
            "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.desiredReplicas: Invalid value: -2: must be greater than or equal to 0",
        ];
        assert_eq!(texts(&status(&report)), want);
    }
}
