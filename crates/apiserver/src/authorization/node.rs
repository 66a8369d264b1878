//! The node authorizer: a kubelet reads what its pods need and writes what is its own.
//!
//! It answers for users of the group `system:nodes` only. What a kubelet writes is narrowed further by the admission
//! plugin NodeRestriction. Reasons are upstream's.

use std::sync::{Arc, LazyLock};

use super::bootstrap;
use super::node_graph::NodeGraph;
use super::node_references::Kind;
use super::rules::PolicyRule;
use crate::request::{Attributes, Decision, User};

const LEASES: &str = "kube-node-lease";

/// Decides for kubelets.
pub struct NodeAuthorizer {
    graph: Arc<NodeGraph>,
}

/// Allowed, or why not.
type Answer = Result<(), String>;

/// The rules that hold for every node, whatever runs on it.
static RULES: LazyLock<Vec<PolicyRule>> = LazyLock::new(bootstrap::node_rules);

/// The node that a user is the kubelet of; empty if it is a node that does not say which.
pub fn node_of(user: &User) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:");
    let is_node = user.groups.iter().any(|group| group == "system:nodes");
    is_node.then(|| name.unwrap_or_default())
}

impl NodeAuthorizer {
    /// Decides by what is in `graph`.
    pub fn new(graph: Arc<NodeGraph>) -> Self {
        Self { graph }
    }

    /// Whether the request is a node's and allowed; no opinion otherwise.
    pub fn authorize(&self, asked: &Attributes) -> Decision {
        let Some(node) = node_of(&asked.user) else {
            return Decision::NoOpinion { reason: String::new() };
        };
        if node.is_empty() {
            let reason = format!("unknown node for user {:?}", asked.user.name);
            return Decision::NoOpinion { reason };
        }
        match self.answer(node, asked) {
            Ok(()) => Decision::Allow { reason: String::new() },
            Err(reason) => Decision::NoOpinion { reason },
        }
    }

    fn answer(&self, node: &str, asked: &Attributes) -> Answer {
        match (asked.group.as_str(), asked.resource.as_str()) {
            ("", "secrets") => self.read_related(node, asked, Kind::Secret),
            ("", "configmaps") => self.read_related(node, asked, Kind::ConfigMap),
            ("", "persistentvolumeclaims") if asked.subresource == "status" => self.claim_status(node, asked),
            ("", "persistentvolumeclaims") => self.get_related(node, asked, Kind::Claim),
            ("", "serviceaccounts") => self.service_account(node, asked),
            ("", "pods") => self.pod(node, asked),
            ("", "nodes") => own_node(node, asked),
            ("coordination.k8s.io", "leases") => own_lease(node, asked),
            ("storage.k8s.io", "csinodes") => own_csi_node(node, asked),
            ("", "persistentvolumes") => self.get_related(node, asked, Kind::Volume),
            ("resource.k8s.io", "resourceclaims") => self.get_related(node, asked, Kind::ResourceClaim),
            ("storage.k8s.io", "volumeattachments") => self.get_related(node, asked, Kind::Attachment),
            ("resource.k8s.io", "resourceslices") => self.resource_slice(node, asked),
            ("certificates.k8s.io", "podcertificaterequests") => self.certificate_request(node, asked),
            _ => by_rules(asked),
        }
    }

    fn read_related(&self, node: &str, asked: &Attributes, kind: Kind) -> Answer {
        if !matches!(asked.verb.as_str(), "get" | "list" | "watch") {
            return refuse("can only read resources of this type");
        }
        if !asked.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if asked.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(node, asked, kind)
    }

    fn get_related(&self, node: &str, asked: &Attributes, kind: Kind) -> Answer {
        if asked.verb != "get" {
            return refuse("can only get individual resources of this type");
        }
        if !asked.subresource.is_empty() {
            return refuse("cannot get subresource");
        }
        self.related(node, asked, kind)
    }

