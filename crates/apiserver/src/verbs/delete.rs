//! DELETE of one object: at once, after a grace period, or after its finalizers.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::time;
use steersman_registry::Dependents;
use steersman_store::Expect;

use super::options::{DeleteOptions, Propagation};
use crate::call::{Call, Shown};
use crate::codec;
use crate::request::Operation;
use crate::storage::CommitError;
use crate::wire::body::Response;
use crate::wire::{negotiate, respond};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// The catalogue's name of `DeleteOptions`.
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Deletes the object.
pub async fn delete(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let options = options(call, &body)?;
    let name = call.info.name.as_str();
    let (namespace, entry) = (call.info.namespace.as_str(), call.entry);
    let old = call.server.storage.require(entry, namespace, name).await?.1.tree();
    call.admit(Operation::Delete, name, None, Some(&old), options.dry_run).await?;
    call.admission_validate(Operation::Delete, name, None, Some(&old), options.dry_run).await?;
    respond(call, &delete_one(call, namespace, name, &options).await?, &options)
}

/// The options of a delete, from the body or the query.
pub fn options(call: &Call<'_>, body: &Bytes) -> Result<DeleteOptions, ApiError> {
    if body.is_empty() {
        return DeleteOptions::parse(None, call.query);
    }
    let encoding = negotiate::body_encoding(call.headers)?;
    let decoded = codec::decode(DELETE_OPTIONS, body, encoding)
        .map_err(|failure| super::undecodable("DeleteOptions", "v1", body, failure))?;
    DeleteOptions::parse(Some(&decoded.tree), call.query)
}

/// What a delete did.
pub struct Deleted {
    /// The object as it was last.
    pub last: Shown,
    /// Whether it is gone, not only marked.
    pub gone: bool,
}

fn respond(call: &Call<'_>, deleted: &Deleted, options: &DeleteOptions) -> Result<Response, ApiError> {
    let accepted = !deleted.gone && options.orphan_dependents == Some(false);
    let code = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
    if !deleted.gone || call.entry.hooks.answers_delete_with_object() {
        return call.show(code, &deleted.last);
    }
    let resource = &call.entry.resource;
    let last = deleted.last.tree();
    let mut details = json!({ "name": last.name(), "kind": resource.plural, "uid": last.uid() });
    if !resource.group.is_empty() {
        details["group"] = (*resource.group).into();
    }
    respond::success(code, details, &call.wanted)
}

/// What is to be done with one version of an object.
#[derive(Debug, PartialEq)]
enum Step {
    /// It is on its way out already and stays as it is.
    Leave,
    /// It is marked and stays for now.
    Mark(Tree),
    /// It goes.
    Remove,
}

/// Deletes one object that admission let go; again from its newest version if others write in between.
pub async fn delete_one(
    call: &Call<'_>,
    namespace: &str,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    loop {
        let storage = &call.server.storage;
        let (record, form) = storage.require(call.entry, namespace, name).await?;
        let old = form.tree();
        check_preconditions(call, &old, options)?;
        let outcome = match plan(call, &old, options) {
            Step::Leave => return Ok(Deleted { last: Shown::Form(form), gone: false }),
            Step::Mark(new) if options.dry_run => {
                return Ok(Deleted { last: Shown::Tree(Arc::new(new)), gone: false });
            }
            Step::Remove if options.dry_run => return Ok(Deleted { last: Shown::Form(form), gone: true }),
            Step::Mark(new) => {
                let expect = Expect::ModRevision(record.mod_revision);
                let put = storage.put(call.entry, &new, &record.key, expect).await;
                put.map(|(_, form)| Deleted { last: Shown::Form(form), gone: false })
            }
            Step::Remove => match storage.remove(&record.key, record.mod_revision).await {
                Ok(removed) => {
                    call.entry.hooks.released(storage, &old).await;
                    Ok(Deleted { last: Shown::Tree(form.tree_at(removed.mod_revision)), gone: true })
                }
                Err(error) => Err(error),
            },
        };
        match outcome {
            Ok(deleted) => return Ok(deleted),
            Err(CommitError::Failed(error) | CommitError::Unknown(error)) => return Err(error),
            Err(CommitError::Conflict(_)) => {}
        }
    }
}

fn check_preconditions(call: &Call<'_>, old: &Tree, options: &DeleteOptions) -> Result<(), ApiError> {
    let conflict = |why: String| {
        // Upstream names the kind here, not the resource.
        Err(ApiError::conflict(&call.entry.resource.group, &call.entry.resource.kind, old.name(), &why))
    };
    match (&options.uid, &options.resource_version) {
        (Some(uid), _) if uid != old.uid() => conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            old.uid()
        )),
        (_, Some(version)) if version != old.resource_version() => conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            old.resource_version()
        )),
        _ => Ok(()),
    }
}

