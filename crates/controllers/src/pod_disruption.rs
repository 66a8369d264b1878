//! Ends pods that cannot go on where they are, and says why on the pod first.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use steersman_controller_runtime::ObjectKey;

use crate::ReconcileError;
use crate::conditions::whole_second;
use crate::context::Context;
use crate::error::During;
use crate::pods::{condition, is_terminal};

/// The condition that says that a pod was ended from outside.
const DISRUPTION: &str = "DisruptionTarget";

/// Why a pod is ended, for its condition.
pub(crate) struct Reason {
    pub reason: &'static str,
    pub message: &'static str,
    /// Nobody will run the pod's end: it is failed at once and removed without grace.
    pub at_once: bool,
}

/// Ends the pod. Nothing happens if it is gone or is another by now.
pub(crate) async fn end_pod(
    context: &Context,
    pod: &Pod,
    why: &Reason,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    let key = ObjectKey::of(pod);
    let api = context.namespaced::<Pod>(&key.namespace);
    if !is_terminal(pod) && !says_so(pod) {
        tell(&api, pod, &key, why, now).await?;
    }
    let this_one = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams::default().preconditions(this_one);
    let params = if why.at_once { params.grace_period(0) } else { params };
    api.delete(&key.name, &params).await.unless_gone(format!("deleting the pod {key}")).map(drop)
}

fn says_so(pod: &Pod) -> bool {
    condition(pod, DISRUPTION).is_some_and(|condition| condition.status == "True")
}

async fn tell(
    api: &Api<Pod>,
    pod: &Pod,
    key: &ObjectKey,
    why: &Reason,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    let mut status = json!({"conditions": [{
        "type": DISRUPTION, "status": "True", "reason": why.reason, "message": why.message,
        "lastTransitionTime": whole_second(now).to_string(),
    }]});
    if why.at_once {
        status["phase"] = json!("Failed");
    }
    let patch = Patch::Strategic(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}));
    let told = api.patch_status(&key.name, &PatchParams::default(), &patch).await;
    told.unless_gone(format!("writing the status of the pod {key}")).map(drop)
}
