//! A pod as the scheduler needs it: read once, used for every node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use steersman_controller_runtime::ObjectKey;

use crate::resources::{Resources, pod_requests, pod_requests_for_scoring};

/// A host port that a pod occupies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// `0.0.0.0` for every address.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The port.
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |ip: &str| ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

/// A pod and what was computed from it.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its key.
    pub key: ObjectKey,
    /// What it requests.
    pub requests: Resources,
    /// What it counts as when nodes are scored.
    pub scoring_requests: Resources,
    /// The host ports it occupies.
    pub host_ports: Vec<HostPort>,
}

impl PodInfo {
    /// Reads `pod`.
    pub fn new(pod: Arc<Pod>) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        Self {
            key: ObjectKey::of(&*pod),
            requests: pod_requests(&spec),
            scoring_requests: pod_requests_for_scoring(&spec),
            host_ports: host_ports(&spec),
            pod,
        }
    }

    /// The pod's spec.
    ///
    /// # Panics
    /// If there is none, which validation excludes.
    pub fn spec(&self) -> &PodSpec {
        self.pod.spec.as_ref().expect("the API server admits no pod without a spec")
    }

    /// The pod's UID.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Its priority; pods of higher priority are scheduled first.
    pub fn priority(&self) -> i32 {
        self.spec().priority.unwrap_or(0)
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|number| *number > 0)?;
            Some(HostPort {
                ip: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                port: number,
            })
        })
        .collect()
}

/// Whether the pod occupies resources: it is assigned and not over.
pub fn is_assigned(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_some_and(|node| !node.is_empty())
}

/// Whether the pod has ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
