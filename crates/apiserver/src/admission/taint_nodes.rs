//! A new node takes no pods until it is ready: the node lifecycle controller removes the taint then.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::request::{Admission, AdmissionRequest, Operation};
use crate::view::{items, text};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// See the module.
pub struct TaintNodesByCondition;

fn taint(node: &mut Tree) {
    let mut taints = items(node, "/spec/taints").to_vec();
    let tainted = |taint: &Tree| text(taint, "/key") == NOT_READY && text(taint, "/effect") == "NoSchedule";
    if !taints.iter().any(tainted) {
        taints.push(json!({ "key": NOT_READY, "effect": "NoSchedule" }));
        node["spec"]["taints"] = taints.into();
    }
}

impl Admission for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        let is_node =
            request.group.is_empty() && request.resource == "nodes" && request.subresource.is_empty();
        if let (Operation::Create, true, Some(node)) =
            (request.operation, is_node, request.object.as_deref_mut())
        {
            taint(node);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
