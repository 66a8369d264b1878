//! What the endpoints of a service should be. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use kube::api::ObjectMeta;

use crate::pods::{is_deleting, is_ready, node_name};
use crate::selectors::Labels;
use crate::service_pods::{
    HEADLESS, TRIGGER_TIME, addresses, hostname, is_headless, port_in_pod, protocol, publishes_not_ready,
    reference,
};

/// Addresses in one object at most.
const CAPACITY: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";

/// What to write.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Settled,
    Create(Endpoints),
    Update(Endpoints),
}

/// Addresses by IP and UID, with whether they are ready.
type Addresses = BTreeMap<(IpAddr, String), (EndpointAddress, bool)>;
/// Name, number and protocol.
type PortKey = Option<(String, i32, String)>;

/// The subsets in canonical form: ports that the very same addresses have share one; all sorted.
pub(super) fn subsets(service: &Service, members: &[Arc<Pod>]) -> Vec<EndpointSubset> {
    let mut by_port: BTreeMap<PortKey, (Option<EndpointPort>, Addresses)> = BTreeMap::new();
    let publish = publishes_not_ready(service);
    for pod in members.iter().filter(|pod| publish || !is_deleting(pod)) {
        let Some(ip) = addresses(pod).into_iter().find(|ip| ip.is_ipv4() == wants_ipv4(service)) else {
            continue;
        };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        for port in ports(service, pod) {
            let key = port.as_ref().map(|port| {
                let protocol = port.protocol.clone().unwrap_or_default();
                (port.name.clone().unwrap_or_default(), port.port, protocol)
            });
            let (_, held) = by_port.entry(key).or_insert_with(|| (port, Addresses::new()));
            held.insert((ip, uid.clone()), (address(service, pod, ip), publish || is_ready(pod)));
        }
    }
    merge(by_port.into_values())
}

fn wants_ipv4(service: &Service) -> bool {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    families.and_then(|families| families.first()).is_none_or(|first| first == "IPv4")
}

