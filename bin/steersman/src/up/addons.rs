//! Objects that every cluster has beside what the API server makes itself: the DNS service.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::settings::Settings;

const NAMESPACE: &str = "kube-system";
const DNS: &str = "kube-dns";
const FIELD_MANAGER: &str = "steersman";

/// Creates the objects, or brings them back to what they must be.
pub async fn ensure(client: &Client, settings: &Settings) -> Result<()> {
    let force = PatchParams::apply(FIELD_MANAGER).force();
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let service = Patch::Apply(dns_service(settings)?);
    services.patch(DNS, &force, &service).await.context("could not create the DNS service")?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    let slice = Patch::Apply(dns_slice(settings)?);
    slices
        .patch(&slice_name(settings)?, &force, &slice)
        .await
        .context("could not create the DNS endpoints")?;
    Ok(())
}

/// The service as CoreDNS has it with kubeadm, but for the selector: DNS is a part of each node, not a pod.
fn dns_service(settings: &Settings) -> Result<serde_json::Value> {
    let address = settings.dns_service()?;
    Ok(json!({
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
    }))
}

fn slice_name(settings: &Settings) -> Result<String> {
    Ok(format!("{DNS}-{}", settings.node_name()?))
}

fn dns_slice(settings: &Settings) -> Result<serde_json::Value> {
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": slice_name(settings)?, "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": DNS, "endpointslice.kubernetes.io/managed-by": FIELD_MANAGER,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [settings.gateway()], "conditions": { "ready": true }, "nodeName": settings.node_name()?,
        }],
        "ports": [
            { "name": "dns", "port": 53, "protocol": "UDP" },
            { "name": "dns-tcp", "port": 53, "protocol": "TCP" },
        ],
    }))
}
