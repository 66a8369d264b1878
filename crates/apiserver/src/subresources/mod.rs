//! What hangs below one object: its status and other parts that are read and written by rules of their own, and the
//! actions (binding, eviction, tokens) that a POST carries out.

mod binding;
mod eviction;
mod scale;

use bytes::Bytes;
use steersman_apimachinery::status::ApiError;

use crate::call::Call;
use crate::verbs::{get, patch, update};
use crate::wire::body::Response;

/// How a subresource is answered that is more than a part of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Binding,
    Eviction,
}

/// Group, resource, subresource (empty: the resource itself) and how it is answered.
const SPECIAL: &[(&str, &str, &str, Special)] = &[
    ("", "bindings", "", Special::Binding),
    ("", "pods", "binding", Special::Binding),
    ("", "pods", "eviction", Special::Eviction),
];

/// Answers a POST that is an action; `None` if it is an ordinary create.
pub async fn act(call: &Call<'_>, body: &Bytes) -> Option<Result<Response, ApiError>> {
    let resource = &call.entry.resource;
    let name = call.subresource.map_or("", |s| s.name);
    let found =
        SPECIAL.iter().find(|(g, r, s, _)| (*g, *r, *s) == (&*resource.group, &*resource.plural, name));
    Some(match found?.3 {
        Special::Binding => binding::create(call, body.clone()).await,
        Special::Eviction => eviction::create(call, body.clone()).await,
    })
}

/// Does what is asked of a subresource.
pub async fn answer(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    if call.subresource.is_some_and(|s| (&*s.group, &*s.kind) == ("autoscaling", "Scale")) {
        return scale::answer(call, body).await;
    }
    match call.info.verb.as_str() {
        "get" => get::get(call).await,
        "update" => update::put(call, body).await,
        "patch" => patch::patch(call, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
