//! The scheduler's picture of the cluster: nodes, their pods, and pods that are assumed to be where they are being
//! bound to.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use steersman_controller_runtime::ObjectKey;

use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, is_assigned, is_terminal};

/// Nodes in a dense list, so that a pass over all of them is a pass over memory.
#[derive(Default)]
pub struct Cluster {
    nodes: Vec<NodeInfo>,
    by_name: HashMap<String, usize>,
    /// On which node a pod is counted.
    places: HashMap<ObjectKey, String>,
}

impl Cluster {
    /// Every node that exists.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.entry(&name).set_node(node);
    }

    /// A node is gone. Its pods stay counted until they are gone too.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(&index) = self.by_name.get(name) {
            self.nodes[index].node = None;
            self.drop_if_vacant(index);
        }
    }

    /// A pod came or changed: it is counted where it is assigned unless it has ended.
    pub fn set_pod(&mut self, pod: Arc<Pod>) {
        if !is_assigned(&pod) || is_terminal(&pod) {
            // An unassigned pod may be assumed somewhere; that holds until it is bound or given up.
            if is_terminal(&pod) {
                self.remove_pod(&ObjectKey::of(&*pod));
            }
            return;
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        self.place(PodInfo::new(pod), &node);
    }

    /// Counts `pod` on `node` from now on, before the API says so.
    pub fn assume(&mut self, pod: PodInfo, node: &str) {
        self.place(pod, node);
    }

    /// A pod is gone, or is not where it was assumed to be. `false` if it was not counted.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> bool {
        let Some(node) = self.places.remove(key) else { return false };
        if let Some(&index) = self.by_name.get(&node) {
            self.nodes[index].remove_pod(key);
            self.drop_if_vacant(index);
        }
        true
    }

    fn place(&mut self, pod: PodInfo, node: &str) {
        if self.places.get(&pod.key).is_some_and(|place| place != node) {
            self.remove_pod(&pod.key);
        }
        self.places.insert(pod.key.clone(), node.to_owned());
        self.entry(node).add_pod(pod);
    }

    fn entry(&mut self, name: &str) -> &mut NodeInfo {
        let index = *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.nodes.push(NodeInfo::unknown(name));
            self.nodes.len() - 1
        });
        &mut self.nodes[index]
    }

    fn drop_if_vacant(&mut self, index: usize) {
        if !self.nodes[index].is_vacant() {
            return;
        }
        let gone = self.nodes.swap_remove(index);
        self.by_name.remove(&gone.name);
        if let Some(moved) = self.nodes.get(index) {
            self.by_name.insert(moved.name.clone(), index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Arc<Node> {
        let json = serde_json::json!({
            "metadata": { "name": name }, "status": { "allocatable": { "cpu": "1", "pods": "110" } },
        });
        Arc::new(serde_json::from_value(json).expect("a node"))
    }

    fn pod(name: &str, node: &str, phase: &str) -> Arc<Pod> {
        let json = serde_json::json!({
            "metadata": { "name": name, "namespace": "ns" },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "resources": { "requests": { "cpu": "100m" } } }] },
            "status": { "phase": phase },
        });
        Arc::new(serde_json::from_value(json).expect("a pod"))
    }

    fn requested(cluster: &Cluster, name: &str) -> i64 {
        cluster.nodes().iter().find(|node| node.name == name).map_or(-1, |node| node.requested.milli_cpu)
    }

    #[test]
    fn pods_are_counted_once_and_until_they_end() {
        let mut cluster = Cluster::default();
        cluster.set_node(node("n1"));
        cluster.assume(PodInfo::new(pod("a", "", "Pending")), "n1");
        assert_eq!(requested(&cluster, "n1"), 100);
        cluster.set_pod(pod("a", "n1", "Pending"));
        assert_eq!(requested(&cluster, "n1"), 100, "the binding confirms what was assumed");
        cluster.set_pod(pod("b", "n1", "Running"));
        cluster.set_pod(pod("b", "n1", "Succeeded"));
        assert_eq!(requested(&cluster, "n1"), 100);
        assert!(cluster.remove_pod(&ObjectKey::new("ns", "a")));
        assert_eq!(requested(&cluster, "n1"), 0);
    }

    #[test]
    fn a_node_is_forgotten_with_its_last_pod() {
        let mut cluster = Cluster::default();
        for name in ["n1", "n2", "n3"] {
            cluster.set_node(node(name));
        }
        cluster.set_pod(pod("a", "n1", "Running"));
        cluster.remove_node("n1");
        assert_eq!(cluster.nodes().len(), 3);
        cluster.remove_pod(&ObjectKey::new("ns", "a"));
        assert_eq!(cluster.nodes().len(), 2);
        cluster.set_pod(pod("b", "n3", "Running"));
        assert_eq!((requested(&cluster, "n2"), requested(&cluster, "n3")), (0, 100));
    }
}
