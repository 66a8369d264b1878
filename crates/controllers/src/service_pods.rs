//! Which pods stand behind a service, under which addresses and ports; what the two endpoint controllers share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use parking_lot::Mutex;
use steersman_controller_runtime::{Delta, Informer, ObjectKey};

use crate::context::{KeyQueue, enqueue_on};
use crate::pods::{condition, is_ready, is_terminal, node_name, ready_since};
use crate::selectors::{Labels, has_all};

/// When the change that an object tells happened, RFC 3339; clients measure the delay by it.
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// On the endpoints of services without an address of their own.
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// The selector of a service whose endpoints are ours to write.
pub(crate) fn selector_of(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    spec.selector.as_ref().filter(|selector| !selector.is_empty())
}

/// Whether the service has no virtual address.
pub(crate) fn is_headless(service: &Service) -> bool {
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
    address.is_empty() || address == "None"
}

/// Whether pods count as ready whatever they say.
pub(crate) fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// The pods that the service selects and that have an address and are not over.
pub(crate) fn members(service: &Service, pods: &Informer<Pod>) -> Vec<Arc<Pod>> {
    let Some(selector) = selector_of(service) else { return Vec::new() };
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let mut pods = pods.cache().list_namespace(namespace);
    pods.retain(|pod| {
        has_all(selector, pod.metadata.labels.as_ref()) && !is_terminal(pod) && !addresses(pod).is_empty()
    });
    pods
}

/// All addresses of a pod.
pub(crate) fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|address| address.ip.as_str());
    let mut all: Vec<&str> = listed.collect();
    if all.is_empty() {
        all.extend(status.pod_ip.as_deref());
    }
    all.into_iter().filter_map(|text| text.parse().ok()).collect()
}

/// The number behind a service port in this pod; `None` if no container names such a port.
pub(crate) fn port_in_pod(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => named_port(name, protocol(port.protocol.as_deref()), pod),
    }
}

fn named_port(name: &str, wanted: &str, pod: &Pod) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut ports = ports
        .filter(|port| port.name.as_deref() == Some(name) && protocol(port.protocol.as_deref()) == wanted);
    ports.next().map(|port| port.container_port)
}

/// The protocol with its default.
pub(crate) fn protocol(given: Option<&str>) -> &str {
    given.filter(|given| !given.is_empty()).unwrap_or("TCP")
}

/// The host name under which DNS publishes the pod for this service.
pub(crate) fn hostname(pod: &Pod, service: &Service) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let ours = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|name| ours && !name.is_empty())
}

/// A reference to the pod.
pub(crate) fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// Wakes the services that a pod belonged or belongs to, when something of it changed that endpoints tell.
pub(crate) fn enqueue_services_of_pods(
    services: &Arc<Informer<Service>>,
    pods: &Informer<Pod>,
    queue: &KeyQueue,
) {
    let services = services.clone();
    enqueue_on(pods, queue, move |delta| {
        let versions: Vec<&Arc<Pod>> = match delta {
            Delta::Updated { old, new } if !tells_something_new(old, new) => Vec::new(),
            Delta::Updated { old, new } => vec![old, new],
            Delta::Added(pod) | Delta::Deleted(pod) => vec![pod],
        };
        let keys = versions.into_iter().flat_map(|pod| services_of(&services, pod));
        keys.collect::<HashSet<_>>().into_iter().collect()
    });
}

fn services_of(services: &Informer<Service>, pod: &Pod) -> Vec<ObjectKey> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let all = services.cache().list_namespace(namespace).into_iter();
    let selecting = all.filter(|service| {
        selector_of(service).is_some_and(|selector| has_all(selector, pod.metadata.labels.as_ref()))
    });
    selecting.map(|service| ObjectKey::of(&*service)).collect()
}

fn tells_something_new(old: &Pod, new: &Pod) -> bool {
    old.metadata.labels != new.metadata.labels
        || old.metadata.deletion_timestamp.is_some() != new.metadata.deletion_timestamp.is_some()
        || is_ready(old) != is_ready(new)
        || is_terminal(old) != is_terminal(new)
        || node_name(old) != node_name(new)
        || addresses(old) != addresses(new)
}

/// Finds out which moment a change of endpoints goes back to.
#[derive(Default)]
pub(crate) struct TriggerTimes {
    seen: Mutex<HashMap<ObjectKey, HashMap<String, Timestamp>>>,
}

impl TriggerTimes {
    /// The earliest thing that happened to the service or its pods since the last call.
    pub(crate) fn since_last(&self, service: &Service, pods: &[Arc<Pod>]) -> Option<Timestamp> {
        let mut current: HashMap<String, Timestamp> = pods.iter().filter_map(|pod| pod_time(pod)).collect();
        if let Some(created) = &service.metadata.creation_timestamp {
            current.insert(String::new(), created.0);
        }
        let mut seen = self.seen.lock();
        let before = seen.insert(ObjectKey::of(service), current.clone()).unwrap_or_default();
        let new =
            current.into_iter().filter(|(name, at)| before.get(name).is_none_or(|earlier| earlier < at));
        new.map(|(_, at)| at).min()
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: &ObjectKey) {
        self.seen.lock().remove(service);
    }
}

fn pod_time(pod: &Pod) -> Option<(String, Timestamp)> {
    let changed = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    let at = ready_since(pod).or(changed.map(|time| time.0))?;
    Some((pod.metadata.name.clone()?, at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_ports_are_found_with_their_protocol() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [
                {"name": "a", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                {"name": "b", "ports": [{"name": "dns", "containerPort": 54}]},
            ],
            "initContainers": [
                {"name": "i", "ports": [{"name": "once", "containerPort": 1}]},
                {"name": "s", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 2}]},
            ],
        }}))
        .expect("a pod");
        let cases = [
            (json!({"port": 9}), Some(9)),
            (json!({"port": 9, "targetPort": 8}), Some(8)),
            (json!({"port": 9, "targetPort": "dns"}), Some(54)),
            (json!({"port": 9, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
            (json!({"port": 9, "targetPort": "side"}), Some(2)),
            (json!({"port": 9, "targetPort": "once"}), None),
        ];
        for (port, expected) in cases {
            let port: ServicePort = serde_json::from_value(port).expect("a port");
            assert_eq!(port_in_pod(&port, &pod), expected, "{port:?}");
        }
    }

    #[test]
    fn a_change_goes_back_to_the_first_new_thing() {
        let pod = |name: &str, at: &str| -> Arc<Pod> {
            let conditions = json!([{"type": "Ready", "status": "True", "lastTransitionTime": at}]);
            let pod = json!({"metadata": {"name": name}, "status": {"conditions": conditions}});
            Arc::new(serde_json::from_value(pod).expect("a pod"))
        };
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:05Z"},
        }))
        .expect("a service");
        let times = TriggerTimes::default();
        let said = |pods: &[Arc<Pod>]| times.since_last(&service, pods).map(|at| at.to_string());
        let old = pod("a", "2026-01-01T00:00:07Z");
        assert_eq!(said(std::slice::from_ref(&old)).as_deref(), Some("2026-01-01T00:00:05Z"));
        assert_eq!(said(std::slice::from_ref(&old)), None);
        let new = [old, pod("b", "2026-01-01T00:01:00Z"), pod("c", "2026-01-01T00:02:00Z")];
        assert_eq!(said(&new).as_deref(), Some("2026-01-01T00:01:00Z"));
    }
}
