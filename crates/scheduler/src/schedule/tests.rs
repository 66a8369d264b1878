use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::plugins::default_profile;

fn node(name: &str, extra: Value) -> NodeInfo {
    let mut object = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } }, "spec": {},
        "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "3" } },
    });
    json_patch::merge(&mut object, &extra);
    let mut info = NodeInfo::unknown(name);
    info.set_node(Arc::new(serde_json::from_value(object).expect("a node")));
    info
}

fn pod(name: &str, spec: Value) -> PodInfo {
    let mut full = json!({ "containers": [{ "name": "c", "image": "web:1" }] });
    json_patch::merge(&mut full, &spec);
    let object = json!({ "metadata": { "name": name, "namespace": "ns" }, "spec": full });
    PodInfo::new(Arc::new(serde_json::from_value(object).expect("a pod")))
}

fn requesting(cpu: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": "web:1", "resources": { "requests": { "cpu": cpu } } }] })
}

fn choose(pod: &PodInfo, nodes: &[NodeInfo]) -> Result<String, String> {
    schedule(&default_profile(), pod, nodes, 0)
        .map(|node| node.name.clone())
        .map_err(|error| error.to_string())
}

#[test]
fn the_message_counts_each_reason() {
    let nodes = [
        node("n1", json!({ "spec": { "unschedulable": true } })),
        node("n2", json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] } })),
        node("n3", json!({})),
        node("n4", json!({ "status": { "allocatable": { "cpu": "1" } } })),
    ];
    let cases = [
        (
            requesting("9"),
            "0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, \
          2 Insufficient cpu.",
        ),
        (
            json!({ "nodeSelector": { "disk": "ssd" } }),
            "0/4 nodes are available: 1 node(s) had untolerated taint(s), \
          1 node(s) were unschedulable, 2 node(s) didn't match Pod's node affinity/selector.",
        ),
    ];
    for (spec, message) in cases {
        assert_eq!(choose(&pod("p", spec), &nodes), Err(message.to_owned()));
    }
    assert_eq!(choose(&pod("p", json!({})), &[]), Err("no nodes available to schedule pods".to_owned()));
}

#[test]
fn tolerations_open_tainted_nodes() {
    let taint = json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] } });
    let nodes = [node("n1", taint)];
    let cases = [
        (json!({ "key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule" }), true),
        (json!({ "key": "k", "value": "other" }), false),
        (json!({ "key": "k", "operator": "Exists" }), true),
        (json!({ "operator": "Exists" }), true),
        (json!({ "operator": "Exists", "effect": "NoExecute" }), false),
    ];
    for (toleration, fits) in cases {
        let tolerant = pod("p", json!({ "tolerations": [toleration] }));
        assert_eq!(choose(&tolerant, &nodes).is_ok(), fits, "{toleration}");
    }
}

#[test]
fn affinity_requires_and_prefers() {
    let nodes = [
        node("n1", json!({ "metadata": { "labels": { "zone": "a", "size": "3" } } })),
        node("n2", json!({ "metadata": { "labels": { "zone": "b", "size": "9" } } })),
    ];
    let required = |expression: Value| {
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [expression] }] } } } })
    };
    let cases = [
        (json!({ "key": "zone", "operator": "In", "values": ["b"] }), "n2"),
        (json!({ "key": "zone", "operator": "NotIn", "values": ["b"] }), "n1"),
        (json!({ "key": "size", "operator": "Gt", "values": ["5"] }), "n2"),
        (json!({ "key": "size", "operator": "Lt", "values": ["5"] }), "n1"),
    ];
    for (expression, want) in cases {
        assert_eq!(choose(&pod("p", required(expression)), &nodes).as_deref(), Ok(want));
    }
    let preferred = json!({ "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
        { "weight": 5, "preference": { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["b"] }] } },
    ] } } });
    assert_eq!(choose(&pod("p", preferred), &nodes).as_deref(), Ok("n2"));
}

#[test]
fn pods_spread_by_what_stays_free() {
    let mut nodes = [node("n1", json!({})), node("n2", json!({}))];
    nodes[0].add_pod(pod("busy", requesting("1500m")));
    assert_eq!(choose(&pod("p", requesting("100m")), &nodes).as_deref(), Ok("n2"));
    for name in ["a", "b", "c"] {
        nodes[1].add_pod(pod(name, json!({})));
    }
    assert_eq!(
        choose(&pod("p", requesting("100m")), &nodes).as_deref(),
        Ok("n1"),
        "n2 has all the pods it may have"
    );
}

#[test]
fn host_ports_are_taken_once() {
    let ports = |ip: &str| {
        json!({ "containers": [{ "name": "c", "image": "web:1",
            "ports": [{ "containerPort": 80, "hostPort": 80, "hostIP": ip, "protocol": "TCP" }] }] })
    };
    let mut nodes = [node("n1", json!({}))];
    nodes[0].add_pod(pod("first", ports("10.0.0.1")));
    assert!(choose(&pod("p", ports("10.0.0.2")), &nodes).is_ok());
    let refused = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    assert_eq!(choose(&pod("p", ports("0.0.0.0")), &nodes), Err(refused.to_owned()));
}

#[test]
fn equals_take_turns() {
    let nodes = [node("n1", json!({})), node("n2", json!({}))];
    let profile = default_profile();
    let names: Vec<&str> = (0..4)
        .map(|turn| {
            schedule(&profile, &pod("p", json!({})), &nodes, turn).expect("there is room").name.as_str()
        })
        .collect();
    assert_eq!(names, ["n1", "n2", "n1", "n2"]);
}
