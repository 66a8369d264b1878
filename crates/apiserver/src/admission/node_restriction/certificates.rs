//! The certificates that a kubelet may ask for: those of its own pods.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::super::forbidden;
use super::shown;
use crate::request::{AdmissionRequest, ObjectReader, Operation};
use crate::view::text;

/// Compares a `PodCertificateRequest` with the node, the pod and the service account that it names.
pub(super) async fn check(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<(), ApiError> {
    let refuse = |why: String| Err(forbidden(request, &why));
    let (Operation::Create, Some(asked)) = (request.operation, request.object.as_deref()) else {
        return refuse(format!("unexpected operation {}", shown(request.operation)));
    };
    if !request.subresource.is_empty() {
        return refuse(format!("unexpected subresource {}", request.subresource));
    }
    let spec = |field: &str| text(asked, &format!("/spec/{field}"));
    let (named_node, account) = (spec("nodeName"), spec("serviceAccountName"));
    let pod_name = format!("{}/{}", request.namespace, spec("podName"));
    if named_node != node {
        return refuse(format!(
            "PodCertificateRequest.Spec.NodeName={named_node:?}, which is not the requesting node {node:?}"
        ));
    }
    let found = existing(objects, ("nodes", "", node), format!("node {node:?}")).await?;
    same_uid(&found, spec("nodeUID"), |asked, found| {
        format!(
            "PodCertificateRequest for pod {pod_name:?} names node UID {asked:?}, inconsistent with the running node \
             ({found:?})"
        )
    })?;
    let pod = ("pods", request.namespace, spec("podName"));
    let pod = existing(objects, pod, format!("pod {pod_name:?}")).await?;
    same_uid(&pod, spec("podUID"), |asked, found| {
        format!(
            "PodCertificateRequest for pod {pod_name:?} contains pod UID ({asked:?}) which differs from running pod \
             {found:?}"
        )
    })?;
    if text(&pod, "/spec/nodeName") != node {
        return refuse(format!(
            "pod {pod_name:?} is not running on node {node:?} named in the PodCertificateRequest"
        ));
    }
    if pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        return refuse(format!("pod {pod_name:?} is a mirror pod"));
    }
    let own_account = text(&pod, "/spec/serviceAccountName");
    if account != own_account {
        return refuse(format!(
            "PodCertificateRequest for pod {pod_name:?} contains serviceAccountName ({account:?}) that differs from \
             running pod ({own_account:?})"
        ));
    }
    let shown_account = format!("service account {:?}", format!("{}/{account}", request.namespace));
    let found = existing(objects, ("serviceaccounts", request.namespace, account), shown_account).await?;
    same_uid(&found, spec("serviceAccountUID"), |asked, found| {
        format!(
            "PodCertificateRequest for pod {pod_name:?} names service account UID {asked:?}, which differs from the \
             running service account ({found:?})"
        )
    })
}

/// What is not there may only not be known yet: the kubelet may try again, so this is no refusal.
async fn existing(
    objects: &dyn ObjectReader,
    (resource, namespace, name): (&str, &str, &str),
    shown: String,
) -> Result<Arc<Tree>, ApiError> {
    objects.get("", resource, namespace, name).await.ok_or_else(|| {
        let missing = ApiError::not_found("", resource, name).message;
        unsettled(format!("while retrieving {shown} named in the PodCertificateRequest: {missing}"))
    })
}

/// Another UID may be old news, too.
fn same_uid(found: &Tree, asked: &str, why: impl FnOnce(&str, &str) -> String) -> Result<(), ApiError> {
    let uid = text(found, "/metadata/uid");
    if uid == asked { Ok(()) } else { Err(unsettled(why(asked, uid))) }
}

fn unsettled(why: String) -> ApiError {
    ApiError::new(500, "", why)
}
