//! Which node needs which object: an object is a node's business while a pod on that node refers to it.

use std::collections::{BTreeSet, HashMap};

use parking_lot::RwLock;
use steersman_apimachinery::Tree;

use super::follow::{Change, Index};
use crate::view::{items, text};

/// Something a pod refers to, in the pod's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Volumes, environment, pull secrets.
    Secret,
    /// Volumes, environment.
    ConfigMap,
    /// Volumes.
    Claim,
    /// Its own account.
    ServiceAccount,
    /// The pod itself.
    Pod,
}

/// Kind, namespace, name.
type Target = (Kind, String, String);

/// Follows pods.
#[derive(Default)]
pub struct NodeGraph(RwLock<Edges>);

#[derive(Default)]
struct Edges {
    /// What each pod (namespace, name) refers to, and from which node.
    pods: HashMap<(String, String), (String, BTreeSet<Target>)>,
    /// How many pods of a node refer to a target.
    uses: HashMap<Target, HashMap<String, usize>>,
}

impl NodeGraph {
    /// Whether a pod on `node` refers to the object.
    pub fn relates(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        let target = (kind, namespace.to_owned(), name.to_owned());
        self.0.read().uses.get(&target).is_some_and(|nodes| nodes.contains_key(node))
    }
}

impl Edges {
    fn put(&mut self, pod: &Tree) {
        self.remove(pod);
        let node = text(pod, "/spec/nodeName");
        if node.is_empty() {
            return;
        }
        let targets = targets(pod);
        for target in &targets {
            *self.uses.entry(target.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        self.pods.insert(pod_key(pod), (node.to_owned(), targets));
    }

    fn remove(&mut self, pod: &Tree) {
        let Some((node, targets)) = self.pods.remove(&pod_key(pod)) else { return };
        for target in targets {
            let Some(nodes) = self.uses.get_mut(&target) else { continue };
            if let Some(count) = nodes.get_mut(&node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&node);
                }
            }
            if nodes.is_empty() {
                self.uses.remove(&target);
            }
        }
    }
}

impl Index for NodeGraph {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[("", "pods")]
    }

    fn apply(&self, _resource: &str, change: Change) {
        let mut edges = self.0.write();
        match change {
            Change::Replace(pods) => {
                *edges = Edges::default();
                pods.iter().for_each(|pod| edges.put(pod));
            }
            Change::Put(pod) => edges.put(&pod),
            Change::Delete(pod) => edges.remove(&pod),
        }
    }
}

fn pod_key(pod: &Tree) -> (String, String) {
    (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned())
}

/// All that a pod refers to, itself included.
fn targets(pod: &Tree) -> BTreeSet<Target> {
    let (namespace, pod_name) = pod_key(pod);
    let mut found = BTreeSet::new();
    let mut note = |kind: Kind, name: &str| {
        if !name.is_empty() {
            found.insert((kind, namespace.clone(), name.to_owned()));
        }
    };
    note(Kind::Pod, &pod_name);
    note(Kind::ServiceAccount, text(pod, "/spec/serviceAccountName"));
    for secret in items(pod, "/spec/imagePullSecrets") {
        note(Kind::Secret, text(secret, "/name"));
    }
    for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
        items(pod, list).iter().for_each(|container| environment(container, &mut note));
    }
    for volume in items(pod, "/spec/volumes") {
        volume_sources(volume, &pod_name, &mut note);
    }
    found
}

fn environment(container: &Tree, note: &mut impl FnMut(Kind, &str)) {
    for variable in items(container, "/env") {
        note(Kind::Secret, text(variable, "/valueFrom/secretKeyRef/name"));
        note(Kind::ConfigMap, text(variable, "/valueFrom/configMapKeyRef/name"));
    }
    for source in items(container, "/envFrom") {
        note(Kind::Secret, text(source, "/secretRef/name"));
        note(Kind::ConfigMap, text(source, "/configMapRef/name"));
    }
}

fn volume_sources(volume: &Tree, pod: &str, note: &mut impl FnMut(Kind, &str)) {
    note(Kind::Secret, text(volume, "/secret/secretName"));
    note(Kind::Secret, text(volume, "/csi/nodePublishSecretRef/name"));
    note(Kind::ConfigMap, text(volume, "/configMap/name"));
    note(Kind::Claim, text(volume, "/persistentVolumeClaim/claimName"));
    if volume.get("ephemeral").is_some_and(|source| !source.is_null()) {
        note(Kind::Claim, &format!("{pod}-{}", text(volume, "/name")));
    }
    for source in items(volume, "/projected/sources") {
        note(Kind::Secret, text(source, "/secret/name"));
        note(Kind::ConfigMap, text(source, "/configMap/name"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: &str) -> Tree {
        json!({"metadata": {"namespace": "ns", "name": name}, "spec": {
            "nodeName": node, "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env"}}}],
                "envFrom": [{"configMapRef": {"name": "all"}}]}],
            "volumes": [{"secret": {"secretName": "vol"}}, {"persistentVolumeClaim": {"claimName": "data"}},
                {"name": "tmp", "ephemeral": {}},
                {"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
        }})
    }

    #[test]
    fn objects_belong_to_nodes_while_pods_refer_to_them() {
        let graph = NodeGraph::default();
        let apply = |change| graph.apply("pods", change);
        apply(Change::Put(Arc::new(pod("a", "n1"))));
        apply(Change::Put(Arc::new(pod("b", "n1"))));
        apply(Change::Put(Arc::new(pod("c", ""))));
        let all = [
            (Kind::Secret, "pull"),
            (Kind::Secret, "env"),
            (Kind::Secret, "vol"),
            (Kind::ConfigMap, "all"),
            (Kind::ConfigMap, "kube-root-ca.crt"),
            (Kind::Claim, "data"),
            (Kind::Claim, "a-tmp"),
            (Kind::ServiceAccount, "sa"),
            (Kind::Pod, "a"),
        ];
        for (kind, name) in all {
            assert!(graph.relates("n1", kind, "ns", name), "{name}");
            assert!(!graph.relates("n2", kind, "ns", name), "{name}");
            assert!(!graph.relates("n1", kind, "other", name), "{name}");
        }
        assert!(!graph.relates("n1", Kind::Pod, "ns", "c"));

        apply(Change::Delete(Arc::new(pod("a", "n1"))));
        assert!(graph.relates("n1", Kind::Secret, "ns", "env"), "b is still there");
        apply(Change::Put(Arc::new(pod("b", "n2"))));
        assert!(!graph.relates("n1", Kind::Secret, "ns", "env"));
        assert!(graph.relates("n2", Kind::Secret, "ns", "env"));
        apply(Change::Replace(Vec::new()));
        assert!(graph.0.read().uses.is_empty() && graph.0.read().pods.is_empty());
    }
}
