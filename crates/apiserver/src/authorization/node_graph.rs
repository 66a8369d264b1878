//! Which node needs which object: an object is a node's business while a pod on that node refers to it, or a volume that
//! such a pod uses, or while it is about the node itself.

use std::collections::{BTreeSet, HashMap};

use parking_lot::RwLock;
use steersman_apimachinery::Tree;

use super::follow::{Change, Index};
use super::node_references::{Kind, Target, itself, of_pod, of_volume};
use crate::view::text;

/// Follows pods, volumes, and what belongs to a node by its `spec.nodeName`.
#[derive(Default)]
pub struct NodeGraph(RwLock<Edges>);

#[derive(Default)]
struct Edges {
    /// What each object that is on a node, a pod say, makes this node's business.
    holders: HashMap<Target, (String, BTreeSet<Target>)>,
    /// How many holders on a node refer to a target.
    uses: HashMap<Target, HashMap<String, usize>>,
    /// By name: the claim that a volume is bound to, and the secrets that it is mounted with.
    volumes: HashMap<String, (Target, BTreeSet<Target>)>,
    /// The names of the volumes that are mounted with a secret.
    mounted_with: HashMap<Target, BTreeSet<String>>,
}

impl NodeGraph {
    /// Whether the object is the node's business.
    pub fn relates(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        let target = (kind, namespace.to_owned(), name.to_owned());
        let edges = self.0.read();
        edges.used(node, &target)
            || match kind {
                Kind::Volume => edges.volume_used(node, name),
                Kind::Secret => {
                    let volumes = edges.mounted_with.get(&target).into_iter().flatten();
                    volumes.into_iter().any(|volume| edges.volume_used(node, volume))
                }
                _ => false,
            }
    }
}

impl Edges {
    fn used(&self, node: &str, target: &Target) -> bool {
        self.uses.get(target).is_some_and(|nodes| nodes.contains_key(node))
    }

    fn volume_used(&self, node: &str, volume: &str) -> bool {
        self.volumes.get(volume).is_some_and(|(claim, _)| self.used(node, claim))
    }

    fn put(&mut self, kind: Kind, object: &Tree) {
        self.remove(&itself(kind, object));
        match kind {
            Kind::Volume => self.put_volume(object),
            Kind::Pod => self.put_holder(kind, object, of_pod(object)),
            _ => self.put_holder(kind, object, BTreeSet::from([itself(kind, object)])),
        }
    }

