//! PUT, and the loop that every change of an existing object goes through: read, change, check, write if nobody else
//! wrote in between.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{self, Object, ObjectMut};
use steersman_apimachinery::status::{ApiError, StatusCause};
use steersman_store::{Expect, Versioned};

use super::options::WriteOptions;
use super::{create, decode, settle_namespace};
use crate::call::{Call, Shown};
use crate::hooks::Outcome;
use crate::managers;
use crate::object::form::Form;
use crate::request::Operation;
use crate::storage::CommitError;
use crate::wire::body::Response;

/// Upstream's words for a lost race.
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Replaces the object, or creates it where the kind allows that.
pub async fn put(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let options = WriteOptions::parse(call.query, "UpdateOptions")?;
    let mut tree = decode(call, &body, &options)?;
    check_name(call, &tree)?;
    settle_namespace(call, &mut tree)?;
    let creates = call.subresource.is_none() && call.entry.resource.strategy.allows_create_on_update();
    if creates && call.server.storage.get(call.entry, &call.info.namespace, &call.info.name).await?.is_none()
    {
        let shown = create::create_tree(call, tree, &options).await?;
        return call.show(StatusCode::CREATED, &shown);
    }
    let shown = change(call, &options, Source::Put, |_| Ok(tree.clone())).await?;
    call.show(StatusCode::OK, &shown)
}

/// Where a changed object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The client sent all of it.
    Put,
    /// It was made from the stored one, and can be made again if that changes.
    Patch,
    /// Like `Patch`, and its managed fields are settled already.
    Apply,
}

/// How often a patch is made again when others write in between, as upstream limits it.
const PATCH_TRIES: usize = 6;

/// Changes an existing object: `make` gives the new one from the stored one.
pub async fn change(
    call: &Call<'_>,
    options: &WriteOptions,
    source: Source,
    mut make: impl FnMut(&Tree) -> Result<Tree, ApiError>,
) -> Result<Shown, ApiError> {
    let name = call.info.name.as_str();
    for attempt in 1.. {
        let (record, form) = call.server.storage.require(call.entry, &call.info.namespace, name).await?;
        let old = form.tree();
        let mut new = make(&old)?;
        check_name(call, &new)?;
        let conditional = check_version(call, &mut new, &old, source)?;
        match try_change(call, options, source, &record, &form, &old, new).await {
            Ok(shown) => return Ok(shown),
            Err(CommitError::Failed(error) | CommitError::Unknown(error)) => return Err(error),
            Err(CommitError::Conflict(_)) if conditional => return Err(call.conflict(name, MODIFIED)),
            Err(CommitError::Conflict(_)) if source != Source::Put && attempt >= PATCH_TRIES => {
                return Err(call.conflict(name, MODIFIED));
            }
            Err(CommitError::Conflict(_)) => {}
        }
    }
    unreachable!("the loop ends by returning")
}

async fn try_change(
    call: &Call<'_>,
    options: &WriteOptions,
    source: Source,
    record: &Versioned,
    form: &Arc<Form>,
    old: &Tree,
    mut new: Tree,
) -> Result<Shown, CommitError> {
    let strategy = &call.entry.resource.strategy;
    let failed = CommitError::Failed;
    let name = call.info.name.as_str();
    strategy.apply_defaults(&mut new);
    meta::fill_for_update(&mut new, old);
    if source != Source::Apply {
        managers::track(call, &mut new, Some(old));
    }
    call.admit(Operation::Update, name, Some(&mut new), Some(old), options.dry_run).await.map_err(failed)?;
    strategy.apply_defaults(&mut new);
    strategy.prepare_for_update(&mut new, old, &call.context());
    let (hooks, storage) = (&call.entry.hooks, &call.server.storage);
    let reservation = hooks.reserve(storage, &mut new, Some(old), options.dry_run).await.map_err(failed)?;
    let done = store_changed(call, options, record, form, old, new).await;
    let outcome = match &done {
        Ok((_, true)) => Outcome::Stored,
        Ok((_, false)) => Outcome::Abandoned,
        Err(error) => Outcome::of_failure(error),
    };
    reservation.settle(outcome).await;
    done.map(|(shown, _)| shown)
}

