//! Each case changes one field of a valid quota and names the problems that upstream reports then.

use serde_json::Value;

use super::*;
use crate::checks::tests::assert_problems;

fn quota() -> Value {
    json!({
        "spec": {
            "hard": {"pods": "10", "requests.cpu": "4"}, "scopes": ["NotBestEffort"],
            "scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]},
        },
        "status": {"hard": {"pods": "10"}, "used": {"pods": "1"}},
    })
}

#[test]
fn amounts_are_of_what_can_be_counted() {
    let cases = [
        (
            "/spec/hard/storage",
            json!("1"),
            vec!["spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota"],
        ),
        (
            "/spec/hard/cats",
            json!("1"),
            vec![
                "spec.hard[cats]: Invalid value: \"cats\": must be a standard resource type or fully qualified",
                "spec.hard[cats]: Invalid value: \"cats\": must be a standard resource for quota",
            ],
        ),
        (
            "/spec/hard/pods",
            json!("-1"),
            vec!["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
        ),
        (
            "/spec/hard/pods",
            json!("500m"),
            vec!["spec.hard[pods]: Invalid value: \"500m\": must be an integer"],
        ),
        ("/spec/hard/count~1deployments.apps", json!("3"), vec![]),
        (
            "/status/used/pods",
            json!("-1"),
            vec!["status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
        ),
    ];
    assert_problems(&quota(), create, cases);
}

#[test]
fn scopes_fit_what_is_counted() {
    let cases = [
        (
            "/spec/scopes/1",
            json!("Weekends"),
            vec!["spec.scopes: Invalid value: [\"NotBestEffort\",\"Weekends\"]: unsupported scope"],
        ),
        (
            "/spec/scopes",
            json!(["BestEffort"]),
            vec!["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
        ),
        (
            "/spec/scopes",
            json!(["Terminating", "NotTerminating"]),
            vec!["spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes"],
        ),
        (
            "/spec/hard/persistentvolumeclaims",
            json!("1"),
            vec![
                "spec.scopes: Invalid value: [\"NotBestEffort\"]: unsupported scope applied to resource",
                "spec.scopeSelector.matchExpressions: Invalid value: {\"MatchExpressions\":[{\"Operator\":\"In\",\"ScopeName\":\"PriorityClass\",\"Values\":[\"high\"]}]}: unsupported scope applied to resource",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions/0/scopeName",
            json!("Weekends"),
            vec![
                "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Weekends\": unsupported scope",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions/0/scopeName",
            json!("Terminating"),
            vec![
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions/0/values",
            json!([]),
            vec![
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions/0/operator",
            json!("Exists"),
            vec![
                "spec.scopeSelector.matchExpressions.values: Invalid value: [\"high\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions/0/operator",
            json!("Like"),
            vec![
                "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Like\": not a valid selector operator",
            ],
        ),
        (
            "/spec/scopeSelector/matchExpressions",
            json!([{"scopeName": "Terminating", "operator": "Exists"}, {"scopeName": "NotTerminating", "operator": "Exists"}]),
            vec![
                "spec.scopeSelector.matchExpressions: Invalid value: [\"NotBestEffort\"]: conflicting scopes",
            ],
        ),
    ];
    assert_problems(&quota(), create, cases);
}

#[test]
fn scopes_stay() {
    let old = quota();
    let cases = [
        ("/spec/hard/pods", json!("5"), vec![]),
        (
            "/spec/scopes",
            json!(["Terminating"]),
            vec!["spec.scopes: Invalid value: [\"Terminating\"]: field is immutable"],
        ),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
    let cases = [(
        "/status/hard/cats",
        json!("1"),
        vec![
            "status.hard[cats]: Invalid value: \"cats\": must be a standard resource type or fully qualified",
            "status.hard[cats]: Invalid value: \"cats\": must be a standard resource for quota",
        ],
    )];
    assert_problems(&old, status, cases);
}
