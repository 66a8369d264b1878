//! What a Service and its EndpointSlices mean for packets. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort as WirePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as WireEndpoint, EndpointSlice};

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address of the pod.
    pub address: Ipv4Addr,
    /// Port of the pod.
    pub port: u16,
}

/// One port of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// `namespace/name:port`.
    pub name: String,
    /// IP protocol number: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u8,
    /// The service's port.
    pub port: u16,
    /// Cluster addresses.
    pub cluster_ips: Vec<Ipv4Addr>,
    /// Addresses from outside that lead here: external IPs and those of load balancers.
    pub external_ips: Vec<Ipv4Addr>,
    /// A port of every node that leads here.
    pub node_port: Option<u16>,
    /// For traffic from inside the cluster, sorted.
    pub endpoints: Vec<Endpoint>,
    /// For traffic from outside, sorted; the same unless `externalTrafficPolicy` is `Local`.
    pub external_endpoints: Vec<Endpoint>,
    /// Whether traffic from outside keeps its source address (`externalTrafficPolicy: Local`).
    pub keeps_source: bool,
    /// For how many seconds a client stays with its endpoint.
    pub affinity_seconds: Option<u32>,
}

/// The ports of `service` as this node treats them. None for a headless service or one that is only a name.
pub fn service_ports(service: &Service, slices: &[Arc<EndpointSlice>], node: &str) -> Vec<ServicePort> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let cluster_ips = cluster_ips(spec);
    if cluster_ips.is_empty() || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
    let prefix =
        format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
    let ports = spec.ports.iter().flatten();
    ports.filter_map(|port| service_port(&prefix, service, spec, port, &cluster_ips, slices, node)).collect()
}

fn service_port(
    prefix: &str,
    service: &Service,
    spec: &ServiceSpec,
    port: &WirePort,
    cluster_ips: &[Ipv4Addr],
    slices: &[Arc<EndpointSlice>],
    node: &str,
) -> Option<ServicePort> {
    let protocol = protocol_number(port.protocol.as_deref())?;
    let port_name = port.name.as_deref().unwrap_or_default();
    let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    let keeps_source = local(&spec.external_traffic_policy);
    let all = endpoints(slices, port_name, protocol, None);
    let here = || endpoints(slices, port_name, protocol, Some(node));
    Some(ServicePort {
        name: format!("{prefix}:{port_name}"),
        protocol,
        port: u16::try_from(port.port).ok()?,
        cluster_ips: cluster_ips.to_vec(),
        external_ips: external_ips(service, spec),
        node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        endpoints: if local(&spec.internal_traffic_policy) { here() } else { all.clone() },
        external_endpoints: if keeps_source { here() } else { all },
        keeps_source,
        affinity_seconds: affinity_seconds(spec),
    })
}

fn protocol_number(protocol: Option<&str>) -> Option<u8> {
    match protocol.unwrap_or("TCP") {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}

fn cluster_ips(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let listed = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let unique: BTreeSet<Ipv4Addr> = listed.filter_map(|address| address.parse().ok()).collect();
    unique.into_iter().collect()
}

fn external_ips(service: &Service, spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let balanced =
        ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_ref());
    let listed = spec.external_ips.iter().flatten().chain(balanced);
    let unique: BTreeSet<Ipv4Addr> = listed.filter_map(|address| address.parse().ok()).collect();
    unique.into_iter().collect()
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    const DEFAULT: i32 = 3 * 60 * 60;
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = config.and_then(|client| client.timeout_seconds).unwrap_or(DEFAULT);
    u32::try_from(seconds).ok()
}

/// The endpoints of a port, on `node` only if given: the ready ones, or if there is none those that still serve while
/// they terminate (KEP-1669).
fn endpoints(slices: &[Arc<EndpointSlice>], port: &str, protocol: u8, node: Option<&str>) -> Vec<Endpoint> {
    let chosen = |wanted: fn(&WireEndpoint) -> bool| -> Vec<Endpoint> {
        let ipv4 = slices.iter().filter(|slice| slice.address_type == "IPv4");
        let found: BTreeSet<Endpoint> =
            ipv4.flat_map(|slice| of_slice(slice, port, protocol, node, wanted)).collect();
        found.into_iter().collect()
    };
    let ready = chosen(is_ready);
    if ready.is_empty() { chosen(is_serving_while_terminating) } else { ready }
}

