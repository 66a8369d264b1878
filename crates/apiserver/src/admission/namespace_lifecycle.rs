//! Nothing is created in a namespace that does not exist or is going away; some namespaces never go away.

use std::sync::Arc;

use steersman_apimachinery::status::{ApiError, StatusCause};
use steersman_store::BoxFuture;

use super::forbidden;
use crate::request::{Admission, AdmissionRequest, ObjectReader, Operation};
use crate::view::text;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// See the module.
pub struct NamespaceLifecycle {
    objects: Arc<dyn ObjectReader>,
}

impl NamespaceLifecycle {
    /// Looks namespaces up in `objects`.
    pub fn new(objects: Arc<dyn ObjectReader>) -> Self {
        Self { objects }
    }

    async fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), ApiError> {
        if request.group.is_empty() && request.resource == "namespaces" {
            let dies = request.operation == Operation::Delete && IMMORTAL.contains(&request.name);
            return if dies { Err(forbidden(request, "this namespace may not be deleted")) } else { Ok(()) };
        }
        // What a review answers about a namespace must not tell whether the namespace exists.
        let is_review =
            (request.group, request.resource) == ("authorization.k8s.io", "localsubjectaccessreviews");
        let namespace = request.namespace;
        if request.operation != Operation::Create || namespace.is_empty() || is_review {
            return Ok(());
        }
        let Some(found) = self.objects.get("", "namespaces", "", namespace).await else {
            return Err(ApiError::not_found("", "namespaces", namespace));
        };
        if text(&found, "/status/phase") == "Terminating" {
            return Err(terminating(request));
        }
        Ok(())
    }
}

fn terminating(request: &AdmissionRequest<'_>) -> ApiError {
    let namespace = request.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut error = forbidden(request, &why);
    if let Some(details) = &mut error.details {
        details.causes.push(StatusCause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
    }
    error
}

impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async move { self.check(request).await })
    }
}
