//! A kubelet writes its own node, its own pods and tokens for them, and nothing else.
//!
//! The node authorizer says what kinds of things a kubelet may do; this looks at the objects themselves. Reasons are
//! upstream's.

mod certificates;
mod labels;
mod pods;
mod tokens;

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::forbidden;
use crate::authorization::node_of;
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::text;

const LEASES: &str = "kube-node-lease";

/// See the module.
pub struct NodeRestriction {
    objects: Arc<dyn ObjectReader>,
}

impl NodeRestriction {
    /// Looks nodes and pods up in `objects`.
    pub fn new(objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects }
    }

    async fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), ApiError> {
        let Some(node) = node_of(request.user) else { return Ok(()) };
        if node.is_empty() {
            let why = format!("could not determine node from user {:?}", request.user.name);
            return Err(forbidden(request, &why));
        }
        let refused = match (request.group, request.resource) {
            ("", "pods") => return pods::check(&*self.objects, request, node).await,
            ("", "serviceaccounts") if request.subresource == "token" => {
                return tokens::check(&*self.objects, request, node).await;
            }
            ("certificates.k8s.io", "podcertificaterequests") => {
                return certificates::check(&*self.objects, request, node).await;
            }
            ("", "nodes") => own_node(request, node),
            ("", "persistentvolumeclaims") => claim_status(request, node),
            ("resource.k8s.io", "resourceslices") => own_slice(request, node),
            ("coordination.k8s.io", "leases") => own_lease(request, node),
            ("storage.k8s.io", "csinodes") if name(request) != node => {
                Err("can only access CSINode with the same name as the requesting node".to_owned())
            }
            _ => Ok(()),
        };
        refused.map_err(|why| forbidden(request, &why))
    }
}

/// The object's name, also while it is only in its body.
fn name<'a>(request: &'a AdmissionRequest<'_>) -> &'a str {
    match request.object.as_deref() {
        Some(object) if request.name.is_empty() => text(object, "/metadata/name"),
        _ => request.name,
    }
}

/// How upstream's messages show an operation.
fn shown(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// The authorizer has judged by the stored object; it cannot see a new one, nor each of a collection.
fn own_slice(request: &AdmissionRequest<'_>, node: &str) -> Result<(), String> {
    let (slice, what) = match request.operation {
        Operation::Create => (request.object.as_deref(), "create"),
        Operation::Delete => (request.old, "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    let own = slice.is_some_and(|slice| text(slice, "/spec/nodeName") == node);
    let why = || format!("can only {what} ResourceSlice with the same NodeName as the requesting node");
    own.then_some(()).ok_or_else(why)
}

/// What a kubelet reports when it has resized a volume.
const RESIZED: &[&str] = &["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"];

fn claim_status(request: &AdmissionRequest<'_>, node: &str) -> Result<(), String> {
    if request.subresource != "status" {
        return Err("may only update PVC status".to_owned());
    }
    let (Operation::Update, Some(new), Some(old)) =
        (request.operation, request.object.as_deref(), request.old)
    else {
        return Err(format!("unexpected operation {:?}", shown(request.operation)));
    };
    let rest = |claim: &Tree| {
        let mut rest = claim.clone();
        for (part, fields) in [("metadata", &["resourceVersion", "managedFields"][..]), ("status", RESIZED)] {
            if let Some(part) = rest.get_mut(part).and_then(Tree::as_object_mut) {
                part.retain(|field, _| !fields.contains(&field.as_str()));
            }
        }
        rest
    };
    if rest(new) != rest(old) {
        return Err(format!(
            "node {node:?} is not allowed to update fields other than status.quantity and status.conditions"
        ));
    }
    Ok(())
}

fn own_lease(request: &AdmissionRequest<'_>, node: &str) -> Result<(), String> {
    if request.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if name(request) != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn own_node(request: &AdmissionRequest<'_>, node: &str) -> Result<(), String> {
    if let Some(object) = request.object.as_deref() {
        let forbidden = labels::forbidden(object, request.old);
        match request.operation {
            Operation::Create if !forbidden.is_empty() => {
                let list = forbidden.join(", ");
                return Err(format!("node {node:?} is not allowed to set the following labels: {list}"));
            }
            Operation::Update if !forbidden.is_empty() => {
                let list = forbidden.join(", ");
                return Err(format!("is not allowed to modify labels: {list}"));
            }
            Operation::Update => unchanged(object, request.old, node)?,
            _ => {}
        }
    }
    let asked = name(request);
    if asked != node {
        return Err(format!("node {node:?} is not allowed to modify node {asked:?}"));
    }
    Ok(())
}

fn unchanged(new: &Tree, old: Option<&Tree>, node: &str) -> Result<(), String> {
    let Some(old) = old else { return Ok(()) };
    for (pointer, what) in [("/spec/taints", "taints"), ("/metadata/ownerReferences", "ownerReferences")] {
        if crate::view::items(new, pointer) != crate::view::items(old, pointer) {
            return Err(format!("node {node:?} is not allowed to modify {what}"));
        }
    }
    Ok(())
}

impl Admission for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { self.check(request).await })
    }
}

#[cfg(test)]
mod tests;