fn plan(call: &Call<'_>, old: &Tree, options: &DeleteOptions) -> Step {
    let strategy = &call.entry.resource.strategy;
    let grace = strategy.grace_period_seconds(old, options.grace_seconds);
    let mut new = old.clone();
    let was_deleting = old.is_deleting();
    if was_deleting && let Some(grace) = grace {
        // A second request can only shorten the time.
        if !shorten_grace(&mut new, grace, options.grace_seconds.is_some()) {
            return Step::Leave;
        }
    }
    let finalizers = finalizers_after(old, options.propagation, strategy.default_dependents());
    set_finalizers(&mut new, &finalizers);
    let must_wait = !finalizers.is_empty() || strategy.holds_deletion(old);
    if !was_deleting {
        mark(&mut new, call.now, grace.unwrap_or(0));
        strategy.mark_deleted(&mut new);
    }
    let waits = must_wait || grace.is_some_and(|seconds| seconds > 0);
    match (waits, new == *old) {
        (true, true) => Step::Leave,
        (true, false) => Step::Mark(new),
        (false, _) => Step::Remove,
    }
}

/// Sets the marks of a deletion that ends `grace` seconds from now.
fn mark(tree: &mut Tree, now: Timestamp, grace: i64) {
    let end = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
    tree.set("metadata.deletionTimestamp", time::format(end));
    tree.set("metadata.deletionGracePeriodSeconds", grace);
}

/// Gives a deletion under way a shorter time, measured from when it began. `false` if it is not shorter.
fn shorten_grace(tree: &mut Tree, grace: i64, asked: bool) -> bool {
    let current = tree.i64_at("metadata.deletionGracePeriodSeconds").unwrap_or(0);
    if !asked || grace >= current {
        // Nothing is left to shorten; a deletion without time goes on if nothing else holds it.
        return current == 0;
    }
    if let Some(end) = tree.deletion_timestamp().and_then(|text| time::parse(text).ok()) {
        let begin = end.checked_sub(SignedDuration::from_secs(current)).unwrap_or(end);
        mark(tree, begin, grace);
    }
    true
}

/// The finalizers that remain after the wish for dependents is written down as one. The request's wish goes before an
/// earlier one, and that before what the kind does by default.
fn finalizers_after(old: &Tree, asked: Option<Propagation>, default: Dependents) -> Vec<String> {
    let mut kept: Vec<String> = old.finalizers().map(str::to_owned).collect();
    let settled = old.finalizers().any(|finalizer| finalizer == ORPHAN || finalizer == FOREGROUND);
    let wish = match (default, asked) {
        (Dependents::None, _) => Some(Propagation::Background),
        (_, Some(asked)) => Some(asked),
        (Dependents::Orphan, None) if !settled => Some(Propagation::Orphan),
        (Dependents::Orphan | Dependents::Delete, None) => None,
    };
    let Some(wish) = wish else { return kept };
    kept.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match wish {
        Propagation::Orphan => kept.push(ORPHAN.to_owned()),
        Propagation::Foreground => kept.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    kept
}

fn set_finalizers(tree: &mut Tree, finalizers: &[String]) {
    if finalizers.is_empty() {
        tree.remove("metadata.finalizers");
    } else {
        tree.set("metadata.finalizers", finalizers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleting(grace: i64) -> Tree {
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": grace}})
    }

    #[test]
    fn a_grace_period_only_gets_shorter() {
        let mut tree = deleting(30);
        assert!(!shorten_grace(&mut tree, 60, true));
        assert!(!shorten_grace(&mut tree, 30, false));
        assert!(shorten_grace(&mut tree, 10, true));
        assert_eq!(tree.deletion_timestamp(), Some("2026-01-01T00:00:10Z"));
    }

    #[test]
    fn the_wish_for_dependents_becomes_a_finalizer() {
        let tree = json!({"metadata": {"finalizers": ["foregroundDeletion", "example.com/keep"]}});
        let after = |wish| finalizers_after(&tree, wish, Dependents::Delete);
        assert_eq!(after(None), ["foregroundDeletion", "example.com/keep"]);
        assert_eq!(after(Some(Propagation::Orphan)), ["example.com/keep", "orphan"]);
        assert_eq!(after(Some(Propagation::Background)), ["example.com/keep"]);
    }

    #[test]
    fn the_kind_decides_where_nobody_wishes() {
        let (fresh, settled) = (json!({}), json!({"metadata": {"finalizers": ["foregroundDeletion"]}}));
        let none: [&str; 0] = [];
        assert_eq!(finalizers_after(&fresh, None, Dependents::Orphan), ["orphan"]);
        assert_eq!(finalizers_after(&settled, None, Dependents::Orphan), ["foregroundDeletion"]);
        assert_eq!(finalizers_after(&fresh, Some(Propagation::Background), Dependents::Orphan), none);
        assert_eq!(finalizers_after(&fresh, Some(Propagation::Foreground), Dependents::None), none);
    }
}
