//! POST: a new object.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rand::Rng;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{self, Object, ObjectMut};
use steersman_apimachinery::status::ApiError;
use steersman_store::Expect;

use super::options::WriteOptions;
use super::{decode, settle_namespace};
use crate::call::{Call, Shown};
use crate::hooks::Outcome;
use crate::managers;
use crate::object::form::Form;
use crate::request::Operation;
use crate::storage::CommitError;
use crate::wire::body::Response;

/// How often another name is tried when a generated one is taken.
const NAME_TRIES: usize = 8;
/// The longest prefix that a generated name keeps: 63 characters less the suffix.
const MAX_GENERATED_PREFIX: usize = 58;
const SUFFIX_LENGTH: usize = 5;
/// No vowels and nothing that looks like one: suffixes spell no words.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Creates the object of the body.
pub async fn create(call: &Call<'_>, body: Bytes) -> Result<Response, ApiError> {
    let options = WriteOptions::parse(call.query, "CreateOptions")?;
    let tree = decode(call, &body, &options)?;
    let shown = create_tree(call, tree, &options).await?;
    call.show(StatusCode::CREATED, &shown)
}

/// Creates an object that is decoded already.
pub async fn create_tree(call: &Call<'_>, mut tree: Tree, options: &WriteOptions) -> Result<Shown, ApiError> {
    if !matches!(tree.resource_version(), "" | "0") {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    settle_namespace(call, &mut tree)?;
    call.entry.resource.strategy.apply_defaults(&mut tree);
    managers::track(call, &mut tree, None);
    finish(call, tree, options).await
}

/// Creates an object that was applied: who owns its fields is settled.
pub async fn create_applied(
    call: &Call<'_>,
    mut tree: Tree,
    options: &WriteOptions,
) -> Result<Shown, ApiError> {
    call.entry.resource.strategy.apply_defaults(&mut tree);
    finish(call, tree, options).await
}

async fn finish(call: &Call<'_>, mut tree: Tree, options: &WriteOptions) -> Result<Shown, ApiError> {
    let strategy = &call.entry.resource.strategy;
    let name = tree.name().to_owned();
    check_stays(call, &name)?;
    call.admit(Operation::Create, &name, Some(&mut tree), None, options.dry_run).await?;
    strategy.apply_defaults(&mut tree);
    meta::fill_for_create(&mut tree, &uuid::Uuid::new_v4().to_string(), call.now);

    let prefix = tree.generate_name().to_owned();
    let generated = tree.name().is_empty() && !prefix.is_empty();
    for attempt in 1.. {
        let mut named = if generated { tree.clone() } else { std::mem::take(&mut tree) };
        if generated {
            named.set("metadata.name", generated_name(&prefix));
        }
        // What a kind makes of a new object may follow its name, so that it is made anew for each.
        strategy.prepare_for_create(&mut named, &call.context());
        match try_create(call, &mut named, options).await {
            Err(Refusal::Exists(_)) if generated && attempt < NAME_TRIES => {}
            Err(Refusal::Exists(existing)) => return Err(exists(call, named.name(), &existing, generated)),
            Err(Refusal::Failed(error) | Refusal::Unknown(error)) => return Err(error),
            Ok(shown) => return Ok(shown),
        }
    }
    unreachable!("the last attempt returns")
}

/// 403 if the resource itself is about to go.
fn check_stays(call: &Call<'_>, name: &str) -> Result<(), ApiError> {
    let resource = &call.entry.resource;
    if !call.entry.is_terminating() {
        return Ok(());
    }
    let why = "create not allowed while custom resource definition is terminating";
    Err(ApiError::forbidden(&resource.group, &resource.plural, name, why))
}

enum Refusal {
    Exists(Arc<Form>),
    Failed(ApiError),
    /// It may be stored.
    Unknown(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

async fn try_create(call: &Call<'_>, tree: &mut Tree, options: &WriteOptions) -> Result<Shown, Refusal> {
    // What is unique in the cluster is taken last but one, and given back if anything goes wrong after.
    let reservation = call.entry.hooks.reserve(&call.server.storage, tree, None, options.dry_run).await?;
    let done = store_new(call, tree, options).await;
    reservation
        .settle(match &done {
            Ok(_) => Outcome::Stored,
            Err(Refusal::Unknown(_)) => Outcome::Unknown,
            Err(Refusal::Exists(_) | Refusal::Failed(_)) => Outcome::Abandoned,
        })
        .await;
    done
}

async fn store_new(call: &Call<'_>, tree: &mut Tree, options: &WriteOptions) -> Result<Shown, Refusal> {
    check(call, tree).await?;
    let name = tree.name().to_owned();
    call.admission_validate(Operation::Create, &name, Some(tree), None, options.dry_run).await?;
    if options.dry_run {
        return dry_run(call, tree).await;
    }
    let key = call.entry.key(tree.namespace(), tree.name());
    match call.server.storage.put(call.entry, tree, &key, Expect::Absent).await {
        Ok((_, form)) => Ok(Shown::Form(form)),
        Err(CommitError::Conflict(Some(record))) => Err(Refusal::Exists(Form::of(&record, call.entry)?)),
        Err(CommitError::Conflict(None)) => {
            Err(Refusal::Failed(ApiError::internal("a key was said to exist and did not")))
        }
        Err(CommitError::Failed(error)) => Err(Refusal::Failed(error)),
        Err(CommitError::Unknown(error)) => Err(Refusal::Unknown(error)),
    }
}

async fn dry_run(call: &Call<'_>, tree: &Tree) -> Result<Shown, Refusal> {
    match call.server.storage.get(call.entry, tree.namespace(), tree.name()).await? {
        Some(record) => Err(Refusal::Exists(Form::of(&record, call.entry)?)),
        None => Ok(Shown::Tree(Arc::new(tree.clone()))),
    }
}

/// 422 with every problem of a new object.
async fn check(call: &Call<'_>, tree: &Tree) -> Result<(), ApiError> {
    let resource = &call.entry.resource;
    let strategy = &resource.strategy;
    let rule = |name: &str, prefix: bool| strategy.name_problems(name, prefix);
    let mut problems = meta::validate_create(tree, call.entry.is_namespaced(), &rule);
    problems.extend(strategy.validate(tree, &call.validation_context().await));
    if !problems.is_empty() {
        return Err(ApiError::invalid(&resource.group, &resource.kind, tree.name(), &problems));
    }
    for warning in strategy.warnings(tree, None, &call.context()) {
        call.warnings.add(warning);
    }
    Ok(())
}

fn exists(call: &Call<'_>, name: &str, existing: &Form, generated: bool) -> ApiError {
    let resource = &call.entry.resource;
    let mut error = ApiError::already_exists(&resource.group, &resource.plural, name);
    if generated {
        error.message.push_str(", the server was not able to generate a unique name for the object");
    }
    if existing.tree().is_deleting() {
        error.message = format!("object is being deleted: {}", error.message);
    }
    error
}

fn generated_name(prefix: &str) -> String {
    let end =
        prefix.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_GENERATED_PREFIX);
    let kept = &prefix[..end.last().unwrap_or(0)];
    let mut random = rand::rng();
    let suffix = (0..SUFFIX_LENGTH).map(|_| SUFFIX_LETTERS[random.random_range(0..SUFFIX_LETTERS.len())]);
    kept.chars().chain(suffix.map(char::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        let name = generated_name("web-");
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(generated_name(&"a".repeat(80)).len(), 63);
    }
}
