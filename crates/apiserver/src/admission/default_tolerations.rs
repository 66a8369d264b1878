//! Pods stay five minutes on a node that is not ready or not reachable, unless they say for how long.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use super::{is_pod, writes};
use crate::request::{Admission, AdmissionRequest};
use crate::view::{items, text};

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// See the module.
pub struct DefaultTolerationSeconds;

fn tolerate(pod: &mut Tree) {
    let given = items(pod, "/spec/tolerations");
    let tolerates = |toleration: &Tree, key: &str| {
        matches!(text(toleration, "/key"), k if k.is_empty() || k == key)
            && matches!(text(toleration, "/effect"), "" | "NoExecute")
    };
    let lacking = TAINTS.iter().filter(|key| !given.iter().any(|have| tolerates(have, key)));
    let added = lacking.map(|key| {
        json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS })
    });
    let all: Vec<Tree> = given.iter().cloned().chain(added).collect();
    if all.len() > given.len() {
        pod["spec"]["tolerations"] = all.into();
    }
}

impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        if is_pod(request) && writes(request) {
            request.object.as_deref_mut().into_iter().for_each(tolerate);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
