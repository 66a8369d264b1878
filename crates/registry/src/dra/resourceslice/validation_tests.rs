//! Each case changes one field of a valid slice and names the problems that upstream reports then.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn slice() -> Value {
    json!({"spec": {
        "driver": "d.example.com", "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1}, "nodeName": "n1",
        "devices": [{
            "name": "gpu-0", "attributes": {"model": {"string": "x"}, "example.com/driver": {"version": "1.2.3"}},
            "capacity": {"memory": {"value": "8Gi"}}, "taints": [{"key": "k", "effect": "NoSchedule"}],
            "consumesCounters": [{"counterSet": "c", "counters": {"slots": {"value": "1"}}}],
        }],
    }})
}

fn per_device() -> Value {
    let mut slice = slice();
    slice["spec"]["nodeName"] = json!(null);
    slice["spec"]["perDeviceNodeSelection"] = json!(true);
    slice["spec"]["devices"][0]["nodeName"] = json!("n1");
    slice
}

#[test]
fn a_slice_is_of_a_pool_in_one_place() {
    let many: Vec<Value> = (0..65).map(|_| json!({"taints": [{}]})).collect();
    let cases = [
        ("/spec/driver", json!(""), vec!["spec.driver: Required value"]),
        ("/spec/pool/name", json!(""), vec!["spec.pool.name: Required value"]),
        (
            "/spec/pool/resourceSliceCount",
            json!(0),
            vec!["spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero"],
        ),
        (
            "/spec/pool/generation",
            json!(-1),
            vec!["spec.pool.generation: Invalid value: -1: must be greater than or equal to zero"],
        ),
        (
            "/spec/nodeName",
            json!(null),
            vec![
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
            ],
        ),
        (
            "/spec/allNodes",
            json!(true),
            vec![
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            ],
        ),
        (
            "/spec/allNodes",
            json!(false),
            vec!["spec.allNodes: Invalid value: false: must be either unset or set to true"],
        ),
        (
            "/spec/sharedCounters",
            json!([]),
            vec!["spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed"],
        ),
        ("/spec/devices", many.into(), vec!["spec.devices: Too many: 65: must have at most 64 items"]),
        ("/spec/devices/1", json!({"name": "gpu-0"}), vec!["spec.devices[1]: Duplicate value: \"gpu-0\""]),
    ];
    assert_problems(&slice(), create, cases);
    let mut elsewhere = slice();
    elsewhere["spec"]["nodeName"] = json!("");
    elsewhere["spec"]["nodeSelector"] = json!({"nodeSelectorTerms": [{}, {}]});
    let want = [
        "spec.nodeName: Invalid value: \"\": must be either unset or set to a non-empty string",
        "spec.nodeSelector.nodeSelectorTerms: Invalid value: [{},{}]: must have exactly one node selector term",
    ];
    assert_eq!(texts(&create(&elsewhere)), want);
}

#[test]
fn counters_are_in_sets() {
    let mut good = slice();
    good["spec"]["devices"] = json!(null);
    good["spec"]["sharedCounters"] = json!([{"name": "c", "counters": {"slots": {"value": "4"}}}]);
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("c{n}"), json!({}))).collect();
    let cases = [
        ("/spec/sharedCounters/0/name", json!(""), vec!["spec.sharedCounters[0].name: Required value"]),
        (
            "/spec/sharedCounters/0/counters",
            json!({}),
            vec!["spec.sharedCounters[0].counters: Required value"],
        ),
        (
            "/spec/sharedCounters/0/counters",
            many.into(),
            vec!["spec.sharedCounters[0].counters: Too many: 33: must have at most 32 items"],
        ),
        (
            "/spec/sharedCounters/0/counters/a.b",
            json!({}),
            vec!["spec.sharedCounters[0].counters: Invalid value: \"a.b\": must not contain dots"],
        ),
        (
            "/spec/sharedCounters/1",
            json!({"name": "c", "counters": {"x": {}}}),
            vec!["spec.sharedCounters[1]: Duplicate value: {\"counters\":{\"x\":{}},\"name\":\"c\"}"],
        ),
    ];
    assert_problems(&good, create, cases);
}

