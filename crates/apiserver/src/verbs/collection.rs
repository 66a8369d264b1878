//! DELETE of a collection: every object that the selectors name, one by one.

use bytes::Bytes;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_store::RangeOptions;

use super::delete::{self, delete_one};
use super::options::DeleteOptions;
use crate::call::Call;
use crate::object::form::Form;
use crate::request::Operation;
use crate::selection::Selection;
use crate::storage::failure;
use crate::views;
use crate::views::list::Listed;
use crate::wire::body::Response;

/// Deletes the objects and answers with the list of them, as they were when they were found.
pub async fn delete(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let options = delete::options(call, &body)?;
    let listed = delete_all(call, &options).await?;
    views::list::respond(call, &listed)
}

/// Deletes what the call selects; gives the objects as they were when they were found.
pub async fn delete_all(call: &Call<'_>, options: &DeleteOptions) -> Result<Listed, ApiError> {
    let selection = Selection::parse(call.query, call.entry, None)?;
    let page = call.server.storage.range(call.entry, &call.info.namespace, RangeOptions::default()).await;
    let page = page.map_err(failure::of_store)?;
    let mut listed =
        Listed { forms: Vec::new(), revision: page.revision.0, next: String::new(), remaining: None };
    for record in &page.records {
        let form = Form::of(record, call.entry)?;
        if selection.matches(&form, call.entry) {
            delete_found(call, &form, options).await?;
            listed.forms.push(form);
        }
    }
    Ok(listed)
}

async fn delete_found(call: &Call<'_>, form: &Form, options: &DeleteOptions) -> Result<(), ApiError> {
    let old = form.tree();
    let name = old.name();
    call.admit(Operation::Delete, name, None, Some(&old), options.dry_run).await?;
    call.admission_validate(Operation::Delete, name, None, Some(&old), options.dry_run).await?;
    match delete_one(call, old.namespace(), name, options).await {
        // Somebody else was faster: what was wanted has happened.
        Err(error) if error.code == 404 => Ok(()),
        other => other.map(drop),
    }
}
