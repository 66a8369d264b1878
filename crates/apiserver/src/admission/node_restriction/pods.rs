//! What a kubelet may do to pods: report and evict those on its node, and mirror its static pods.

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::super::forbidden;
use crate::authorization::{Kind, referred_by};
use crate::request::{AdmissionRequest, ObjectReader, Operation};
use crate::view::{items, text};

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn check(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<(), ApiError> {
    let operation = super::shown(request.operation);
    let outcome = match (request.subresource, request.operation) {
        ("", Operation::Create) => create(objects, request, node).await,
        ("", Operation::Delete) => {
            let pod = stored(objects, request).await?;
            owned(&pod, node, "can only delete pods with spec.nodeName set to itself")
        }
        ("", _) => Err(format!(
            "unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"
        )),
        ("status", Operation::Update) => status(request, node),
        ("status", _) => Err(format!("unexpected operation {operation:?}")),
        ("eviction", Operation::Create) => {
            let pod = stored(objects, request).await?;
            let own = text(&pod, "/spec/nodeName") == node;
            let why = || format!("node {node} can only evict pods with spec.nodeName set to itself");
            own.then_some(()).ok_or_else(why)
        }
        ("eviction", _) => Err(format!("unexpected operation {operation}")),
        (other, _) => {
            Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
        }
    };
    outcome.map_err(|why| forbidden(request, &why))
}

async fn stored(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
) -> Result<std::sync::Arc<Tree>, ApiError> {
    let pod = objects.get("", "pods", request.namespace, request.name).await;
    pod.ok_or_else(|| ApiError::not_found("", "pods", request.name))
}

fn owned(pod: &Tree, node: &str, why: &str) -> Result<(), String> {
    if text(pod, "/spec/nodeName") == node { Ok(()) } else { Err(format!("node {node:?} {why}")) }
}

fn status(request: &AdmissionRequest<'_>, node: &str) -> Result<(), String> {
    let (Some(new), Some(old)) = (request.object.as_deref(), request.old) else { return Ok(()) };
    owned(old, node, "can only update pod status for pods with spec.nodeName set to itself")?;
    let labels = |pod: &Tree| pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    if labels(new) != labels(old) {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    // Who may name the claims of a pod may read any claim.
    if made_claims(new) != made_claims(old) {
        return Err(format!("node {node:?} cannot update resource claim statues"));
    }
    if extended_claim(new) != extended_claim(old) {
        return Err(format!("node {node:?} cannot update extended resource claim status"));
    }
    Ok(())
}

fn made_claims(pod: &Tree) -> Vec<(&str, Option<&Tree>)> {
    let made = items(pod, "/status/resourceClaimStatuses");
    made.iter().map(|claim| (text(claim, "/name"), claim.get("resourceClaimName"))).collect()
}

fn extended_claim(pod: &Tree) -> Option<(&str, &[Tree])> {
    let claim = pod.pointer("/status/extendedResourceClaimStatus").filter(|claim| !claim.is_null())?;
    Some((text(claim, "/resourceClaimName"), items(claim, "/requestMappings")))
}

async fn create(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<(), String> {
    let Some(pod) = request.object.as_deref() else { return Ok(()) };
    let annotations = pod.pointer("/metadata/annotations");
    if annotations.and_then(|annotations| annotations.get(MIRROR)).is_none() {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    owned(pod, node, "can only create pods with spec.nodeName set to itself")?;
    let owner = single_owner(pod, node)?;
    let known = objects.get("", "nodes", "", node).await;
    let uid = known.as_deref().map(|node| text(node, "/metadata/uid")).unwrap_or_default();
    let claimed = text(owner, "/uid");
    if uid != claimed {
        return Err(format!("node {node} UID mismatch: expected {claimed} got {uid}"));
    }
    match references(pod) {
        Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

/// The owner of a mirror pod is its node, as controller, and does not wait for it.
fn single_owner<'p>(pod: &'p Tree, node: &str) -> Result<&'p Tree, String> {
    let refuse = |what: &str| Err(format!("node {node:?} {what}"));
    let owner = match items(pod, "/metadata/ownerReferences") {
        [owner] => owner,
        [] => return refuse("can only create pods with an owner reference set to itself"),
        _ => return refuse("can only create pods with a single owner reference set to itself"),
    };
    let is_node =
        (text(owner, "/apiVersion"), text(owner, "/kind"), text(owner, "/name")) == ("v1", "Node", node);
    if !is_node {
        return refuse("can only create pods with an owner reference set to itself");
    }
    if owner.get("controller") != Some(&Tree::Bool(true)) {
        return refuse("can only create pods with a controller owner reference set to itself");
    }
    if owner.get("blockOwnerDeletion") == Some(&Tree::Bool(true)) {
        return refuse("must not set blockOwnerDeletion on an owner reference");
    }
    Ok(owner)
}

/// Kinds of volumes, and of parts of projected ones, that only the API can fill.
const API_VOLUMES: &[(&str, &str)] = &[
    ("configMap", "configmaps (via configmap volumes)"),
    ("secret", "secrets (via secret volumes)"),
    ("csi", "csidrivers (via CSI volumes)"),
    ("glusterfs", "endpoints (via glusterFS volumes)"),
    ("persistentVolumeClaim", "persistentvolumeclaims"),
    ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
    ("azureFile", "secrets (via azureFile volumes)"),
];
const API_PROJECTIONS: &[(&str, &str)] = &[
    ("configMap", "configmaps (via projected volumes)"),
    ("secret", "secrets (via projected volumes)"),
    ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
    ("clusterTrustBundle", "clustertrustbundles"),
    ("podCertificate", "podcertificates"),
];

/// What only the API could give the pod, if it asks for such.
fn references(pod: &Tree) -> Option<&'static str> {
    let referred = referred_by(pod);
    let refers_to = |kind: Kind| referred.iter().any(|target| target.0 == kind);
    if refers_to(Kind::ServiceAccount) {
        return Some("serviceaccounts");
    }
    if refers_to(Kind::Secret) {
        return Some("secrets");
    }
    if refers_to(Kind::ConfigMap) {
        return Some("configmaps");
    }
    if !items(pod, "/spec/resourceClaims").is_empty() {
        return Some("resourceclaims");
    }
    items(pod, "/spec/volumes").iter().find_map(|volume| {
        let projected =
            || items(volume, "/projected/sources").iter().find_map(|s| first_of(s, API_PROJECTIONS));
        first_of(volume, API_VOLUMES).or_else(projected)
    })
}

/// What the first field of the table that the source has stands for.
fn first_of(source: &Tree, table: &[(&str, &'static str)]) -> Option<&'static str> {
    let has = |field: &str| source.get(field).is_some_and(|value| !value.is_null());
    table.iter().find(|(field, _)| has(field)).map(|(_, what)| *what)
}
