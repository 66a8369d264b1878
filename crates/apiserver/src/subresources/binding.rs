//! `pods/binding`: the scheduler says on which node a pod runs.

use http::StatusCode;
use serde_json::{Value, json};
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::{Tree, time};
use steersman_store::Expect;

use crate::call::Call;
use crate::creation::read;
use crate::storage::CommitError;
use crate::wire::body::Response;
use crate::wire::respond;

/// Places the pod of the path, or (`POST …/bindings`) the pod that the binding is named after.
pub async fn create(call: &Call<'_>, body: bytes::Bytes) -> Result<Response, ApiError> {
    let (binding, options) = read(call, &body).await?;
    let name = if call.info.name.is_empty() { binding.name() } else { &call.info.name };
    if !binding.name().is_empty() && binding.name() != name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    let node = node_of(&binding)?;
    let pods =
        call.server.storage.routes().find("", "v1", "pods").ok_or_else(ApiError::resource_not_served)?;
    loop {
        let (record, form) = call.server.storage.require(pods, &call.info.namespace, name).await?;
        let mut pod = (*form.tree()).clone();
        check(&pod, &binding).map_err(|why| ApiError::conflict("", "pods/binding", name, &why))?;
        assign(&mut pod, &binding, node, &time::format(call.now));
        if options.dry_run {
            break;
        }
        let expect = Expect::ModRevision(record.mod_revision);
        match call.server.storage.put(pods, &pod, &record.key, expect).await {
            Ok(_) => break,
            Err(CommitError::Failed(error)) => return Err(error),
            Err(CommitError::Conflict(_)) => {}
        }
    }
    respond::success(StatusCode::CREATED, Value::Null, &call.wanted)
}

fn node_of(binding: &Tree) -> Result<&str, ApiError> {
    let target = Path::new("target");
    let kind = binding.str_at("target.kind");
    let mut problems = Vec::new();
    if !matches!(kind, "" | "Node") {
        problems.push(Error::not_supported(target.child("kind"), kind, &["Node", "<empty>"]));
    }
    if binding.str_at("target.name").is_empty() {
        problems.push(Error::required(target.child("name"), ""));
    }
    if problems.is_empty() {
        return Ok(binding.str_at("target.name"));
    }
    Err(ApiError::invalid("", "Binding", binding.name(), &problems))
}

/// Why the pod cannot be placed.
fn check(pod: &Tree, binding: &Tree) -> Result<(), String> {
    let name = pod.name();
    let node = pod.str_at("spec.nodeName");
    if !binding.uid().is_empty() && binding.uid() != pod.uid() {
        let (wanted, has) = (binding.uid(), pod.uid());
        return Err(format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {has}"));
    }
    if pod.is_deleting() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if !node.is_empty() {
        return Err(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !pod.items_at("spec.schedulingGates").is_empty() {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    Ok(())
}

fn assign(pod: &mut Tree, binding: &Tree, node: &str, now: &str) {
    pod.set("spec.nodeName", node);
    for (key, value) in binding.annotations() {
        pod.set_annotation(key, value);
    }
    let mut conditions = pod.items_at("status.conditions").to_vec();
    let scheduled = conditions.iter_mut().find(|condition| condition["type"] == "PodScheduled");
    match scheduled {
        Some(condition) if condition["status"] == "True" => {}
        Some(condition) => *condition = scheduled_condition(now),
        None => conditions.push(scheduled_condition(now)),
    }
    pod.set("status.conditions", conditions);
}

fn scheduled_condition(now: &str) -> Tree {
    json!({ "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_placed_once() {
        let binding = json!({"metadata": {"name": "p", "annotations": {"a": "b"}}, "target": {"name": "n1"}});
        let mut pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}});
        assert_eq!(check(&pod, &binding), Ok(()));
        assign(&mut pod, &binding, "n1", "2026-01-01T00:00:00Z");
        assert_eq!(pod["status"]["conditions"], json!([scheduled_condition("2026-01-01T00:00:00Z")]));
        assert_eq!(pod["metadata"]["annotations"]["a"], "b");
        assert_eq!(check(&pod, &binding), Err("pod p is already assigned to node \"n1\"".to_owned()));
    }
}
