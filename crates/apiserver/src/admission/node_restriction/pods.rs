//! What a kubelet may do to pods: report and evict those on its node, and mirror its static pods.

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::super::forbidden;
use crate::request::{AdmissionRequest, ObjectReader, Operation};
use crate::view::{items, text};

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) async fn check(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<(), ApiError> {
    let operation = match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    };
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
            owned(&pod, node, "can only evict pods with spec.nodeName set to itself")
        }
        ("eviction", _) => Err(format!("unexpected operation {operation:?}")),
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
    Ok(())
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
        return Err(format!("node {node} UID mismatch: expected {uid} got {claimed}"));
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

/// What only the API could give the pod, if it asks for such.
fn references(pod: &Tree) -> Option<&'static str> {
    if !text(pod, "/spec/serviceAccountName").is_empty() {
        return Some("a service account");
    }
    let has = |needles: &[&str]| {
        let mentioned = |tree: &Tree| needles.iter().any(|needle| mentions(tree, needle));
        ["volumes", "containers", "initContainers", "ephemeralContainers", "imagePullSecrets"]
            .iter()
            .any(|field| pod["spec"].get(field).is_some_and(mentioned))
    };
    let pull = !items(pod, "/spec/imagePullSecrets").is_empty();
    if pull || has(&["secret", "secretKeyRef", "secretRef", "nodePublishSecretRef"]) {
        return Some("secrets");
    }
    if has(&["configMap", "configMapKeyRef", "configMapRef"]) {
        return Some("configmaps");
    }
    has(&["persistentVolumeClaim", "ephemeral"]).then_some("persistentvolumeclaims")
}

/// Whether a field of this name is set anywhere within.
fn mentions(tree: &Tree, field: &str) -> bool {
    match tree {
        Tree::Object(fields) => {
            fields.iter().any(|(key, value)| (key == field && !value.is_null()) || mentions(value, field))
        }
        Tree::Array(items) => items.iter().any(|item| mentions(item, field)),
        _ => false,
    }
}
