//! A node with what its pods request.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};
use steersman_controller_runtime::ObjectKey;

use crate::pod_info::{HostPort, PodInfo};
use crate::resources::{Resources, whole};

/// One node of the cluster.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// The node; `None` while only pods that name it are known.
    pub node: Option<Arc<Node>>,
    /// Its name.
    pub name: String,
    /// What it offers to pods.
    pub allocatable: Resources,
    /// How many pods it may have.
    pub allowed_pods: i64,
    /// What its pods request.
    pub requested: Resources,
    /// What its pods count as for scoring.
    pub scoring_requested: Resources,
    /// Its images by every name, with their size in bytes.
    pub images: HashMap<String, i64>,
    pods: HashMap<ObjectKey, PodInfo>,
}

impl NodeInfo {
    /// A node of which nothing is known but its name.
    pub fn unknown(name: &str) -> Self {
        Self {
            node: None,
            name: name.to_owned(),
            allocatable: Resources::default(),
            allowed_pods: 0,
            requested: Resources::default(),
            scoring_requested: Resources::default(),
            images: HashMap::new(),
            pods: HashMap::new(),
        }
    }

    /// Takes over what the node says of itself.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        self.allocatable = allocatable.map(Resources::from_map).unwrap_or_default();
        self.allowed_pods = whole(allocatable, "pods");
        self.images = status
            .and_then(|status| status.images.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|image| {
                let size = image.size_bytes.unwrap_or(0);
                image.names.iter().flatten().map(move |name| (name.clone(), size))
            })
            .collect();
        self.node = Some(node);
    }

    /// Counts `pod` in; it replaces an earlier state of the same pod.
    pub fn add_pod(&mut self, pod: PodInfo) {
        self.remove_pod(&pod.key);
        self.requested.add(&pod.requests);
        self.scoring_requested.add(&pod.scoring_requests);
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Counts a pod out; `false` if it was not here.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> bool {
        let Some(pod) = self.pods.remove(key) else { return false };
        self.requested.sub(&pod.requests);
        self.scoring_requested.sub(&pod.scoring_requests);
        true
    }

    /// How many pods are counted.
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// Whether nothing is left of it.
    pub fn is_vacant(&self) -> bool {
        self.node.is_none() && self.pods.is_empty()
    }

    /// Whether one of its pods occupies `port`.
    pub fn occupies(&self, port: &HostPort) -> bool {
        self.pods.values().flat_map(|pod| &pod.host_ports).any(|other| other.conflicts(port))
    }

    /// Its taints.
    pub fn taints(&self) -> &[Taint] {
        let spec = self.node.as_ref().and_then(|node| node.spec.as_ref());
        spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let labels = self.node.as_ref()?.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }

    /// Whether it is cordoned.
    pub fn is_unschedulable(&self) -> bool {
        let spec = self.node.as_ref().and_then(|node| node.spec.as_ref());
        spec.and_then(|spec| spec.unschedulable).unwrap_or(false)
    }
}
