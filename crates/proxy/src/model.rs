//! What a Service means for packets. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort as WirePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use steersman_network::Ipv4Range;

use crate::endpoints::{Endpoints, NodeFacts, Uses, endpoints};

/// One port of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// `namespace/name:port`.
    pub name: String,
    /// IP protocol number: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u8,
    /// The service's port.
    pub port: u16,
    /// Cluster addresses.
    pub cluster_ips: Vec<Ipv4Addr>,
    /// Addresses from outside that lead here.
    pub external_ips: Vec<Ipv4Addr>,
    /// Addresses of load balancers that lead here.
    pub balancer_ips: Vec<Ipv4Addr>,
    /// Who may send to the load balancers' addresses; empty for everybody.
    pub balancer_sources: Vec<Ipv4Range>,
    /// A port of every node that leads here.
    pub node_port: Option<u16>,
    /// Whether traffic from inside stays on the node (`internalTrafficPolicy: Local`).
    pub internal_local: bool,
    /// Whether traffic from outside stays on the node, and keeps its source (`externalTrafficPolicy: Local`).
    pub external_local: bool,
    /// Where traffic goes.
    pub endpoints: Endpoints,
    /// For how many seconds a client stays with its endpoint.
    pub affinity_seconds: Option<u32>,
}

/// Another proxy serves what has this label.
const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Nobody serves what has this label.
const HEADLESS: &str = "service.kubernetes.io/headless";

impl ServicePort {
    /// Whether anything but a cluster address leads here.
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.balancer_ips.is_empty()
    }

    /// Which endpoints are ever used. Pods and the node itself reach all endpoints even at the outside addresses of a
    /// service whose outside traffic is local.
    fn uses(&self) -> Uses {
        Uses {
            cluster: !self.internal_local || self.is_external(),
            local: self.internal_local || (self.external_local && self.is_external()),
        }
    }
}

/// The ports of `service` as this node treats them. None for a headless service, one that is only a name, and one that
/// is served by others.
pub fn service_ports(service: &Service, slices: &[Arc<EndpointSlice>], node: &NodeFacts) -> Vec<ServicePort> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let cluster_ips = cluster_ips(spec);
    let labelled = |label| service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(label));
    let is_name = spec.type_.as_deref() == Some("ExternalName");
    if cluster_ips.is_empty() || is_name || labelled(SERVICE_PROXY_NAME) || labelled(HEADLESS) {
        return Vec::new();
    }
    let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
    let prefix =
        format!("{}/{}", namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
    let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    let common = ServicePort {
        cluster_ips,
        external_ips: addresses(spec.external_ips.iter().flatten()),
        balancer_ips: balancer_ips(service),
        balancer_sources: balancer_sources(spec),
        internal_local: local(&spec.internal_traffic_policy),
        external_local: local(&spec.external_traffic_policy),
        affinity_seconds: affinity_seconds(spec),
        ..ServicePort::default()
    };
    let slices: Vec<_> = slices.iter().filter(|slice| !is_headless(slice)).cloned().collect();
    let ports = spec.ports.iter().flatten();
    ports.filter_map(|port| service_port(&prefix, &common, port, &slices, node)).collect()
}

/// What a load balancer may ask this node about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// The port that answers.
    pub port: u16,
    /// How many pods of this node are ready.
    pub local_endpoints: usize,
}

/// The health check of a service with these ports: only one whose outside traffic is local has one, since for others all
/// nodes are alike.
pub(crate) fn health_check(service: &Service, ports: &[ServicePort]) -> Option<HealthCheck> {
    let spec = service.spec.as_ref()?;
    let is_local = spec.external_traffic_policy.as_deref() == Some("Local");
    if spec.type_.as_deref() != Some("LoadBalancer") || !is_local || ports.is_empty() {
        return None;
    }
    let port =
        spec.health_check_node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    let ready: BTreeSet<_> = ports.iter().flat_map(|port| &port.endpoints.ready_local).collect();
    Some(HealthCheck { port, local_endpoints: ready.len() })
}

fn is_headless(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(HEADLESS))
}

fn service_port(
    prefix: &str,
    common: &ServicePort,
    port: &WirePort,
    slices: &[Arc<EndpointSlice>],
    node: &NodeFacts,
) -> Option<ServicePort> {
    let protocol = protocol_number(port.protocol.as_deref())?;
    let port_name = port.name.as_deref().unwrap_or_default();
    let mut service_port = ServicePort {
        name: format!("{prefix}:{port_name}"),
        protocol,
        port: u16::try_from(port.port).ok()?,
        node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
        ..common.clone()
    };
    service_port.endpoints = endpoints(slices, port_name, protocol, service_port.uses(), node);
    Some(service_port)
}