    fn claim_status(&self, node: &str, asked: &Attributes) -> Answer {
        match asked.verb.as_str() {
            "update" | "patch" => self.related(node, asked, Kind::Claim),
            _ => refuse("can only get/update/patch this type"),
        }
    }

    fn service_account(&self, node: &str, asked: &Attributes) -> Answer {
        if asked.subresource.is_empty() && asked.verb == "get" {
            return self.read_related(node, asked, Kind::ServiceAccount);
        }
        if asked.verb != "create" || asked.name.is_empty() {
            return refuse("can only create tokens for individual service accounts");
        }
        if asked.subresource != "token" {
            return refuse("can only create token subresource of serviceaccount");
        }
        self.related(node, asked, Kind::ServiceAccount)
    }

    /// Which pods may be created, deleted and written is NodeRestriction's matter.
    fn pod(&self, node: &str, asked: &Attributes) -> Answer {
        match (asked.subresource.as_str(), asked.verb.as_str()) {
            ("", "get") => self.related(node, asked, Kind::Pod),
            ("", "list" | "watch") if of_node(asked, node) => Ok(()),
            ("", "list" | "watch") if !asked.name.is_empty() => self.related(node, asked, Kind::Pod),
            ("", "list" | "watch") => refuse("can only list/watch pods with spec.nodeName field selector"),
            _ => by_rules(asked),
        }
    }

