//! Objects that a cluster has beside what the API server makes itself: the DNS service, and what nodes may read.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

const NAMESPACE: &str = "kube-system";
const DNS: &str = "kube-dns";
const FIELD_MANAGER: &str = "steersman";
/// What the parts of an agent read beyond what the node authorizer lets a kubelet read.
const NODE_SERVICES: &str = "steersman:node-services";

/// The DNS server of a node, and the service that leads to it.
pub struct DnsPlace {
    /// The service's address.
    pub service: IpAddr,
    /// The node's name.
    pub node: String,
    /// Where its DNS server listens.
    pub server: Ipv4Addr,
}

/// Makes the DNS service and its endpoints, or brings them back to what they must be.
pub async fn ensure_dns(client: &Client, place: &DnsPlace) -> Result<()> {
    let force = PatchParams::apply(FIELD_MANAGER).force();
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let service = Patch::Apply(dns_service(place.service));
    services.patch(DNS, &force, &service).await.context("could not create the DNS service")?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let (name, slice) = (slice_name(&place.node), Patch::Apply(dns_slice(place)));
    slices.patch(&name, &force, &slice).await.context("could not create the DNS endpoints")?;
    Ok(())
}

/// Lets nodes read what the proxy and the DNS server of an agent need, with the kubelet's own identity.
pub async fn ensure_access_of_nodes(client: &Client) -> Result<()> {
    let force = PatchParams::apply(FIELD_MANAGER).force();
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let role = Patch::Apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": NODE_SERVICES },
        "rules": [
            { "apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"] },
            { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"] },
        ],
    }));
    roles.patch(NODE_SERVICES, &force, &role).await.context("could not create the role of nodes")?;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let binding = Patch::Apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": NODE_SERVICES },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NODE_SERVICES },
        "subjects": [
            { "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes" },
        ],
    }));
    bindings.patch(NODE_SERVICES, &force, &binding).await.context("could not give nodes their role")?;
    Ok(())
}

/// The service as CoreDNS has it with kubeadm, but for the selector: DNS is a part of each node, not a pod.
fn dns_service(address: IpAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": DNS, "namespace": NAMESPACE,
            "labels": {
                "k8s-app": DNS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address, "clusterIPs": [address],
            "ports": [
                { "name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53 },
                { "name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53 },
            ],
        },
    })
}

fn slice_name(node: &str) -> String {
    format!("{DNS}-{node}")
}

fn dns_slice(place: &DnsPlace) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": slice_name(&place.node), "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": DNS, "endpointslice.kubernetes.io/managed-by": FIELD_MANAGER,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [place.server], "conditions": { "ready": true }, "nodeName": place.node,
        }],
        "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
        ],
    })
}
