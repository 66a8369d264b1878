//! The tokens that a kubelet may ask for: those of its pods, for whom the pods name.

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::super::forbidden;
use crate::request::{AdmissionRequest, ObjectReader, Operation};
use crate::view::{items, strings, text};

pub(super) async fn check(
    objects: &dyn ObjectReader,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<(), ApiError> {
    let (Operation::Create, Some(asked)) = (request.operation, request.object.as_deref()) else {
        return Ok(());
    };
    let refuse = |why: &str| Err(forbidden(request, why));
    let bound = |field: &str| text(asked, &format!("/spec/boundObjectRef/{field}"));
    let (name, uid) = (bound("name"), bound("uid"));
    if (bound("apiVersion"), bound("kind")) != ("v1", "Pod") || name.is_empty() {
        return refuse("node requested token not bound to a pod");
    }
    if uid.is_empty() {
        return refuse("node requested token with a pod binding without a uid");
    }
    let Some(pod) = objects.get("", "pods", request.namespace, name).await else {
        return Err(ApiError::not_found("", "pods", name));
    };
    if uid != text(&pod, "/metadata/uid") {
        return refuse(&format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        ));
    }
    if text(&pod, "/spec/nodeName") != node {
        return refuse("node requested token bound to a pod scheduled on a different node");
    }
    match audience_problem(asked, &pod) {
        Some(problem) => refuse(&problem),
        None => Ok(()),
    }
}

/// A node must not get tokens that other services believe, unless a pod of it mounts such.
fn audience_problem(asked: &Tree, pod: &Tree) -> Option<String> {
    let audiences = strings(asked, "/spec/audiences");
    let wanted = match audiences.as_slice() {
        [] => "",
        [one] => one,
        _ => return Some("node may only request 0 or 1 audiences".to_owned()),
    };
    let sources = items(pod, "/spec/volumes").iter().flat_map(|volume| items(volume, "/projected/sources"));
    let mut tokens = sources.filter_map(|source| source.get("serviceAccountToken")).filter(|t| !t.is_null());
    let found = tokens.any(|token| text(token, "/audience") == wanted);
    (!found).then(|| format!("service account token audience {wanted:?} not found in pod spec volume"))
}
