//! `scale`: the number of replicas alone, as `autoscaling/v1` `Scale`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_registry::{scale_of, set_scale, validate_scale};

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
    call.show(StatusCode::OK, &Shown::Tree(Arc::new(read(call, &scaled)?)))
}

/// The scale of an object, from where its resource has it.
fn read(call: &Call<'_>, object: &Tree) -> Result<Tree, ApiError> {
    match &call.entry.resource.scale {
        Some(paths) => paths.scale_of(object).map_err(ApiError::internal),
        None => Ok(scale_of(object)),
    }
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
        let scale = make(&read(call, old)?)?;
        let problems = validate_scale(&scale);
        if !problems.is_empty() {
            return Err(ApiError::invalid("autoscaling", "Scale", scale.name(), &problems));
        }
        let mut new = old.clone();
        match &call.entry.resource.scale {
            Some(paths) => paths.set(&mut new, &scale),
            None => set_scale(&mut new, &scale),
        }
        if !scale.uid().is_empty() {
            new.copy_from(&scale, "metadata.uid");
        }
        Ok(new)
    })
    .await?;
    Ok(shown.tree())
}