/// Checks and writes what is prepared. Gives whether anything was written.
async fn store_changed(
    call: &Call<'_>,
    options: &WriteOptions,
    record: &Versioned,
    form: &Arc<Form>,
    old: &Tree,
    mut new: Tree,
) -> Result<(Shown, bool), CommitError> {
    let failed = CommitError::Failed;
    let name = call.info.name.as_str();
    check(call, &new, old).await.map_err(failed)?;
    call.admission_validate(Operation::Update, name, Some(&mut new), Some(old), options.dry_run)
        .await
        .map_err(failed)?;
    if managers::is_unchanged(&new, old) {
        return Ok((Shown::Form(form.clone()), false));
    }
    if options.dry_run {
        return Ok((Shown::Tree(Arc::new(new)), false));
    }
    let storage = &call.server.storage;
    if is_finished(call, &new) {
        let gone = storage.remove(&record.key, record.mod_revision).await?;
        call.entry.hooks.released(storage, &new).await;
        new.set("metadata.resourceVersion", gone.mod_revision.to_string());
        return Ok((Shown::Tree(Arc::new(new)), true));
    }
    let expect = Expect::ModRevision(record.mod_revision);
    let (_, form) = storage.put(call.entry, &new, &record.key, expect).await?;
    Ok((Shown::Form(form), true))
}

/// Whether an object that is being deleted has nothing left to wait for.
fn is_finished(call: &Call<'_>, tree: &Tree) -> bool {
    tree.is_deleting()
        && tree.finalizers().next().is_none()
        && tree.i64_at("metadata.deletionGracePeriodSeconds").unwrap_or(0) == 0
        && !call.entry.resource.strategy.holds_deletion(tree)
}

/// 400 if the body's name is not the path's.
fn check_name(call: &Call<'_>, tree: &Tree) -> Result<(), ApiError> {
    let (said, asked) = (tree.name(), call.info.name.as_str());
    if said == asked {
        return Ok(());
    }
    Err(ApiError::bad_request(if said.is_empty() {
        "name must be provided".to_owned()
    } else {
        format!("the name of the object ({said}) does not match the name on the URL ({asked})")
    }))
}

/// 409 if the client saw another version or another object. Gives whether the client insists on its version.
fn check_version(call: &Call<'_>, new: &mut Tree, old: &Tree, source: Source) -> Result<bool, ApiError> {
    let name = call.info.name.as_str();
    if !new.uid().is_empty() && new.uid() != old.uid() {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            new.uid(),
            old.uid()
        );
        return Err(call.conflict(name, &why));
    }
    let said = new.resource_version().to_owned();
    // A patch starts from the stored object and thus has its version, unless it says another.
    let conditional = !matches!(said.as_str(), "" | "0") && source == Source::Put;
    if matches!(said.as_str(), "" | "0") {
        if source == Source::Put && !call.entry.resource.strategy.allows_unconditional_update() {
            return Err(version_required(call, name));
        }
        new.set("metadata.resourceVersion", old.resource_version());
    } else if said.parse::<u64>().is_err() {
        let problem = Error::invalid(
            Path::new("metadata").child("resourceVersion"),
            said,
            "must be an unsigned integer",
        );
        return Err(ApiError::invalid(
            &call.entry.resource.group,
            &call.entry.resource.kind,
            name,
            &vec![problem],
        ));
    } else if said != old.resource_version() {
        return Err(call.conflict(name, MODIFIED));
    }
    Ok(conditional)
}

/// The 422 of an update without a version. Upstream prints the missing number as Go does, in hexadecimal.
fn version_required(call: &Call<'_>, name: &str) -> ApiError {
    const BODY: &str = "Invalid value: 0x0: must be specified for an update";
    let resource = &call.entry.resource;
    let problem = Error::invalid(
        Path::new("metadata").child("resourceVersion"),
        Value::Null,
        "must be specified for an update",
    );
    let mut error = ApiError::invalid(&resource.group, &resource.kind, name, &vec![problem.clone()]);
    error.message = error.message.replace(&problem.body(), BODY);
    if let Some(details) = &mut error.details {
        details.causes = vec![StatusCause {
            reason: problem.kind.reason().to_owned(),
            message: BODY.to_owned(),
            field: problem.path.to_string(),
        }];
    }
    error
}

/// 422 with every problem of an update.
async fn check(call: &Call<'_>, new: &Tree, old: &Tree) -> Result<(), ApiError> {
    let resource = &call.entry.resource;
    let mut problems = meta::validate_update(new, old);
    problems.extend(resource.strategy.validate_update(new, old, &call.validation_context().await));
    if !problems.is_empty() {
        return Err(ApiError::invalid(&resource.group, &resource.kind, new.name(), &problems));
    }
    for warning in resource.strategy.warnings(new, Some(old), &call.context()) {
        call.warnings.add(warning);
    }
    Ok(())
}
