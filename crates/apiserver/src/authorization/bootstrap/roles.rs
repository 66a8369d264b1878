//! The default roles.

use serde_json::json;

use super::{EVENTS, READ, READ_WRITE, Rule, WRITE, Wanted, at, named, object, on, rules};

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
    (
        "system:kube-controller-manager",
        "",
        &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
            on("create", "core", "secrets serviceaccounts"),
            on("delete", "core", "secrets"),
            on("get", "core", "configmaps namespaces secrets serviceaccounts"),
            on("update", "core", "secrets serviceaccounts"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on("list watch", "*", "*"),
            on("create", "core", "serviceaccounts/token"),
        ],
    ),
    ("system:kube-dns", "", &[on("list watch", "core", "endpoints services")]),
    (
        "system:kube-scheduler",
        "",
        &[
            EVENTS,
            on("create", "coordination.k8s.io", "leases"),
            named("get list update watch", "coordination.k8s.io", "leases", "kube-scheduler"),
            on("create", "coordination.k8s.io", "leasecandidates"),
            on("create delete get list patch update watch", "coordination.k8s.io", "leasecandidates"),
            on(READ, "core", "nodes"),
            on("delete get list watch", "core", "pods"),
            on("create", "core", "bindings pods/binding"),
            on("patch update", "core", "pods/status"),
            on(READ, "core", "replicationcontrollers services"),
            on(READ, "apps extensions", "replicasets"),
            on(READ, "apps", "statefulsets"),
            on(READ, "policy", "poddisruptionbudgets"),
            on(READ, "core", "persistentvolumeclaims persistentvolumes"),
            on("create", "authentication.k8s.io", "tokenreviews"),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            on(READ, "storage.k8s.io", "csinodes"),
            on(READ, "core", "namespaces"),
            on(READ, "storage.k8s.io", "csidrivers"),
            on(READ, "storage.k8s.io", "csistoragecapacities"),
            on(READ, "storage.k8s.io", "volumeattachments"),
            on(READ, "resource.k8s.io", "deviceclasses resourceslices"),
            on("get list patch update watch", "resource.k8s.io", "resourceclaims"),
            on("patch update", "resource.k8s.io", "resourceclaims/status"),
        ],
    ),
    (
        "system:kubelet-api-admin",
        "",
        &[
            on(READ, "core", "nodes"),
            on("proxy", "core", "nodes"),
            on(
                "*",
                "core",
                "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats",
            ),
        ],
    ),
    (
        "system:monitoring",
        "",
        &[at(
            "get",
            "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/* /statusz /flagz",
        )],
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
            on("list watch", "discovery.k8s.io", "endpointslices"),
            on("list watch", "networking.k8s.io", "servicecidrs"),
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

const ADMIN: &[Rule] = &[
    on("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    on(READ_WRITE, "rbac.authorization.k8s.io", "rolebindings roles"),
];

const EDIT: &[Rule] = &[
    on(READ, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    on("impersonate", "core", "serviceaccounts"),
    on(WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    on("create", "core", "pods/eviction"),
    on(
        WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
         serviceaccounts services services/proxy",
    ),
    on("create", "core", "serviceaccounts/token"),
    on(
        WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets \
         statefulsets/scale",
    ),
    on(WRITE, "autoscaling", "horizontalpodautoscalers"),
    on(WRITE, "batch", "cronjobs jobs"),
    on(
        WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets \
         replicasets/scale replicationcontrollers/scale",
    ),
    on(WRITE, "policy", "poddisruptionbudgets"),
    on(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    on(READ_WRITE, "coordination.k8s.io", "leases"),
    on(WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
];

const VIEW: &[Rule] = &[
    on(
        READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
         replicationcontrollers/scale serviceaccounts services services/status",
    ),
    on(
        READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
         resourcequotas resourcequotas/status",
    ),
    on(READ, "core", "namespaces"),
    on(READ, "discovery.k8s.io", "endpointslices"),
    on(
        READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status \
         replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    ),
    on(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    on(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    on(
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
         ingresses/status networkpolicies replicasets replicasets/scale replicasets/status \
         replicationcontrollers/scale",
    ),
    on(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    on(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    on(READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

pub(super) const NODE: &[Rule] = &[
    on("create", "authentication.k8s.io", "tokenreviews"),
    on("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    on(READ, "core", "services"),
    on("create get list watch", "core", "nodes"),
    on("patch update", "core", "nodes/status"),
    on("patch update", "core", "nodes"),
    EVENTS,
    on(READ, "core", "pods"),
    on("create delete", "core", "pods"),
    on("patch update", "core", "pods/status"),
    on("create", "core", "pods/eviction"),
    on(READ, "core", "configmaps secrets"),
    on("get", "core", "persistentvolumeclaims persistentvolumes"),
    on("get", "core", "endpoints"),
    on("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
    on("create delete get patch update", "coordination.k8s.io", "leases"),
    on("get", "storage.k8s.io", "volumeattachments"),
    on("create", "core", "serviceaccounts/token"),
    on("get patch update", "core", "persistentvolumeclaims/status"),
    on(READ, "storage.k8s.io", "csidrivers"),
    on("create delete get patch update", "storage.k8s.io", "csinodes"),
    on(READ, "node.k8s.io", "runtimeclasses"),
    on("get", "resource.k8s.io", "resourceclaims"),
    on("create delete deletecollection get list patch update watch", "resource.k8s.io", "resourceslices"),
    on("get", "core", "serviceaccounts"),
];

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
        role["rules"] = json!([]);
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
