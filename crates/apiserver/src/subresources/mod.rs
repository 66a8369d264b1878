//! What hangs below one object: its status and other parts that are read and written by rules of their own, and the
//! actions (binding, eviction, tokens) that a POST carries out.

use bytes::Bytes;
use steersman_apimachinery::status::ApiError;

use crate::call::Call;
use crate::verbs::{get, patch, update};
use crate::wire::body::Response;

/// Does what is asked of a subresource.
pub async fn answer(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    match call.info.verb.as_str() {
        "get" => get::get(call).await,
        "update" => update::put(call, body).await,
        "patch" => patch::patch(call, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