/// The ports in this pod; one that is none for a headless service without ports.
fn ports(service: &Service, pod: &Pod) -> Vec<Option<EndpointPort>> {
    let given = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    if given.is_empty() {
        return if is_headless(service) { vec![None] } else { Vec::new() };
    }
    let found = given.iter().filter_map(|port| {
        Some(EndpointPort {
            name: port.name.clone().filter(|name| !name.is_empty()),
            port: port_in_pod(port, pod)?,
            protocol: Some(protocol(port.protocol.as_deref()).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.map(Some).collect()
}

fn address(service: &Service, pod: &Pod, ip: IpAddr) -> EndpointAddress {
    EndpointAddress {
        ip: ip.to_string(),
        hostname: hostname(pod, service),
        node_name: Some(node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(reference(pod)),
    }
}

fn merge(by_port: impl Iterator<Item = (Option<EndpointPort>, Addresses)>) -> Vec<EndpointSubset> {
    let mut merged: Vec<(Addresses, Vec<EndpointPort>)> = Vec::new();
    for (port, addresses) in by_port {
        match merged.iter_mut().find(|(same, _)| *same == addresses) {
            Some((_, ports)) => ports.extend(port),
            None => merged.push((addresses, port.into_iter().collect())),
        }
    }
    let some = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
    let subset = |(addresses, ports): (Addresses, Vec<EndpointPort>)| {
        let (ready, not_ready): (Vec<_>, Vec<_>) = addresses.into_values().partition(|(_, ready)| *ready);
        EndpointSubset {
            addresses: some(ready.into_iter().map(|(address, _)| address).collect()),
            not_ready_addresses: some(not_ready.into_iter().map(|(address, _)| address).collect()),
            ports: (!ports.is_empty()).then_some(ports),
        }
    };
    merged.into_iter().map(subset).collect()
}

/// Cuts the subsets down to the capacity, keeping ready addresses first; true if something was cut.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    let mut room = CAPACITY;
    let mut cut = false;
    let mut take = |list: &mut Option<Vec<EndpointAddress>>| {
        let Some(addresses) = list else { return };
        cut |= addresses.len() > room;
        addresses.truncate(room);
        room -= addresses.len();
    };
    subsets.iter_mut().for_each(|subset| take(&mut subset.addresses));
    subsets.iter_mut().for_each(|subset| take(&mut subset.not_ready_addresses));
    cut
}

/// Writes only what differs.
pub(super) fn plan(
    service: &Service,
    mut subsets: Vec<EndpointSubset>,
    current: Option<&Endpoints>,
    trigger: Option<Timestamp>,
) -> Plan {
    let cut = truncate(&mut subsets);
    let labels = labels(service);
    let was_cut = |current: &Endpoints| annotation(current, OVER_CAPACITY) == Some("truncated");
    if let Some(current) = current
        && current.subsets.as_deref().unwrap_or_default() == subsets
        && current.metadata.labels.as_ref() == Some(&labels)
        && was_cut(current) == cut
    {
        return Plan::Settled;
    }
    let mut next = current.cloned().unwrap_or_else(|| new_endpoints(service));
    next.subsets = (!subsets.is_empty()).then_some(subsets);
    next.metadata.labels = Some(labels);
    let annotations = next.metadata.annotations.get_or_insert_default();
    set(annotations, TRIGGER_TIME, trigger.map(|at| at.to_string()));
    set(annotations, OVER_CAPACITY, cut.then(|| "truncated".to_owned()));
    if current.is_some() { Plan::Update(next) } else { Plan::Create(next) }
}

fn set(annotations: &mut Labels, name: &str, value: Option<String>) {
    match value {
        Some(value) => annotations.insert(name.to_owned(), value),
        None => annotations.remove(name),
    };
}

fn annotation<'a>(endpoints: &'a Endpoints, name: &str) -> Option<&'a str> {
    endpoints.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn new_endpoints(service: &Service) -> Endpoints {
    let metadata = ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    Endpoints { metadata, subsets: None }
}

fn labels(service: &Service) -> Labels {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    set(&mut labels, HEADLESS, is_headless(service).then(String::new));
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(spec: serde_json::Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": spec}))
            .expect("a service")
    }

    fn pod(number: u8, ready: bool, admin: i32) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let pod = json!({
            "metadata": {"name": format!("p{number}"), "uid": number.to_string()},
            "spec": {"containers": [{"name": "a", "ports": [{"name": "admin", "containerPort": admin}]}]},
            "status": {
                "podIP": format!("10.0.0.{number}"), "conditions": [{"type": "Ready", "status": status}],
            },
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn shape(subsets: &[EndpointSubset]) -> Vec<String> {
        let ips = |list: &Option<Vec<EndpointAddress>>| {
            list.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>().join(" ")
        };
        let one = |subset: &EndpointSubset| {
            let ports = subset.ports.iter().flatten().map(|port| port.port.to_string());
            let ports = ports.collect::<Vec<_>>().join(" ");
            format!("{} / {} : {ports}", ips(&subset.addresses), ips(&subset.not_ready_addresses))
        };
        subsets.iter().map(one).collect()
    }

    #[test]
    fn ports_of_the_same_addresses_share_a_subset() {
        let ports = json!([{"name": "web", "port": 80}, {"name": "admin", "port": 1, "targetPort": "admin"}]);
        let web = service(json!({"clusterIP": "10.1.0.1", "ports": ports}));
        let members = [pod(2, true, 90), pod(1, true, 90), pod(10, false, 90)];
        assert_eq!(shape(&subsets(&web, &members)), ["10.0.0.1 10.0.0.2 / 10.0.0.10 : 90 80"]);
        let members = [pod(1, true, 90), pod(2, true, 91)];
        let expected = ["10.0.0.1 /  : 90", "10.0.0.2 /  : 91", "10.0.0.1 10.0.0.2 /  : 80"];
        assert_eq!(shape(&subsets(&web, &members)), expected);
        let headless = service(json!({"clusterIP": "None"}));
        assert_eq!(shape(&subsets(&headless, &members)), ["10.0.0.1 10.0.0.2 /  : "]);
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let web = service(json!({"clusterIP": "None", "ports": [{"port": 80}]}));
        let subsets = subsets(&web, &[pod(1, true, 90)]);
        let Plan::Create(made) = plan(&web, subsets.clone(), None, None) else { panic!("there is none") };
        assert!(made.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(HEADLESS)));
        assert_eq!(plan(&web, subsets, Some(&made), None), Plan::Settled);
        let Plan::Update(emptied) = plan(&web, Vec::new(), Some(&made), None) else { panic!("it changed") };
        assert_eq!(emptied.subsets, None);
    }

    #[test]
    fn too_many_addresses_are_cut_and_said_so() {
        let address =
            |number: usize| EndpointAddress { ip: number.to_string(), ..EndpointAddress::default() };
        let subset = EndpointSubset {
            addresses: Some((0..900).map(address).collect()),
            not_ready_addresses: Some((0..900).map(address).collect()),
            ports: None,
        };
        let web = service(json!({"clusterIP": "10.1.0.1"}));
        let Plan::Create(made) = plan(&web, vec![subset], None, None) else { panic!("there is none") };
        let subset = &made.subsets.as_ref().expect("subsets")[0];
        assert_eq!(subset.addresses.iter().flatten().count(), 900);
        assert_eq!(subset.not_ready_addresses.iter().flatten().count(), 100);
        assert_eq!(annotation(&made, OVER_CAPACITY), Some("truncated"));
    }
}
