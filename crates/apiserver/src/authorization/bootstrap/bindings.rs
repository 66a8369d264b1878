//! Who has the default roles.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::{GROUP, Wanted, object};

#[derive(Clone, Copy)]
enum Subject {
    User(&'static str),
    Group(&'static str),
    /// An account of `kube-system`.
    Account(&'static str),
}

use Subject::{Account, Group, User};

/// Binding, role, subjects.
const CLUSTER: &[(&str, &str, &[Subject])] = &[
    ("cluster-admin", "cluster-admin", &[Group("system:masters")]),
    // The administrators of kubeadm's kubeconfig, whose rights can be taken away, unlike those of system:masters.
    ("kubeadm:cluster-admins", "cluster-admin", &[Group("kubeadm:cluster-admins")]),
    ("system:basic-user", "system:basic-user", &[Group("system:authenticated")]),
    (
        "system:cluster-trust-bundle-discovery",
        "system:cluster-trust-bundle-discovery",
        &[Group("system:serviceaccounts")],
    ),
    ("system:coredns", "system:coredns", &[Account("coredns")]),
    ("system:discovery", "system:discovery", &[Group("system:authenticated")]),
    (
        "system:kube-controller-manager",
        "system:kube-controller-manager",
        &[User("system:kube-controller-manager")],
    ),
    ("system:kube-dns", "system:kube-dns", &[Account("kube-dns")]),
    ("system:kube-scheduler", "system:kube-scheduler", &[User("system:kube-scheduler")]),
    ("system:monitoring", "system:monitoring", &[Group("system:monitoring")]),
    // Kept without subjects: the node authorizer decides for nodes.
    ("system:node", "system:node", &[]),
    ("system:node-proxier", "system:node-proxier", &[User("system:kube-proxy")]),
    (
        "system:public-info-viewer",
        "system:public-info-viewer",
        &[Group("system:authenticated"), Group("system:unauthenticated")],
    ),
    (
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
        &[Group("system:serviceaccounts")],
    ),
    ("system:volume-scheduler", "system:volume-scheduler", &[User("system:kube-scheduler")]),
];

/// Namespace, binding, role, subjects.
const NAMESPACED: &[(&str, &str, &str, &[Subject])] = &[
    (
        "kube-public",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[Account("bootstrap-signer")],
    ),
    (
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        &[User("system:kube-controller-manager"), User("system:kube-scheduler")],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        &[
            User("system:kube-controller-manager"),
            Account("kube-controller-manager"),
            Account("leader-election-controller"),
        ],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        &[User("system:kube-scheduler"), Account("kube-scheduler")],
    ),
    (
        "kube-system",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[Account("bootstrap-signer")],
    ),
    (
        "kube-system",
        "system:controller:cloud-provider",
        "system:controller:cloud-provider",
        &[Account("cloud-provider")],
    ),
    (
        "kube-system",
        "system:controller:token-cleaner",
        "system:controller:token-cleaner",
        &[Account("token-cleaner")],
    ),
];

pub(super) fn cluster_bindings() -> Vec<Wanted> {
    let binding = |(name, role, subjects): &(&str, &str, &[Subject])| {
        let object = bind(object("ClusterRoleBinding", "", name), "ClusterRole", role, subjects);
        Wanted { resource: "clusterrolebindings", object }
    };
    CLUSTER.iter().map(binding).collect()
}

pub(super) fn bindings() -> Vec<Wanted> {
    let binding = |(namespace, name, role, subjects): &(&str, &str, &str, &[Subject])| {
        let object = bind(object("RoleBinding", namespace, name), "Role", role, subjects);
        Wanted { resource: "rolebindings", object }
    };
    NAMESPACED.iter().map(binding).collect()
}

fn bind(mut binding: Tree, kind: &str, role: &str, subjects: &[Subject]) -> Tree {
    binding["roleRef"] = json!({ "apiGroup": GROUP, "kind": kind, "name": role });
    if !subjects.is_empty() {
        binding["subjects"] = subjects.iter().map(|subject| subject.to_tree()).collect();
    }
    binding
}

impl Subject {
    fn to_tree(self) -> Tree {
        match self {
            User(name) => json!({ "apiGroup": GROUP, "kind": "User", "name": name }),
            Group(name) => json!({ "apiGroup": GROUP, "kind": "Group", "name": name }),
            Account(name) => json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" }),
        }
    }
}