pub(crate) fn protocol_number(protocol: Option<&str>) -> Option<u8> {
    match protocol.unwrap_or("TCP") {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        _ => None,
    }
}

fn cluster_ips(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    addresses(spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip))
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Ipv4Addr> {
    let unique: BTreeSet<Ipv4Addr> = texts.filter_map(|address| address.parse().ok()).collect();
    unique.into_iter().collect()
}

/// Those of balancers that leave the address as it is; behind one of mode `Proxy` packets come to node ports.
fn balancer_ips(service: &Service) -> Vec<Ipv4Addr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    addresses(ingress.filter(|i| i.ip_mode.as_deref() != Some("Proxy")).filter_map(|i| i.ip.as_ref()))
}

fn balancer_sources(spec: &ServiceSpec) -> Vec<Ipv4Range> {
    let ranges = spec.load_balancer_source_ranges.iter().flatten();
    // Spaces around them pass validation.
    let ranges: Vec<Ipv4Range> = ranges.filter_map(|range| range.trim().parse().ok()).collect();
    if ranges.iter().any(|range| range.prefix() == 0) { Vec::new() } else { ranges }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::endpoints::Endpoint;

    fn ports(service: Value, slices: &[Value]) -> Vec<ServicePort> {
        let node = NodeFacts { name: "n1".to_owned(), zone: None };
        let slices: Vec<_> = slices
            .iter()
            .map(|slice| Arc::new(serde_json::from_value(slice.clone()).expect("a slice")))
            .collect();
        service_ports(&serde_json::from_value(service).expect("a service"), &slices, &node)
    }

    /// A service with `extra` in its specification.
    fn service(extra: Value) -> Value {
        let mut spec = json!({
            "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080 }],
        });
        spec.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
        json!({ "metadata": { "name": "web", "namespace": "ns" }, "spec": spec })
    }

    fn slice(ports: Value, addresses: &[&str]) -> Value {
        let endpoints: Vec<Value> =
            addresses.iter().map(|address| json!({ "addresses": [address], "nodeName": "n1" })).collect();
        json!({ "metadata": { "name": "web-1" }, "addressType": "IPv4", "ports": ports, "endpoints": endpoints })
    }

    fn targets(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(|endpoint| format!("{}:{}", endpoint.address, endpoint.port)).collect()
    }

    #[test]
    fn ports_find_theirs_by_name_and_protocol() {
        let service = service(json!({ "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp" },
            { "name": "metrics", "port": 9153, "targetPort": 9153 },
            { "name": "metrics-too", "port": 9154, "targetPort": 9153 },
            { "name": "absent", "port": 1, "targetPort": "absent" },
        ] }));
        // Two pods whose containers call different numbers by the same names.
        let slices = [
            slice(
                json!([{ "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "dns-tcp", "port": 53 },
                    { "name": "metrics", "port": 9153 }, { "name": "metrics-too", "port": 9153 }]),
                &["10.0.0.2"],
            ),
            slice(
                json!([{ "name": "dns", "port": 5353, "protocol": "UDP" }, { "name": "dns-tcp", "port": 5454 }]),
                &["10.0.0.3"],
            ),
        ];
        let got: Vec<(String, u8, Vec<String>)> = ports(service, &slices)
            .into_iter()
            .map(|port| (port.name, port.protocol, targets(&port.endpoints.cluster)))
            .collect();
        let want = [
            ("ns/web:dns", 17, vec!["10.0.0.2:53", "10.0.0.3:5353"]),
            ("ns/web:dns-tcp", 6, vec!["10.0.0.2:53", "10.0.0.3:5454"]),
            ("ns/web:metrics", 6, vec!["10.0.0.2:9153"]),
            ("ns/web:metrics-too", 6, vec!["10.0.0.2:9153"]),
            ("ns/web:absent", 6, vec![]),
        ];
        let want = want.map(|(name, protocol, targets)| {
            (name.to_owned(), protocol, targets.into_iter().map(str::to_owned).collect())
        });
        assert_eq!(got, want);
    }

    #[test]
    fn only_endpoints_that_a_policy_needs_are_kept() {
        let slices = [slice(json!([{ "name": "http", "port": 8080 }]), &["10.0.0.2"])];
        let counts = |extra: Value| {
            let port = ports(service(extra), &slices).remove(0);
            (port.endpoints.cluster.len(), port.endpoints.local.len())
        };
        let inside = json!([{ "name": "http", "port": 80 }]);
        assert_eq!(counts(json!({})), (1, 0));
        assert_eq!(counts(json!({ "externalTrafficPolicy": "Local" })), (1, 1));
        assert_eq!(counts(json!({ "externalTrafficPolicy": "Local", "ports": inside })), (1, 0));
        assert_eq!(counts(json!({ "internalTrafficPolicy": "Local", "ports": inside })), (0, 1));
        assert_eq!(counts(json!({ "internalTrafficPolicy": "Local" })), (1, 1));
    }

    #[test]
    fn what_leads_here_from_outside() {
        let mut service = service(json!({ "externalIPs": ["192.0.2.7", "2001:db8::7"],
            "loadBalancerSourceRanges": [" 198.51.100.0/24", "203.0.113.9/32 ", "2001:db8::/32"] }));
        service["status"] = json!({ "loadBalancer": { "ingress": [
            { "ip": "192.0.2.8" }, { "ip": "192.0.2.9", "ipMode": "Proxy" },
            { "ip": "192.0.2.10", "ipMode": "VIP" }, { "hostname": "balancer.example" }] } });
        let port = ports(service.clone(), &[]).remove(0);
        assert_eq!(port.external_ips, [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(port.balancer_ips, [8, 10].map(|n| Ipv4Addr::new(192, 0, 2, n)));
        let sources: Vec<String> = port.balancer_sources.iter().map(Ipv4Range::to_string).collect();
        assert_eq!(sources, ["198.51.100.0/24", "203.0.113.9/32"]);
        service["spec"]["loadBalancerSourceRanges"] = json!(["198.51.100.0/24", "0.0.0.0/0"]);
        assert!(ports(service, &[]).remove(0).balancer_sources.is_empty(), "everybody");
    }

    #[test]
    fn load_balancers_ask_about_local_traffic_only() {
        let slices =
            [slice(json!([{ "name": "http", "port": 8080 }, { "name": "too", "port": 1 }]), &["10.0.0.2"])];
        let check = |extra: Value| {
            let service = service(extra);
            health_check(
                &serde_json::from_value(service.clone()).expect("a service"),
                &ports(service, &slices),
            )
        };
        let two = json!([{ "name": "http", "port": 80, "nodePort": 1 }, { "name": "too", "port": 81, "nodePort": 2 }]);
        let local = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32000, "ports": two });
        assert_eq!(check(local.clone()), Some(HealthCheck { port: 32000, local_endpoints: 1 }));
        for (field, value) in
            [("type", "NodePort"), ("externalTrafficPolicy", "Cluster"), ("clusterIP", "None")]
        {
            let mut other = local.clone();
            other[field] = json!(value);
            if field == "clusterIP" {
                other["clusterIPs"] = json!(["None"]);
            }
            assert_eq!(check(other), None, "{field}");
        }
    }

    #[test]
    fn some_services_are_not_ours() {
        let labelled = |label: &str| {
            let mut service = service(json!({}));
            service["metadata"]["labels"] = json!({ label: "x" });
            service
        };
        let cases = [
            ("headless", service(json!({ "clusterIP": "None", "clusterIPs": ["None"] }))),
            ("a name", json!({ "spec": { "type": "ExternalName", "externalName": "x.example" } })),
            ("without address", service(json!({ "clusterIP": "", "clusterIPs": [] }))),
            ("another proxy's", labelled(SERVICE_PROXY_NAME)),
            ("labelled headless", labelled(HEADLESS)),
        ];
        for (name, service) in cases {
            assert!(ports(service, &[]).is_empty(), "{name}");
        }
        assert_eq!(ports(labelled("other"), &[]).len(), 1);
    }

    #[test]
    fn affinity_has_upstreams_default() {
        let seconds = |extra| ports(service(extra), &[]).remove(0).affinity_seconds;
        assert_eq!(seconds(json!({})), None);
        assert_eq!(seconds(json!({ "sessionAffinity": "ClientIP" })), Some(10800));
        let config = json!({ "clientIP": { "timeoutSeconds": 5 } });
        assert_eq!(
            seconds(json!({ "sessionAffinity": "ClientIP", "sessionAffinityConfig": config })),
            Some(5)
        );
    }
}
