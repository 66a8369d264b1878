//! Writes what was decided: the binding, or why there is none.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::pod_info::PodInfo;

/// Binds the pod to `node` through its `binding` subresource.
pub(crate) async fn bind(client: &Client, pod: &PodInfo, node: &str) -> Result<(), kube::Error> {
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(pod.key.name.clone()),
            namespace: Some(pod.key.namespace.clone()),
            uid: pod.pod.metadata.uid.clone(),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.key.namespace);
    let _: serde_json::Value =
        api.create_subresource("binding", &pod.key.name, &PostParams::default(), &binding).await?;
    Ok(())
}

/// The condition that says why the pod waits; `None` if the pod says so already.
pub(crate) fn unscheduled_condition(pod: &Pod, reason: &str, message: &str) -> Option<serde_json::Value> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let current = conditions.into_iter().flatten().find(|condition| condition.type_ == "PodScheduled");
    let same = |c: &k8s_openapi::api::core::v1::PodCondition| {
        c.status == "False" && c.reason.as_deref() == Some(reason) && c.message.as_deref() == Some(message)
    };
    if current.is_some_and(same) {
        return None;
    }
    let since = current.filter(|c| c.status == "False").and_then(|c| c.last_transition_time.clone());
    Some(json!({ "status": { "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
        "observedGeneration": pod.metadata.generation, "lastProbeTime": null,
        "lastTransitionTime": since.unwrap_or_else(|| Time(Timestamp::now())),
    }] } }))
}

/// Writes the condition where it differs.
pub(crate) async fn report_unscheduled(
    client: &Client,
    pod: &PodInfo,
    reason: &str,
    message: &str,
) -> Result<(), kube::Error> {
    let Some(patch) = unscheduled_condition(&pod.pod, reason, message) else { return Ok(()) };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.key.namespace);
    api.patch_status(&pod.key.name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_written_once_and_keeps_its_time() {
        let pod = |message: &str| -> Pod {
            let json = json!({ "metadata": {}, "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastTransitionTime": "2026-01-02T03:04:05Z" }] } });
            serde_json::from_value(json).expect("a pod")
        };
        assert_eq!(unscheduled_condition(&pod("m"), "Unschedulable", "m"), None);
        let patch = unscheduled_condition(&pod("old"), "Unschedulable", "m").expect("the message differs");
        assert_eq!(patch["status"]["conditions"][0]["lastTransitionTime"], "2026-01-02T03:04:05Z");
    }
}
