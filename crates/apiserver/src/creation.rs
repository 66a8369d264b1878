//! POSTs that are acted on instead of stored: reviews, token requests, bindings.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use crate::call::{Call, Shown};
use crate::request::{CreateRequest, Creator, Operation};
use crate::verbs::options::WriteOptions;
use crate::verbs::{decode, settle_namespace};
use crate::wire::body::Response;

/// Who answers the call's POST, if anybody does instead of the store.
pub fn creator<'c>(call: &Call<'c>) -> Option<&'c Arc<dyn Creator>> {
    let resource = &call.entry.resource;
    let subresource = call.subresource.map_or("", |s| s.name);
    call.server.creators.get(&(&*resource.group, &*resource.plural, subresource))
}

/// Reads the object of a POST that is acted on, defaulted and admitted.
pub async fn read(call: &Call<'_>, body: &[u8]) -> Result<(Tree, WriteOptions), ApiError> {
    let options = WriteOptions::parse(call.query, "CreateOptions")?;
    let mut object = decode(call, body, &options)?;
    settle_namespace(call, &mut object)?;
    if call.subresource.is_none() {
        call.entry.resource.strategy.apply_defaults(&mut object);
    }
    let name = if call.info.name.is_empty() { object.name().to_owned() } else { call.info.name.clone() };
    call.admit(Operation::Create, &name, Some(&mut object), None, options.dry_run).await?;
    call.admission_validate(Operation::Create, &name, Some(&mut object), None, options.dry_run).await?;
    Ok((object, options))
}

/// Hands the body to `creator` and answers with what it gives.
pub async fn create(call: &Call<'_>, body: Bytes, creator: &dyn Creator) -> Result<Response, ApiError> {
    let (object, options) = read(call, &body).await?;
    let request = CreateRequest {
        namespace: &call.info.namespace,
        name: &call.info.name,
        object,
        user: call.user,
        dry_run: options.dry_run,
    };
    let answer = creator.create(request).await?;
    call.show(StatusCode::CREATED, &Shown::Tree(Arc::new(answer)))
}
