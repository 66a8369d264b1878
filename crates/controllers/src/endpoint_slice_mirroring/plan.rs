//! The slices that hold what a hand-written `Endpoints` object says. Pure.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};

use crate::endpoint_slice::{Group, Head};
use crate::ownership::controller_reference;
use crate::service_pods::{TRIGGER_TIME, protocol};

/// Who made the slice, in its label.
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Addresses of one subset that are mirrored at most.
const MAX_MIRRORED: usize = 1000;

/// Only what a person or another program wrote is mirrored, and only for a service that selects no pods.
pub(super) fn is_mirrored(service: &Service, endpoints: &Endpoints) -> bool {
    let selects = service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    let meta = &endpoints.metadata;
    let skipped = meta.labels.as_ref().and_then(|labels| labels.get(SKIP)).is_some_and(|skip| skip == "true");
    let is_lock = meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(LEADER));
    !selects && !skipped && !is_lock && meta.deletion_timestamp.is_none()
}

/// The slices carry the labels and annotations of the endpoints.
pub(super) fn head(endpoints: &Endpoints) -> Head {
    let meta = &endpoints.metadata;
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| name != LAST_APPLIED && name != TRIGGER_TIME);
    let labels = meta.labels.clone().unwrap_or_default();
    Head::new(meta, labels, annotations, MANAGER, controller_reference(endpoints))
}

/// A group for each subset and address family that has addresses.
pub(super) fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports = ports(subset);
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false)));
        for (address, ready) in all.take(MAX_MIRRORED) {
            let Ok(ip) = address.ip.parse::<IpAddr>() else { continue };
            let address_type = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let endpoint = endpoint(address, ready);
            let same = |group: &&mut Group| group.address_type == address_type && group.ports == ports;
            match groups.iter_mut().find(same) {
                Some(group) => group.endpoints.push(endpoint),
                None => {
                    groups.push(Group { address_type, ports: ports.clone(), endpoints: vec![endpoint] });
                }
            }
        }
    }
    groups
}

fn ports(subset: &EndpointSubset) -> Vec<EndpointPort> {
    let given = subset.ports.iter().flatten();
    let mirrored = given.map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(protocol(port.protocol.as_deref()).to_owned()),
        app_protocol: port.app_protocol.clone(),
    });
    mirrored.collect()
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn endpoints(meta: serde_json::Value) -> Endpoints {
        let subsets = json!([{
            "addresses": [{"ip": "192.0.2.1"}, {"ip": "fd00::1"}],
            "notReadyAddresses": [{"ip": "192.0.2.2"}],
            "ports": [{"port": 80}],
        }]);
        serde_json::from_value(json!({"metadata": meta, "subsets": subsets})).expect("endpoints")
    }

    #[test]
    fn subsets_become_groups_by_family() {
        let groups = groups(&endpoints(json!({"name": "web"})));
        let shape: Vec<_> = groups.iter().map(|group| (group.address_type, group.endpoints.len())).collect();
        assert_eq!(shape, [("IPv4", 2), ("IPv6", 1)]);
        assert_eq!(groups[0].ports[0].name.as_deref(), Some(""));
        let ready = |index: usize| groups[0].endpoints[index].conditions.as_ref().and_then(|c| c.ready);
        assert_eq!((ready(0), ready(1)), (Some(true), Some(false)));
    }

    #[test]
    fn what_is_not_hand_written_is_skipped() {
        let plain: Service = serde_json::from_value(json!({"metadata": {}, "spec": {}})).expect("a service");
        let selecting: Service =
            serde_json::from_value(json!({"metadata": {}, "spec": {"selector": {"a": "b"}}}))
                .expect("a service");
        assert!(is_mirrored(&plain, &endpoints(json!({}))));
        assert!(!is_mirrored(&selecting, &endpoints(json!({}))));
        assert!(!is_mirrored(&plain, &endpoints(json!({"labels": {(SKIP): "true"}}))));
        assert!(!is_mirrored(&plain, &endpoints(json!({"annotations": {(LEADER): "{}"}}))));
    }
}
