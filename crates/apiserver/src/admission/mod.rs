//! Admission: what a write must satisfy beyond its kind's own rules, and what is filled in on the way.
//!
//! Every plugin is small and knows a few kinds; the generic path knows only their order, which is upstream's
//! (`AllOrderedPlugins`). First all mutate, then all validate.

mod default_tolerations;
mod namespace_lifecycle;
mod node_restriction;
mod pod_security;
mod priority;
mod service_account;
mod taint_nodes;

use std::sync::Arc;

use steersman_apimachinery::status::ApiError;

use crate::authorization::RoleEscalation;
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::text;

pub use default_tolerations::DefaultTolerationSeconds;
pub use namespace_lifecycle::NamespaceLifecycle;
pub use node_restriction::NodeRestriction;
pub use pod_security::PodSecurity;
pub use priority::Priority;
pub use service_account::ServiceAccount;
pub use taint_nodes::TaintNodesByCondition;

/// The plugins that every cluster has, in upstream's order.
pub fn plugins(objects: &Arc<dyn ObjectReader>, escalation: RoleEscalation) -> Vec<Box<dyn Admission>> {
    vec![
        Box::new(escalation),
        Box::new(NamespaceLifecycle::new(objects.clone())),
        Box::new(ServiceAccount::new(objects.clone())),
        Box::new(NodeRestriction::new(objects.clone())),
        Box::new(TaintNodesByCondition),
        Box::new(PodSecurity::new(objects.clone())),
        Box::new(Priority::new(objects.clone())),
        Box::new(DefaultTolerationSeconds),
    ]
}

/// The 403 of a plugin (`admission.NewForbidden` upstream).
fn forbidden(request: &AdmissionRequest<'_>, why: &str) -> ApiError {
    ApiError::forbidden(request.group, request.resource, shown_name(request), why)
}

/// An object that has no name yet is shown by what its name will begin with.
fn shown_name<'a>(request: &'a AdmissionRequest<'_>) -> &'a str {
    if !request.name.is_empty() {
        return request.name;
    }
    let Some(object) = request.object.as_deref() else { return "Unknown" };
    [text(object, "/metadata/name"), text(object, "/metadata/generateName")]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or("Unknown")
}

/// Whether the request writes pods themselves, not what hangs below them.
fn is_pod(request: &AdmissionRequest<'_>) -> bool {
    request.group.is_empty() && request.resource == "pods" && request.subresource.is_empty()
}

fn writes(request: &AdmissionRequest<'_>) -> bool {
    matches!(request.operation, Operation::Create | Operation::Update)
}

#[cfg(test)]
mod tests;
