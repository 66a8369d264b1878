//! Each case changes one field of a valid status and names the problems that upstream reports then.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::{assert_problems, texts};

fn claim() -> Value {
    json!({
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}},
        "status": {
            "allocation": {"devices": {
                "results": [{"request": "r", "driver": "d", "pool": "p/q", "device": "gpu-0"}],
                "config": [{"source": "FromClass", "requests": ["r"], "opaque": {"driver": "d", "parameters": {}}}],
            }},
            "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
            "devices": [{"driver": "d", "pool": "p/q", "device": "gpu-0", "data": {"a": 1},
                "networkData": {"interfaceName": "eth0", "ips": ["10.0.0.5/24"]}}],
        },
    })
}

fn pending() -> Value {
    json!({"spec": claim()["spec"]})
}

#[test]
fn a_new_allocation_answers_the_requests() {
    let segment: &str =
        "status.allocation.devices.results[0].pool: Invalid value: \"p/\": segment 1: must not be empty";
    let unallocated =
        "status.devices[0]: Invalid value: \"d/p/q/gpu-0\": must be an allocated device in the claim";
    let cases = [
        (
            "/status/allocation/devices/results/0/request",
            json!("s"),
            vec![
                "status.allocation.devices.results[0].request: Invalid value: \"s\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
            ],
        ),
        (
            "/status/allocation/devices/results/0/driver",
            json!(""),
            vec![unallocated, "status.allocation.devices.results[0].driver: Required value"],
        ),
        ("/status/allocation/devices/results/0/pool", json!("p/"), vec![unallocated, segment]),
        (
            "/status/allocation/devices/results/0/device",
            json!("a.b"),
            vec![
                unallocated,
                "status.allocation.devices.results[0].device: Invalid value: \"a.b\": must not contain dots",
            ],
        ),
        (
            "/status/allocation/devices/results/0/bindingConditions",
            json!(["a"]),
            vec![
                "status.allocation.devices.results[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
            ],
        ),
        (
            "/status/allocation/devices/config/0/source",
            json!(""),
            vec!["status.allocation.devices.config[0].source: Required value"],
        ),
        (
            "/status/allocation/devices/config/0/source",
            json!("FromNowhere"),
            vec![
                "status.allocation.devices.config[0].source: Unsupported value: \"FromNowhere\": supported values: \"FromClaim\", \"FromClass\"",
            ],
        ),
        (
            "/status/allocation/nodeSelector",
            json!({}),
            vec![
                "status.allocation.nodeSelector.nodeSelectorTerms: Required value: must have at least one node selector term",
            ],
        ),
    ];
    let old = pending();
    assert_problems(&claim(), |new| update(new, &old), cases);
}

#[test]
fn an_allocation_stays_and_has_users() {
    let old = claim();
    let cases = [
        ("/status/reservedFor/0/uid", json!(""), vec!["status.reservedFor[0].uid: Required value"]),
        (
            "/status/reservedFor/1",
            json!({"resource": "pods", "name": "q", "uid": "u"}),
            vec![
                "status.reservedFor[1]: Duplicate value: {\"name\":\"q\",\"resource\":\"pods\",\"uid\":\"u\"}",
            ],
        ),
        (
            "/status/allocation",
            json!(null),
            vec![
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
                "status.devices[0]: Invalid value: \"d/p/q/gpu-0\": must be an allocated device in the claim",
            ],
        ),
        ("/status/allocation/nodeSelector", json!({}), vec![]),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
    let mut moved = old.clone();
    moved["status"]["allocation"]["devices"]["config"] = json!([]);
    let got = texts(&update(&moved, &old));
    assert!(got.len() == 1 && got[0].starts_with("status.allocation: Invalid value: {"), "{got:?}");
    let mut deleted = old.clone();
    deleted["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(texts(&update(&deleted, &old)), Vec::<String>::new());
    deleted["status"]["reservedFor"][0]["uid"] = json!("v");
    let want = "status.reservedFor: Forbidden: new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
    assert_eq!(texts(&update(&deleted, &old)), [want]);
}

#[test]
fn reports_are_about_allocated_devices() {
    let old = claim();
    let cases = [
        (
            "/status/devices/0/device",
            json!("gpu-1"),
            vec![
                "status.devices[0]: Invalid value: \"d/p/q/gpu-1\": must be an allocated device in the claim",
            ],
        ),
        (
            "/status/devices/0/data",
            json!("x"),
            vec!["status.devices[0].data: Invalid value: \"<value omitted>\": must be a valid JSON object"],
        ),
        (
            "/status/devices/0/conditions/0",
            json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}),
            vec!["status.devices[0].conditions[0].reason: Required value"],
        ),
        (
            "/status/devices/0/networkData/interfaceName",
            json!("e".repeat(257)),
            vec!["status.devices[0].networkData.interfaceName: Too long: may not be more than 256 bytes"],
        ),
        (
            "/status/devices/0/networkData/hardwareAddress",
            json!("e".repeat(129)),
            vec!["status.devices[0].networkData.hardwareAddress: Too long: may not be more than 128 bytes"],
        ),
        (
            "/status/devices/0/networkData/ips/0",
            json!("10.0.0.5"),
            vec![
                "status.devices[0].networkData.ips[0]: Invalid value: \"10.0.0.5\": must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)",
            ],
        ),
        (
            "/status/devices/0/networkData/ips/0",
            json!("2001:DB8::1/64"),
            vec![
                "status.devices[0].networkData.ips[0]: Invalid value: \"2001:DB8::1/64\": must be in canonical form (\"2001:db8::1/64\")",
            ],
        ),
        (
            "/status/devices/0/networkData/ips/1",
            json!("10.0.0.5/24"),
            vec!["status.devices[0].networkData.ips[1]: Duplicate value: \"10.0.0.5/24\""],
        ),
    ];
    assert_problems(&old, |new| update(new, &old), cases);
}

#[test]
fn reports_go_with_their_devices() {
    let old = claim();
    let mut new = json!({"status": {"devices": old["status"]["devices"]}});
    drop_deallocated(&mut new, &old);
    assert_eq!(new, json!({"status": {}}));
    let mut kept = old.clone();
    drop_deallocated(&mut kept, &old);
    assert_eq!(kept, old);
}
