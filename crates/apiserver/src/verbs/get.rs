//! GET of one object.

use http::StatusCode;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::status::ApiError;
use steersman_store::Revision;

use crate::call::{Call, Shown};
use crate::storage::failure;
use crate::wire::body::Response;

/// Answers with the newest version of the object.
pub async fn get(call: &Call<'_>) -> Result<Response, ApiError> {
    not_newer_than_the_store(call, asked_revision(call)?).await?;
    let (_, form) = call.server.storage.require(call.entry, &call.info.namespace, &call.info.name).await?;
    call.show(StatusCode::OK, &Shown::Form(form))
}

/// `resourceVersion` of the query; `None` if it is absent or 0, which both mean any.
pub fn asked_revision(call: &Call<'_>) -> Result<Option<Revision>, ApiError> {
    let Some(text) = call.query.non_empty("resourceVersion") else { return Ok(None) };
    let number: u64 = text.parse().map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        let problem = Error::invalid(Path::new("resourceVersion"), text, why);
        ApiError::invalid(&call.entry.resource.group, &call.entry.resource.plural, "", &vec![problem])
    })?;
    Ok((number > 0).then_some(Revision(number)))
}

/// 504 if `asked` has not happened yet.
pub async fn not_newer_than_the_store(call: &Call<'_>, asked: Option<Revision>) -> Result<(), ApiError> {
    let Some(asked) = asked else { return Ok(()) };
    let newest = call.server.storage.revision().await?;
    if asked > newest { Err(failure::too_new(asked, newest)) } else { Ok(()) }
}
