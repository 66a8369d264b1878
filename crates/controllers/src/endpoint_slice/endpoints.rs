//! The endpoints of a service, grouped as slices hold them: by address family and by the numbers of the ports. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};

use crate::pods::{is_deleting, is_ready, node_name};
use crate::service_pods::{addresses, hostname, port_in_pod, protocol, publishes_not_ready, reference};

/// What all endpoints of a slice share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// `IPv4` or `IPv6`.
    pub address_type: &'static str,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// The groups of a service. Each of its address families has at least one, which may be empty.
pub(super) fn groups(
    service: &Service,
    members: &[Arc<Pod>],
    zone_of: impl Fn(&str) -> Option<String>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for address_type in families(service) {
        let mut by_ports: BTreeMap<String, Group> = BTreeMap::new();
        for pod in members {
            let Some(address) = addresses(pod).into_iter().find(|address| family(address) == address_type)
            else {
                continue;
            };
            let ports = ports(service, pod);
            let endpoint = endpoint(service, pod, address, &zone_of);
            let group = by_ports.entry(ports_key(&ports)).or_insert_with(|| Group {
                address_type,
                ports,
                endpoints: Vec::new(),
            });
            group.endpoints.push(endpoint);
        }
        if by_ports.is_empty() {
            groups.push(Group { address_type, ports: Vec::new(), endpoints: Vec::new() });
        }
        groups.extend(by_ports.into_values());
    }
    groups
}

fn families(service: &Service) -> Vec<&'static str> {
    let given = service.spec.iter().flat_map(|spec| spec.ip_families.iter().flatten());
    let known: Vec<_> = given.map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" }).collect();
    if known.is_empty() { vec!["IPv4"] } else { known }
}

fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The ports as they are in this pod; always named, if only with the empty name.
fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let given = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let found = given.filter_map(|port| {
        let number = port_in_pod(port, pod)?;
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(number),
            protocol: Some(protocol(port.protocol.as_deref()).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.collect()
}

/// Equal for equal ports in whatever order.
pub(crate) fn ports_key(ports: &[EndpointPort]) -> String {
    let mut texts: Vec<String> = ports
        .iter()
        .map(|port| {
            let (name, app) = (port.name.as_deref(), port.app_protocol.as_deref());
            format!(
                "{:?}/{:?}/{:?}/{app:?}",
                name.unwrap_or_default(),
                port.port,
                protocol(port.protocol.as_deref())
            )
        })
        .collect();
    texts.sort();
    texts.join(",")
}

fn endpoint(
    service: &Service,
    pod: &Pod,
    address: IpAddr,
    zone_of: impl Fn(&str) -> Option<String>,
) -> Endpoint {
    let (serving, terminating) = (is_ready(pod), is_deleting(pod));
    let ready = publishes_not_ready(service) || (serving && !terminating);
    let node = Some(node_name(pod)).filter(|node| !node.is_empty());
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(pod, service),
        node_name: node.map(str::to_owned),
        zone: node.and_then(zone_of),
        target_ref: Some(reference(pod)),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(spec: serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": spec}))
            .expect("a service")
    }

    fn pod(name: &str, ready: &str, deleting: Option<&str>, port: i32) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"name": name, "namespace": "ns", "uid": name, "deletionTimestamp": deleting},
            "spec": {
                "nodeName": "n1", "hostname": name, "subdomain": "web",
                "containers": [{"name": "a", "ports": [{"name": "http", "containerPort": port}]}],
            },
            "status": {
                "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
                "conditions": [{"type": "Ready", "status": ready}],
            },
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn conditions(group: &Group) -> Vec<(bool, bool, bool)> {
        let conditions = group.endpoints.iter().filter_map(|endpoint| endpoint.conditions.clone());
        let yes = |value: Option<bool>| value == Some(true);
        conditions.map(|c| (yes(c.ready), yes(c.serving), yes(c.terminating))).collect()
    }

    #[test]
    fn conditions_tell_ready_serving_and_terminating() {
        let members = [
            pod("a", "True", None, 80),
            pod("b", "False", None, 80),
            pod("c", "True", Some("2026-01-01T00:00:00Z"), 80),
        ];
        let spec = json!({"clusterIP": "10.1.0.1", "ports": [{"port": 9, "targetPort": "http"}]});
        let found = groups(&service(spec.clone()), &members, |_| Some("z1".to_owned()));
        assert_eq!(found.len(), 1);
        assert_eq!(conditions(&found[0]), [(true, true, false), (false, false, false), (false, true, true)]);
        let first = &found[0].endpoints[0];
        assert_eq!((first.zone.as_deref(), first.hostname.as_deref()), (Some("z1"), Some("a")));
        assert_eq!(found[0].ports[0].name.as_deref(), Some(""), "a port always has a name");
        let mut published = spec;
        published["publishNotReadyAddresses"] = json!(true);
        let found = groups(&service(published), &members, |_| None);
        assert_eq!(conditions(&found[0]), [(true, true, false), (true, false, false), (true, true, true)]);
    }

    #[test]
    fn groups_part_by_family_and_port_numbers() {
        let members = [pod("a", "True", None, 80), pod("b", "True", None, 81)];
        let spec = json!({"ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 9, "targetPort": "http"}]});
        let found = groups(&service(spec.clone()), &members, |_| None);
        let shape: Vec<_> =
            found.iter().map(|g| (g.address_type, g.ports[0].port, g.endpoints.len())).collect();
        let expected =
            [("IPv4", Some(80), 1), ("IPv4", Some(81), 1), ("IPv6", Some(80), 1), ("IPv6", Some(81), 1)];
        assert_eq!(shape, expected);
        let empty = groups(&service(spec), &[], |_| None);
        assert_eq!(empty.iter().map(|g| g.endpoints.len()).collect::<Vec<_>>(), [0, 0]);
    }
}
