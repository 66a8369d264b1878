//! The default roles.

use serde_json::json;

use super::components::{CONTROLLER_MANAGER, NODE, SCHEDULER};
use super::users::{ADMIN, EDIT, VIEW};
use super::{EVENTS, READ, Rule, Wanted, at, named, object, on, rules};

const AGGREGATE_TO: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// Name, the role that it is aggregated to (may be empty), rules.
const CLUSTER_ROLES: &[(&str, &str, &[Rule])] = &[
    ("cluster-admin", "", &[on("*", "*", "*"), at("*", "*")]),
    ("system:aggregate-to-admin", "admin", ADMIN),
    ("system:aggregate-to-edit", "edit", EDIT),
    ("system:aggregate-to-view", "view", VIEW),
    (
        "system:auth-delegator",
        "",
        &[
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    (
        "system:basic-user",
        "",
        &[
            on("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            on("create", "authentication.k8s.io", "selfsubjectreviews"),
        ],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        "",
        &[on("create", "certificates.k8s.io", "certificatesigningrequests/nodeclient")],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        "",
        &[on("create", "certificates.k8s.io", "certificatesigningrequests/selfnodeclient")],
    ),
    (
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        "",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client")],
    ),
    (
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        "",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client-kubelet")],
    ),
    (
        "system:certificates.k8s.io:kubelet-serving-approver",
        "",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/kubelet-serving")],
    ),
    (
        "system:certificates.k8s.io:legacy-unknown-approver",
        "",
        &[named("approve", "certificates.k8s.io", "signers", "kubernetes.io/legacy-unknown")],
    ),
    ("system:cluster-trust-bundle-discovery", "", &[on(READ, "certificates.k8s.io", "clustertrustbundles")]),
    // The cluster's DNS server; kubeadm brings this role with its add-on.
    (
        "system:coredns",
        "",
        &[
            on("list watch", "core", "endpoints namespaces pods services"),
            on("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    (
        "system:discovery",
        "",
        &[at(
            "get",
            "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*",
        )],
    ),
    (
        "system:heapster",
        "",
        &[on(READ, "core", "events namespaces nodes pods"), on(READ, "extensions", "deployments")],
    ),
    ("system:kube-aggregator", "", &[on(READ, "core", "endpoints services")]),
    ("system:kube-controller-manager", "", CONTROLLER_MANAGER),
    ("system:kube-dns", "", &[on("list watch", "core", "endpoints services")]),
    ("system:kube-scheduler", "", SCHEDULER),
    (
        "system:kubelet-api-admin",
        "",
        &[
            on(READ, "core", "nodes"),
            on("proxy", "core", "nodes"),
            on("*", "core", "nodes/log nodes/metrics nodes/proxy nodes/stats"),
            on("*", "core", "nodes/configz nodes/healthz nodes/pods"),
        ],
    ),
    (
        "system:monitoring",
        "",
        &[
            at(
                "get",
                "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/* /statusz /flagz",
            ),
            on("get", "core", "nodes/metrics"),
        ],
    ),
    ("system:node", "", NODE),
    (
        "system:node-bootstrapper",
        "",
        &[on("create get list watch", "certificates.k8s.io", "certificatesigningrequests")],
    ),
    (
        "system:node-problem-detector",
        "",
        &[on("get", "core", "nodes"), on("patch", "core", "nodes/status"), EVENTS],
    ),
    (
        "system:node-proxier",
        "",
        &[
            on("list watch", "core", "endpoints services"),
            on(READ, "core", "nodes"),
            EVENTS,
            on("list watch", "networking.k8s.io", "servicecidrs"),
            on("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    (
        "system:persistent-volume-provisioner",
        "",
        &[
            on("create delete get list watch", "core", "persistentvolumes"),
            on("get list update watch", "core", "persistentvolumeclaims"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("watch", "core", "events"),
            EVENTS,
        ],
    ),
    ("system:public-info-viewer", "", &[at("get", "/livez /readyz /healthz /version /version/")]),
    (
        "system:service-account-issuer-discovery",
        "",
        &[at(
            "get",
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
        )],
    ),
    (
        "system:volume-scheduler",
        "",
        &[
            on("get list patch update watch", "core", "persistentvolumes"),
            on(READ, "storage.k8s.io", "storageclasses"),
            on("get list patch update watch", "core", "persistentvolumeclaims"),
        ],
    ),
];

/// Roles whose rules are the sum of others': name, and what it is aggregated to itself.
const AGGREGATED: &[(&str, &str)] = &[("admin", ""), ("edit", "admin"), ("view", "edit")];

/// Namespace, name, rules.
const ROLES: &[(&str, &str, &[Rule])] = &[
    (
        "kube-public",
        "system:controller:bootstrap-signer",
        &[on(READ, "core", "configmaps"), named("update", "core", "configmaps", "cluster-info"), EVENTS],
    ),
    (
        "kube-system",
        "extension-apiserver-authentication-reader",
        &[named(READ, "core", "configmaps", "extension-apiserver-authentication")],
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager", LEADER),
    ("kube-system", "system::leader-locking-kube-scheduler", LEADER),
    ("kube-system", "system:controller:bootstrap-signer", &[on(READ, "core", "secrets")]),
    ("kube-system", "system:controller:cloud-provider", &[on("create get list watch", "core", "configmaps")]),
    (
        "kube-system",
        "system:controller:token-cleaner",
        &[on("delete get list watch", "core", "secrets"), EVENTS],
    ),
];

const LEADER: &[Rule] = &[
    on("create get list update watch", "coordination.k8s.io", "leases"),
    on("create get list update watch", "coordination.k8s.io", "leasecandidates"),
];

pub(super) fn cluster_roles() -> Vec<Wanted> {
    let plain = CLUSTER_ROLES.iter().map(|(name, to, table)| {
        let mut role = cluster_role(name, to);
        role["rules"] = rules(table);
        role
    });
    let aggregated = AGGREGATED.iter().map(|(name, to)| {
        let mut role = cluster_role(name, to);
        let selector = json!({ "matchLabels": { format!("{AGGREGATE_TO}{name}"): "true" } });
        role["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
        role
    });
    plain.chain(aggregated).map(|object| Wanted { resource: "clusterroles", object }).collect()
}

fn cluster_role(name: &str, aggregate_to: &str) -> steersman_apimachinery::Tree {
    let mut role = object("ClusterRole", "", name);
    if !aggregate_to.is_empty() {
        role["metadata"]["labels"][format!("{AGGREGATE_TO}{aggregate_to}")] = "true".into();
    }
    role
}

pub(super) fn roles() -> Vec<Wanted> {
    let role = |(namespace, name, table): &(&str, &str, &[Rule])| {
        let mut role = object("Role", namespace, name);
        role["rules"] = rules(table);
        Wanted { resource: "roles", object: role }
    };
    ROLES.iter().map(role).collect()
}
