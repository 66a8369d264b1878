use serde_json::{Value, json};

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn spec() -> Value {
    let mut spec = json!({"devices": {
        "requests": [
            {"name": "a", "exactly": {"deviceClassName": "gpu", "tolerations": [{"key": "k"}]}},
            {"name": "b", "firstAvailable": [
                {"name": "big", "deviceClassName": "gpu", "allocationMode": "All"},
                {"name": "small", "deviceClassName": "gpu"}]},
        ],
        "constraints": [{"requests": ["a", "b/big"], "matchAttribute": "example.com/model"}],
        "config": [{"requests": ["b"], "opaque": {"driver": "d", "parameters": {}}}],
    }});
    defaults(&mut spec);
    spec
}

fn check(spec: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    validate(&mut found, spec, &Path::new("spec"));
    found
}

#[test]
fn requests_are_completed() {
    let spec = spec();
    let exactly = json!({
        "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1,
        "tolerations": [{"key": "k", "operator": "Equal"}],
    });
    assert_eq!(spec["devices"]["requests"][0]["exactly"], exactly);
    assert_eq!(spec["devices"]["requests"][1]["firstAvailable"][0].get("count"), None);
    let mut empty = json!({});
    defaults(&mut empty);
    assert_eq!(empty, json!({"devices": {}}));
}

#[test]
fn derived_attributes_are_off() {
    let derived = json!({"devices": {"requests": [
        {"exactly": {"derivedAttributes": [1]}}, {"firstAvailable": [{"derivedAttributes": [1]}]}]}});
    let mut spec = derived.clone();
    drop_disabled(&mut spec, &Tree::Null);
    assert_eq!(spec, json!({"devices": {"requests": [{"exactly": {}}, {"firstAvailable": [{}]}]}}));
    let mut kept = derived.clone();
    drop_disabled(&mut kept, &derived);
    assert_eq!(kept, derived);
}

#[test]
fn requests_are_for_devices_of_a_class() {
    let one_of =
        "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required";
    let many: Vec<Value> = (0..33).map(|_| json!({})).collect();
    let alternatives: Vec<Value> = (0..9).map(|_| json!({})).collect();
    let cases = [
        ("/devices/requests/0/exactly", json!(null), vec![one_of]),
        (
            "/devices/requests/1/exactly",
            json!({}),
            vec![
                "spec.devices.requests[1]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            ],
        ),
        (
            "/devices/requests/0/exactly/deviceClassName",
            json!(""),
            vec!["spec.devices.requests[0].exactly.deviceClassName: Required value"],
        ),
        (
            "/devices/requests/0/exactly/count",
            json!(-1),
            vec!["spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero"],
        ),
        (
            "/devices/requests/1/firstAvailable/0/count",
            json!(2),
            vec![
                "spec.devices.requests[1].firstAvailable[0].count: Invalid value: 2: must not be specified when allocationMode is 'All'",
            ],
        ),
        (
            "/devices/requests/0/exactly/allocationMode",
            json!("Some"),
            vec![
                "spec.devices.requests[0].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
            ],
        ),
        (
            "/devices/requests/0/exactly/selectors/0",
            json!({}),
            vec!["spec.devices.requests[0].exactly.selectors[0].cel: Required value"],
        ),
        (
            "/devices/requests/1/firstAvailable",
            alternatives.into(),
            vec![
                "spec.devices.requests[1].firstAvailable: Too many: 9: must have at most 8 items",
                "spec.devices.constraints[0].requests[1]: Invalid value: \"b/big\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
            ],
        ),
    ];
    assert_problems(&spec(), check, cases);
    let crowded = json!({"devices": {"requests": many}});
    assert_eq!(texts(&check(&crowded)), ["spec.devices.requests: Too many: 33: must have at most 32 items"]);
    let mut twice = spec();
    twice["devices"]["requests"][1] = twice["devices"]["requests"][0].clone();
    twice["devices"]["constraints"] = json!([]);
    twice["devices"]["config"] = json!([]);
    let got = texts(&check(&twice));
    assert!(
        got[0].starts_with("spec.devices.requests[1]: Duplicate value: {\"exactly\":") && got.len() == 1,
        "{got:?}"
    );
}

#[test]
fn constraints_and_configurations_are_about_requests() {
    let reference = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let unknown: &'static str =
        format!("spec.devices.constraints[0].requests[0]: Invalid value: \"c\": {reference}").leak();
    let deep: &'static str =
        format!("spec.devices.config[0].requests[0]: Invalid value: \"a/b/c\": {reference}").leak();
    let cases = [
        ("/devices/constraints/0/requests/0", json!("c"), vec![unknown]),
        ("/devices/config/0/requests/0", json!("a/b/c"), vec![deep]),
        (
            "/devices/constraints/0/requests/1",
            json!("a"),
            vec!["spec.devices.constraints[0].requests[1]: Duplicate value: \"a\""],
        ),
        (
            "/devices/constraints/0/matchAttribute",
            json!(null),
            vec![
                "spec.devices.constraints[0]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
            ],
        ),
        (
            "/devices/constraints/0/matchAttribute",
            json!("model"),
            vec![
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"model\": a fully qualified name must be a domain and a name separated by a slash",
            ],
        ),
        ("/devices/config/0/opaque", json!(null), vec!["spec.devices.config[0].opaque: Required value"]),
    ];
    assert_problems(&spec(), check, cases);
}
