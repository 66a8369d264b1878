//! `pods/binding`: the scheduler says on which node a pod runs.

use http::StatusCode;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_registry::assign_pod;
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
    check_target(&binding)?;
    let pods =
        call.server.storage.routes().find("", "v1", "pods").ok_or_else(ApiError::resource_not_served)?;
    loop {
        let (record, form) = call.server.storage.require(&pods, &call.info.namespace, name).await?;
        let mut pod = (*form.tree()).clone();
        check_preconditions(&pod, &binding)
            .and_then(|()| assign_pod(&mut pod, &binding, call.now))
            .map_err(|why| ApiError::conflict("", "pods/binding", name, &why))?;
        if options.dry_run {
            break;
        }
        let expect = Expect::ModRevision(record.mod_revision);
        match call.server.storage.put(&pods, &pod, &record.key, expect).await {
            Ok(_) => break,
            Err(CommitError::Failed(error) | CommitError::Unknown(error)) => return Err(error),
            Err(CommitError::Conflict(_)) => {}
        }
    }
    respond::success(StatusCode::CREATED, Value::Null, &call.wanted)
}

fn check_target(binding: &Tree) -> Result<(), ApiError> {
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
        return Ok(());
    }
    Err(ApiError::invalid("", "Binding", binding.name(), &problems))
}

/// Why the binding is not for this pod.
fn check_preconditions(pod: &Tree, binding: &Tree) -> Result<(), String> {
    let (wanted, has) = (binding.uid(), pod.uid());
    if !wanted.is_empty() && wanted != has {
        return Err(format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {has}"));
    }
    let (wanted, has) = (binding.resource_version(), pod.resource_version());
    if !wanted.is_empty() && wanted != has {
        return Err(format!(
            "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {has}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_binding_may_insist_on_one_pod() {
        let pod = json!({"metadata": {"name": "p", "uid": "u", "resourceVersion": "3"}});
        let cases = [
            (json!({}), Ok(())),
            (json!({"uid": "u", "resourceVersion": "3"}), Ok(())),
            (json!({"uid": "v"}), Err("Precondition failed: UID in precondition: v, UID in object meta: u")),
            (
                json!({"resourceVersion": "2"}),
                Err(
                    "Precondition failed: ResourceVersion in precondition: 2, ResourceVersion in object meta: 3",
                ),
            ),
        ];
        for (metadata, want) in cases {
            let binding = json!({"metadata": metadata});
            assert_eq!(check_preconditions(&pod, &binding), want.map_err(str::to_owned), "{binding}");
        }
    }

    #[test]
    fn the_target_is_a_node_with_a_name() {
        assert_eq!(check_target(&json!({"target": {"name": "n"}})), Ok(()));
        assert_eq!(check_target(&json!({"target": {"kind": "Pod"}})).unwrap_err().code, 422);
    }
}