    fn put_holder(&mut self, kind: Kind, object: &Tree, targets: BTreeSet<Target>) {
        let node = text(object, "/spec/nodeName");
        if node.is_empty() {
            return;
        }
        for target in &targets {
            *self.uses.entry(target.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        self.holders.insert(itself(kind, object), (node.to_owned(), targets));
    }

    fn put_volume(&mut self, volume: &Tree) {
        let Some((claim, secrets)) = of_volume(volume) else { return };
        let name = text(volume, "/metadata/name");
        for secret in &secrets {
            self.mounted_with.entry(secret.clone()).or_default().insert(name.to_owned());
        }
        self.volumes.insert(name.to_owned(), (claim, secrets));
    }

    fn remove(&mut self, object: &Target) {
        if object.0 == Kind::Volume {
            return self.remove_volume(&object.2);
        }
        let Some((node, targets)) = self.holders.remove(object) else { return };
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

    fn remove_volume(&mut self, name: &str) {
        let Some((_, secrets)) = self.volumes.remove(name) else { return };
        for secret in secrets {
            let Some(volumes) = self.mounted_with.get_mut(&secret) else { continue };
            volumes.remove(name);
            if volumes.is_empty() {
                self.mounted_with.remove(&secret);
            }
        }
    }

    fn clear(&mut self, kind: Kind) {
        let mut all: Vec<Target> = self.holders.keys().filter(|holder| holder.0 == kind).cloned().collect();
        if kind == Kind::Volume {
            all.extend(self.volumes.keys().map(|name| (kind, String::new(), name.clone())));
        }
        all.iter().for_each(|object| self.remove(object));
    }
}

/// The kind of a followed resource.
fn kind_of(resource: &str) -> Option<Kind> {
    Some(match resource {
        "pods" => Kind::Pod,
        "persistentvolumes" => Kind::Volume,
        "volumeattachments" => Kind::Attachment,
        "resourceslices" => Kind::ResourceSlice,
        "podcertificaterequests" => Kind::CertificateRequest,
        _ => return None,
    })
}

impl Index for NodeGraph {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("", "pods"),
            ("", "persistentvolumes"),
            ("storage.k8s.io", "volumeattachments"),
            ("resource.k8s.io", "resourceslices"),
            ("certificates.k8s.io", "podcertificaterequests"),
        ]
    }

    fn apply(&self, resource: &str, change: Change) {
        let Some(kind) = kind_of(resource) else { return };
        let mut edges = self.0.write();
        match change {
            Change::Replace(objects) => {
                edges.clear(kind);
                objects.iter().for_each(|object| edges.put(kind, object));
            }
            Change::Put(object) => edges.put(kind, &object),
            Change::Delete(object) => edges.remove(&itself(kind, &object)),
        }
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
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "own"}, {"name": "nic", "resourceClaimTemplateName": "t"}],
            "volumes": [{"secret": {"secretName": "vol"}}, {"persistentVolumeClaim": {"claimName": "data"}},
                {"iscsi": {"secretRef": {"name": "chap"}}}, {"azureFile": {"secretName": "azure"}},
                {"name": "tmp", "ephemeral": {}},
                {"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
        }, "status": {"resourceClaimStatuses": [{"name": "nic", "resourceClaimName": "a-nic"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "a-extended"}}})
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
            (Kind::Secret, "chap"),
            (Kind::Secret, "azure"),
            (Kind::ResourceClaim, "own"),
            (Kind::ResourceClaim, "a-nic"),
            (Kind::ResourceClaim, "a-extended"),
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
        assert!(graph.0.read().uses.is_empty() && graph.0.read().holders.is_empty());
    }

    #[test]
    fn volumes_and_their_secrets_come_with_the_claim() {
        let volume = json!({"metadata": {"name": "pv"}, "spec": {
            "claimRef": {"namespace": "ns", "name": "data"},
            "csi": {"nodeStageSecretRef": {"namespace": "vault", "name": "stage"},
                "controllerPublishSecretRef": {"namespace": "vault", "name": "controller"}}}});
        let mut other = volume.clone();
        other["metadata"]["name"] = "other".into();
        other["spec"]["claimRef"]["name"] = "others".into();
        let graph = NodeGraph::default();
        // The order in which the resources are read does not matter.
        graph.apply("persistentvolumes", Change::Replace(vec![Arc::new(volume.clone()), Arc::new(other)]));
        let stage = |node: &str| graph.relates(node, Kind::Secret, "vault", "stage");
        assert!(!stage("n1"));
        graph.apply("pods", Change::Put(Arc::new(pod("a", "n1"))));
        assert!(stage("n1") && !stage("n2"));
        assert!(graph.relates("n1", Kind::Volume, "", "pv") && !graph.relates("n2", Kind::Volume, "", "pv"));
        assert!(!graph.relates("n1", Kind::Volume, "", "other"), "no pod uses its claim");
        assert!(!graph.relates("n1", Kind::Secret, "vault", "controller"), "not the kubelet's");

        let mut released = volume.clone();
        released["spec"].as_object_mut().unwrap().remove("claimRef");
        graph.apply("persistentvolumes", Change::Put(Arc::new(released)));
        assert!(!stage("n1") && !graph.relates("n1", Kind::Volume, "", "pv"));
        graph.apply("persistentvolumes", Change::Replace(Vec::new()));
        assert!(graph.0.read().volumes.is_empty() && graph.0.read().mounted_with.is_empty());
        assert!(graph.relates("n1", Kind::Pod, "ns", "a"), "the pods are still there");
    }

    #[test]
    fn what_names_a_node_is_its_business() {
        let graph = NodeGraph::default();
        let cases = [
            ("volumeattachments", Kind::Attachment, ""),
            ("resourceslices", Kind::ResourceSlice, ""),
            ("podcertificaterequests", Kind::CertificateRequest, "ns"),
        ];
        for (resource, kind, namespace) in cases {
            let object =
                json!({"metadata": {"namespace": namespace, "name": "x"}, "spec": {"nodeName": "n1"}});
            graph.apply(resource, Change::Put(Arc::new(object.clone())));
            assert!(graph.relates("n1", kind, namespace, "x") && !graph.relates("n2", kind, namespace, "x"));
            graph.apply(resource, Change::Delete(Arc::new(object)));
            assert!(!graph.relates("n1", kind, namespace, "x"));
        }
        let unbound = json!({"metadata": {"name": "x"}, "spec": {"allNodes": true}});
        graph.apply("resourceslices", Change::Put(Arc::new(unbound)));
        assert!(!graph.relates("", Kind::ResourceSlice, "", "x"));
    }

    #[test]
    fn mirror_pods_give_nothing_else() {
        let graph = NodeGraph::default();
        let mut mirror = pod("static", "n1");
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
        graph.apply("pods", Change::Put(Arc::new(mirror)));
        assert!(graph.relates("n1", Kind::Pod, "ns", "static"));
        assert!(!graph.relates("n1", Kind::Secret, "ns", "vol"));
        assert!(!graph.relates("n1", Kind::ServiceAccount, "ns", "sa"));
    }
}
