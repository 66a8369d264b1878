//! `scale`: the number of replicas alone, as `autoscaling/v1` `Scale`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::labels::Selector;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;

use crate::call::{Call, Shown};
use crate::verbs::decode;
use crate::verbs::options::WriteOptions;
use crate::verbs::patch::Patch;
use crate::verbs::update::{Source, change};
use crate::wire::body::Response;

/// Does what is asked of the subresource.
pub async fn answer(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let scaled = match call.info.verb.as_str() {
        "get" => {
            let storage = &call.server.storage;
            storage.require(call.entry, &call.info.namespace, &call.info.name).await?.1.tree()
        }
        "update" => {
            let options = WriteOptions::parse(call.query, "UpdateOptions")?;
            let scale = decode(call, &body, &options)?;
            rescale(call, &options, Source::Put, |_| Ok(scale.clone())).await?
        }
        _ => {
            let options = WriteOptions::parse(call.query, "PatchOptions")?;
            let patch = Patch::read(call, &body)?;
            rescale(call, &options, Source::Patch, |scale| patch.apply(call, scale, &options)).await?
        }
    };
    call.show(StatusCode::OK, &Shown::Tree(Arc::new(scale_of(&scaled))))
}

/// Changes the object's replicas to those of the scale that `make` gives.
async fn rescale(
    call: &Call<'_>,
    options: &WriteOptions,
    source: Source,
    make: impl Fn(&Tree) -> Result<Tree, ApiError>,
) -> Result<Arc<Tree>, ApiError> {
    // What is stored is the object itself; only the request is about its scale.
    let inner = Call { subresource: None, ..*call };
    let shown = change(&inner, options, source, |old| {
        let scale = make(&scale_of(old))?;
        let replicas = scale.i64_at("spec.replicas").unwrap_or(0);
        if replicas < 0 {
            let path = Path::new("spec").child("replicas");
            let problem = Error::invalid(path, replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", scale.name(), &vec![problem]));
        }
        let mut new = old.clone();
        new.set("spec.replicas", replicas);
        new.copy_from(&scale, "metadata.resourceVersion");
        if !scale.uid().is_empty() {
            new.copy_from(&scale, "metadata.uid");
        }
        Ok(new)
    })
    .await?;
    Ok(shown.tree())
}

fn scale_of(object: &Tree) -> Tree {
    let selector = object.at("spec.selector");
    // Old kinds select by a plain map, newer ones by a label selector.
    let is_map =
        selector.is_some_and(|s| s.get("matchLabels").is_none() && s.get("matchExpressions").is_none());
    let selector = if is_map {
        Selector::from_map(selector).to_string()
    } else {
        Selector::from_label_selector(selector).map(|s| s.to_string()).unwrap_or_default()
    };
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": { "replicas": object.i64_at("status.replicas").unwrap_or(0), "selector": selector },
    });
    match object.i64_at("spec.replicas") {
        Some(replicas) if replicas != 0 => scale.set("spec.replicas", replicas),
        _ => {}
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_tells_replicas_and_selector() {
        let object = json!({"metadata": {"name": "d", "labels": {"x": "y"}}, "spec": {"replicas": 3,
            "selector": {"matchLabels": {"app": "web"}}}, "status": {"replicas": 2}});
        let scale = scale_of(&object);
        assert_eq!(scale["metadata"], json!({"name": "d"}));
        assert_eq!(scale["spec"]["replicas"], 3);
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=web"}));
    }
}