fn of_slice(
    slice: &EndpointSlice,
    port: &str,
    protocol: u8,
    node: Option<&str>,
    wanted: fn(&WireEndpoint) -> bool,
) -> Vec<Endpoint> {
    let matching = slice.ports.iter().flatten().find(|candidate| {
        candidate.name.as_deref().unwrap_or_default() == port
            && protocol_number(candidate.protocol.as_deref()) == Some(protocol)
    });
    let Some(number) = matching.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok()) else {
        return Vec::new();
    };
    let here = |endpoint: &&WireEndpoint| node.is_none_or(|node| endpoint.node_name.as_deref() == Some(node));
    let eligible = slice.endpoints.iter().flatten().filter(|endpoint| wanted(endpoint)).filter(here);
    eligible
        .filter_map(|endpoint| endpoint.addresses.first()?.parse().ok())
        .map(|address| Endpoint { address, port: number })
        .collect()
}

fn is_ready(endpoint: &WireEndpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn is_serving_while_terminating(endpoint: &WireEndpoint) -> bool {
    endpoint.conditions.as_ref().is_some_and(|conditions| {
        conditions.serving.unwrap_or(false) && conditions.terminating.unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({ "metadata": { "name": "web", "namespace": "ns" }, "spec": spec }))
            .expect("a service")
    }

    fn slice(endpoints: Value) -> Vec<Arc<EndpointSlice>> {
        let slice = json!({
            "metadata": { "name": "web-1" }, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
        });
        vec![Arc::new(serde_json::from_value(slice).expect("a slice"))]
    }

    fn http(extra: Value) -> Service {
        let mut spec = json!({
            "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080 }],
        });
        spec.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
        service(spec)
    }

    fn addresses(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
    }

    #[test]
    fn ready_endpoints_come_first_then_those_that_still_serve() {
        let ready = json!({ "addresses": ["10.0.0.2"], "conditions": { "ready": true } });
        let ending = json!({ "addresses": ["10.0.0.3"],
            "conditions": { "ready": false, "serving": true, "terminating": true } });
        let dead = json!({ "addresses": ["10.0.0.4"], "conditions": { "ready": false, "serving": false } });
        let of =
            |endpoints: Value| service_ports(&http(json!({})), &slice(endpoints), "n1").remove(0).endpoints;
        assert_eq!(addresses(&of(json!([ready, ending, dead]))), ["10.0.0.2"]);
        assert_eq!(addresses(&of(json!([ending, dead]))), ["10.0.0.3"]);
        assert!(of(json!([dead])).is_empty());
    }

    #[test]
    fn local_policies_keep_to_this_node() {
        let here = json!({ "addresses": ["10.0.0.2"], "nodeName": "n1" });
        let there = json!({ "addresses": ["10.0.1.2"], "nodeName": "n2" });
        let slices = slice(json!([here, there]));
        let of = |extra: Value| service_ports(&http(extra), &slices, "n1").remove(0);
        let plain = of(json!({}));
        assert_eq!(
            (plain.endpoints.len(), plain.external_endpoints.len(), plain.keeps_source),
            (2, 2, false)
        );
        let external = of(json!({ "externalTrafficPolicy": "Local" }));
        assert_eq!(
            (external.endpoints.len(), addresses(&external.external_endpoints)),
            (2, vec!["10.0.0.2".into()])
        );
        let internal = of(json!({ "internalTrafficPolicy": "Local" }));
        assert_eq!(addresses(&internal.endpoints), ["10.0.0.2"]);
    }

    #[test]
    fn headless_and_named_services_have_no_ports() {
        assert!(
            service_ports(&http(json!({ "clusterIP": "None", "clusterIPs": ["None"] })), &[], "n1")
                .is_empty()
        );
        assert!(service_ports(&service(json!({ "type": "ExternalName" })), &[], "n1").is_empty());
    }

    #[test]
    fn affinity_has_upstreams_default() {
        let sticky = service_ports(&http(json!({ "sessionAffinity": "ClientIP" })), &[], "n1").remove(0);
        assert_eq!(sticky.affinity_seconds, Some(10800));
    }
}
