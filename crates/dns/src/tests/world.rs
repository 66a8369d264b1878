//! A fixed cluster.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use steersman_controller_runtime::ObjectKey;

use crate::service::ServiceRecords;
use crate::world::World;
use crate::zone::Zone;

/// The Services of the fixed cluster, each with its slices.
pub(super) fn objects() -> Vec<(Value, Vec<Value>)> {
    let http = || json!({"name": "http", "protocol": "TCP", "port": 80});
    let dns = || json!({"name": "dns", "protocol": "UDP", "port": 53});
    vec![
        (
            service(
                "kube-system",
                "kube-dns",
                json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"],
                "ports": [dns(), {"name": "dns-tcp", "protocol": "TCP", "port": 53}]}),
            ),
            vec![],
        ),
        (
            service(
                "default",
                "web",
                json!({"clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20"], "ports": [http()]}),
            ),
            vec![slice("default", "web", json!([http()]), json!([{"addresses": ["10.0.0.1"]}]))],
        ),
        (
            service(
                "default",
                "plain",
                json!({"clusterIP": "10.96.0.21", "clusterIPs": ["10.96.0.21"],
                "ports": [{"port": 80}]}),
            ),
            vec![],
        ),
        (
            service(
                "default",
                "dual",
                json!({"clusterIP": "10.96.0.22", "clusterIPs": ["10.96.0.22", "fd00::22"],
                "ports": [http()]}),
            ),
            vec![],
        ),
        (service("default", "waiting", json!({"ports": [http()]})), vec![]),
        (
            service("db", "mysql", json!({"clusterIP": "None", "ports": [http()]})),
            vec![slice(
                "db",
                "mysql",
                json!([http(), dns()]),
                json!([
                    {"addresses": ["10.0.0.5"], "hostname": "mysql-0", "conditions": {"ready": true}},
                    {"addresses": ["10.0.0.4"], "conditions": {"ready": true}},
                    {"addresses": ["10.0.0.6"], "hostname": "mysql-2", "conditions": {"ready": false}},
                ]),
            )],
        ),
        (
            service("db", "portless", json!({"clusterIP": "None"})),
            vec![slice("db", "portless", json!([]), json!([{"addresses": ["10.0.0.7"]}]))],
        ),
        (
            service(
                "db",
                "both",
                json!({"clusterIP": "None", "ports": [{"name": "SIP", "protocol": "SCTP", "port": 5060}]}),
            ),
            vec![
                slice(
                    "db",
                    "both",
                    json!([{"name": "SIP", "protocol": "SCTP", "port": 5061}]),
                    json!([{"addresses": ["10.0.0.8"], "hostname": "one"},
                        {"addresses": ["10.0.0.9"], "hostname": "one",
                            "conditions": {"ready": false, "serving": true, "terminating": true}}]),
                ),
                json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6",
                    "metadata": {"name": "both-6", "namespace": "db"},
                    "ports": [{"name": "SIP", "protocol": "SCTP", "port": 5061}],
                    "endpoints": [{"addresses": ["fd00::8"], "hostname": "one"}]}),
            ],
        ),
        (service("db", "empty", json!({"clusterIP": "None", "ports": [http()]})), vec![]),
        (external("shop", "db.example.org"), vec![]),
        (external("inner", "web.default.svc.cluster.local"), vec![]),
        (external("lost", "nobody.default.svc.cluster.local"), vec![]),
        (external("address", "192.0.2.1"), vec![]),
        (external("loop-a", "loop-b.default.svc.cluster.local"), vec![]),
        (external("loop-b", "loop-a.default.svc.cluster.local"), vec![]),
    ]
}

pub(super) const NAMESPACES: [&str; 4] = ["default", "kube-system", "db", "bare"];

fn service(namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn external(name: &str, target: &str) -> Value {
    service("default", name, json!({"type": "ExternalName", "externalName": target}))
}

fn slice(namespace: &str, service: &str, ports: Value, endpoints: Value) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-x"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service}},
        "ports": ports, "endpoints": endpoints})
}

/// The fixed cluster as DNS sees it.
pub(super) fn world() -> World {
    let mut world = World::new(Zone::parse("cluster.local").expect("valid"));
    world.serial = 7;
    NAMESPACES.iter().for_each(|namespace| world.add_namespace(namespace));
    for (service, slices) in objects() {
        let service: Service = serde_json::from_value(service).expect("a Service");
        let slices = slices.into_iter().map(|slice| Arc::new(read_slice(slice))).collect::<Vec<_>>();
        let key = ObjectKey::of(&service);
        let records = ServiceRecords::build(&world.zone, &key, &service, &slices);
        world.put(&key, records);
    }
    world
}

fn read_slice(slice: Value) -> EndpointSlice {
    serde_json::from_value(slice).expect("an EndpointSlice")
}