#[test]
fn devices_say_what_they_are() {
    let all = "`int`, `bool`, `string`, `version`, `ints`, `bools`, `strings`, `versions`";
    let none: &'static str =
        format!("spec.devices[0].attributes[model]: Invalid value: \"\": must specify one of: {all}").leak();
    let two: &'static str = format!(
        "spec.devices[0].attributes[model]: Invalid value: \"{{int, string}}\": must specify exactly one of: {all}"
    )
    .leak();
    let names: serde_json::Map<String, Value> =
        (0..32).map(|n| (format!("a{n}"), json!({"int": n}))).collect();
    let cases = [
        (
            "/spec/devices/0/name",
            json!("a.b"),
            vec!["spec.devices[0].name: Invalid value: \"a.b\": must not contain dots"],
        ),
        ("/spec/devices/0/attributes/model", json!({}), vec![none]),
        ("/spec/devices/0/attributes/model/int", json!(1), vec![two]),
        (
            "/spec/devices/0/attributes/model/string",
            json!("x".repeat(65)),
            vec!["spec.devices[0].attributes[model].string: Too long: may not be more than 64 bytes"],
        ),
        (
            "/spec/devices/0/attributes/model",
            json!({"version": "one"}),
            vec![
                "spec.devices[0].attributes[model].version: Invalid value: \"one\": must be a string compatible with semver.org spec 2.0.0",
            ],
        ),
        (
            "/spec/devices/0/attributes/model",
            json!({"ints": []}),
            vec!["spec.devices[0].attributes[model].ints: Invalid value: []: must not be empty if specified"],
        ),
        (
            "/spec/devices/0/attributes",
            names.into(),
            vec![
                "spec.devices[0]: Invalid value: 33: the total number of attributes and capacities must not exceed 32",
            ],
        ),
        (
            "/spec/devices/0/attributes/model",
            json!({"bools": vec![true; 48]}),
            vec![
                "spec.devices[0]: Invalid value: 49: the total number of attribute values must not exceed 48",
            ],
        ),
        (
            "/spec/devices/0/capacity/memory/requestPolicy",
            json!({}),
            vec![
                "spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true",
            ],
        ),
        (
            "/spec/devices/0/taints/0/effect",
            json!(""),
            vec!["spec.devices[0].taints[0].effect: Required value"],
        ),
        (
            "/spec/devices/0/consumesCounters/0/counterSet",
            json!(""),
            vec!["spec.devices[0].consumesCounters[0].counterSet: Required value"],
        ),
        (
            "/spec/devices/0/consumesCounters/0/counters",
            json!(null),
            vec!["spec.devices[0].consumesCounters[0].counters: Required value"],
        ),
        (
            "/spec/devices/0/nodeName",
            json!("n1"),
            vec![
                "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
            ],
        ),
        (
            "/spec/devices/0/bindingConditions",
            json!(["a"]),
            vec![
                "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
            ],
        ),
    ];
    assert_problems(&slice(), create, cases);
}

#[test]
fn devices_say_where_they_are() {
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    let none: &'static str = format!("spec.devices[0]: Required value: {one}").leak();
    let two: &'static str =
        format!("spec.devices[0]: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}").leak();
    let cases = [
        ("/spec/devices/0/nodeName", json!(null), vec![none]),
        (
            "/spec/devices/0/nodeName",
            json!(""),
            vec!["spec.devices[0].nodeName: Invalid value: \"\": must not be empty", none],
        ),
        ("/spec/devices/0/allNodes", json!(true), vec![two]),
        (
            "/spec/devices/0/allNodes",
            json!(false),
            vec!["spec.devices[0].allNodes: Invalid value: false: must be either unset or set to true"],
        ),
    ];
    assert_problems(&per_device(), create, cases);
}

#[test]
fn whose_devices_they_are_stays() {
    let old = slice();
    let cases = [
        ("/spec/driver", json!("e"), vec!["spec.driver: Invalid value: \"e\": field is immutable"]),
        ("/spec/pool/name", json!("p"), vec!["spec.pool.name: Invalid value: \"p\": field is immutable"]),
        ("/spec/nodeName", json!("n2"), vec!["spec.nodeName: Invalid value: \"n2\": field is immutable"]),
        ("/spec/pool/generation", json!(2), vec![]),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
    let mut odd = slice();
    odd["spec"]["devices"][0]["taints"][0]["effect"] = json!("Odd");
    assert_eq!(texts(&create(&odd)).len(), 1);
    assert_eq!(texts(&update(&odd, &odd)), Vec::<String>::new(), "taints that were there stay");
}