    /// Whose slices are made and deleted is NodeRestriction's matter.
    fn resource_slice(&self, node: &str, asked: &Attributes) -> Answer {
        if !asked.subresource.is_empty() {
            return refuse("cannot authorize ResourceSlice subresources");
        }
        match asked.verb.as_str() {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.related(node, asked, Kind::ResourceSlice),
            "watch" | "list" | "deletecollection" if of_node(asked, node) => Ok(()),
            "watch" | "list" | "deletecollection" => {
                refuse("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => refuse(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                 delete, deletecollection",
            ),
        }
    }

    /// For which pods certificates are asked is NodeRestriction's matter.
    fn certificate_request(&self, node: &str, asked: &Attributes) -> Answer {
        if !asked.subresource.is_empty() {
            return refuse("nodes may not access the status subresource of PodCertificateRequests");
        }
        match asked.verb.as_str() {
            "create" => Ok(()),
            "get" => self.related(node, asked, Kind::CertificateRequest),
            "list" | "watch" if of_node(asked, node) => Ok(()),
            "list" | "watch" => {
                refuse("can only list/watch podcertificaterequests with nodeName field selector")
            }
            verb => Err(format!("nodes may not {verb} podcertificaterequests")),
        }
    }

    fn related(&self, node: &str, asked: &Attributes, kind: Kind) -> Answer {
        if asked.name.is_empty() {
            return refuse("No Object name found");
        }
        if self.graph.relates(node, kind, &asked.namespace, &asked.name) {
            return Ok(());
        }
        Err(format!("no relationship found between node '{node}' and this object"))
    }
}

fn refuse(reason: &str) -> Answer {
    Err(reason.to_owned())
}

fn by_rules(asked: &Attributes) -> Answer {
    if RULES.iter().any(|rule| rule.allows(asked)) { Ok(()) } else { Err(String::new()) }
}

/// A kubelet may look at its own node, also before it exists; which node it writes is NodeRestriction's matter.
fn own_node(node: &str, asked: &Attributes) -> Answer {
    let reads = matches!(asked.verb.as_str(), "get" | "list" | "watch");
    if !reads || !asked.subresource.is_empty() {
        return by_rules(asked);
    }
    match asked.name.as_str() {
        name if name == node => Ok(()),
        "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
        name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
    }
}

fn own_lease(node: &str, asked: &Attributes) -> Answer {
    if !matches!(asked.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if asked.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if asked.verb != "create" && asked.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

fn own_csi_node(node: &str, asked: &Attributes) -> Answer {
    if !matches!(asked.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a CSINode");
    }
    if !asked.subresource.is_empty() {
        return refuse("cannot authorize CSINode subresources");
    }
    if asked.verb != "create" && asked.name != node {
        return refuse("can only access CSINode with the same name as the requesting node");
    }
    Ok(())
}

/// Whether only objects with `spec.nodeName` = `node` are asked for: a term of the field selector says so.
fn of_node(asked: &Attributes, node: &str) -> bool {
    asked.field_selector.split(',').any(|term| {
        let asked = term.trim().split_once("==").or_else(|| term.trim().split_once('='));
        asked.is_some_and(|(field, wanted)| field == "spec.nodeName" && wanted == node)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::follow::{Change, Index};
    use super::*;

    fn asked(user: &str, verb: &str, path: &str) -> Attributes {
        // group/resource[/subresource] namespace name
        let [what, namespace, name] = path.split(' ').collect::<Vec<_>>()[..] else { panic!("{path}") };
        let parts: Vec<&str> = what.split('/').collect();
        let user = User { name: user.to_owned(), groups: vec!["system:nodes".to_owned()], ..User::default() };
        Attributes {
            user: Arc::new(user),
            verb: verb.to_owned(),
            group: parts[0].to_owned(),
            resource: parts[1].to_owned(),
            subresource: parts.get(2).copied().unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        }
    }

    fn authorizer() -> NodeAuthorizer {
        let graph = Arc::new(NodeGraph::default());
        let pod = json!({"metadata": {"namespace": "ns", "name": "web"}, "spec": {"nodeName": "n1",
            "serviceAccountName": "sa", "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}],
            "volumes": [{"secret": {"secretName": "s"}}, {"persistentVolumeClaim": {"claimName": "data"}}]}});
        graph.apply("pods", Change::Put(Arc::new(pod)));
        let volume =
            json!({"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": "ns", "name": "data"}}});
        graph.apply("persistentvolumes", Change::Put(Arc::new(volume)));
        for resource in ["volumeattachments", "resourceslices", "podcertificaterequests"] {
            let object = json!({"metadata": {"name": "own"}, "spec": {"nodeName": "n1"}});
            graph.apply(resource, Change::Put(Arc::new(object)));
        }
        NodeAuthorizer::new(graph)
    }

    #[test]
    fn kubelets_get_what_is_theirs() {
        let unrelated = "no relationship found between node 'n1' and this object";
        let cases = [
            ("get", "/secrets ns s", None),
            ("watch", "/secrets ns s", None),
            ("get", "/secrets ns other", Some(unrelated)),
            ("get", "/secrets other s", Some(unrelated)),
            ("list", "/secrets ns ", Some("No Object name found")),
            ("update", "/secrets ns s", Some("can only read resources of this type")),
            ("get", "/configmaps  s", Some("can only read namespaced object of this type")),
            ("create", "/serviceaccounts/token ns sa", None),
            ("create", "/serviceaccounts/token ns other", Some(unrelated)),
            (
                "create",
                "/serviceaccounts/x ns sa",
                Some("can only create token subresource of serviceaccount"),
            ),
            ("get", "/serviceaccounts ns sa", None),
            ("list", "/serviceaccounts ns ", Some("can only create tokens for individual service accounts")),
            ("get", "/persistentvolumeclaims ns data", None),
            ("get", "/persistentvolumes  pv", None),
            ("get", "/persistentvolumes  other", Some(unrelated)),
            ("list", "/persistentvolumes  ", Some("can only get individual resources of this type")),
            ("get", "resource.k8s.io/resourceclaims ns gpu", None),
            ("get", "storage.k8s.io/volumeattachments  own", None),
            ("get", "storage.k8s.io/volumeattachments  other", Some(unrelated)),
            ("create", "resource.k8s.io/resourceslices  ", None),
            ("delete", "resource.k8s.io/resourceslices  own", None),
            ("patch", "resource.k8s.io/resourceslices  other", Some(unrelated)),
            (
                "deletecollection",
                "resource.k8s.io/resourceslices  ",
                Some("can only list/watch/deletecollection resourceslices with nodeName field selector"),
            ),
            ("create", "certificates.k8s.io/podcertificaterequests ns ", None),
            ("get", "certificates.k8s.io/podcertificaterequests  own", None),
            (
                "watch",
                "certificates.k8s.io/podcertificaterequests  ",
                Some("can only list/watch podcertificaterequests with nodeName field selector"),
            ),
            (
                "delete",
                "certificates.k8s.io/podcertificaterequests  own",
                Some("nodes may not delete podcertificaterequests"),
            ),
            (
                "update",
                "certificates.k8s.io/podcertificaterequests/status  own",
                Some("nodes may not access the status subresource of PodCertificateRequests"),
            ),
            ("watch", "certificates.k8s.io/clustertrustbundles  ", None),
            ("get", "/pods ns web", None),
            ("get", "/pods ns other", Some(unrelated)),
            ("list", "/pods  ", Some("can only list/watch pods with spec.nodeName field selector")),
            ("delete", "/pods ns web", None),
            ("patch", "/pods/status ns web", None),
            ("get", "/nodes  n1", None),
            ("watch", "/nodes  n1", None),
            ("get", "/nodes  n2", Some("node 'n1' cannot read 'n2', only its own Node object")),
            ("list", "/nodes  ", Some("node 'n1' cannot read all nodes, only its own Node object")),
            ("create", "/nodes  ", None),
            ("patch", "/nodes/status  n1", None),
            ("update", "coordination.k8s.io/leases kube-node-lease n1", None),
            ("create", "coordination.k8s.io/leases kube-node-lease ", None),
            (
                "update",
                "coordination.k8s.io/leases kube-node-lease n2",
                Some("can only access node lease with the same name as the requesting node"),
            ),
            (
                "update",
                "coordination.k8s.io/leases kube-system n1",
                Some("can only access leases in the \"kube-node-lease\" system namespace"),
            ),
            (
                "list",
                "coordination.k8s.io/leases kube-node-lease ",
                Some("can only get, create, update, patch, or delete a node lease"),
            ),
            (
                "get",
                "storage.k8s.io/csinodes  n2",
                Some("can only access CSINode with the same name as the requesting node"),
            ),
            ("list", "/services  ", None),
            ("create", "/events ns ", None),
            ("create", "authentication.k8s.io/tokenreviews  ", None),
            ("delete", "/services ns x", Some("")),
            ("create", "apps/deployments ns x", Some("")),
        ];
        let authorizer = authorizer();
        for (verb, path, refused) in cases {
            let want = match refused {
                None => Decision::Allow { reason: String::new() },
                Some(reason) => Decision::NoOpinion { reason: reason.to_owned() },
            };
            assert_eq!(authorizer.authorize(&asked("system:node:n1", verb, path)), want, "{verb} {path}");
        }
    }

    #[test]
    fn lists_are_of_the_own_node_only() {
        let authorizer = authorizer();
        for (selector, allowed) in [
            ("spec.nodeName=n1", true),
            ("spec.nodeName==n1,status.phase!=Failed", true),
            ("spec.nodeName=n2", false),
            ("spec.nodeName!=n1", false),
        ] {
            for what in [
                "/pods  ",
                "resource.k8s.io/resourceslices  ",
                "certificates.k8s.io/podcertificaterequests  ",
            ] {
                let mut list = asked("system:node:n1", "list", what);
                list.field_selector = selector.to_owned();
                let decision = authorizer.authorize(&list);
                assert_eq!(matches!(decision, Decision::Allow { .. }), allowed, "{selector} {what}");
            }
        }
    }

    #[test]
    fn others_are_nobodys_business_here() {
        let authorizer = authorizer();
        let mut other = asked("alice", "get", "/secrets ns s");
        Arc::make_mut(&mut other.user).groups.clear();
        assert_eq!(authorizer.authorize(&other), Decision::NoOpinion { reason: String::new() });
        let nameless = asked("alice", "get", "/secrets ns s");
        let want = "unknown node for user \"alice\"".to_owned();
        assert_eq!(authorizer.authorize(&nameless), Decision::NoOpinion { reason: want });
    }
}
