//! LIST: a page of objects as they were at one revision.

use std::sync::Arc;

use http::StatusCode;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::status::ApiError;
use steersman_store::{Key, Prefix, RangeOptions, Revision, StoreError};

use super::get::{asked_revision, not_newer_than_the_store};
use crate::call::Call;
use crate::object::form::Form;
use crate::selection::Selection;
use crate::storage::continuation::Continuation;
use crate::storage::failure;
use crate::views;
use crate::views::list::Listed;
use crate::wire::body::Response;
use crate::wire::respond;

/// How many records are looked at in one step of a list whose selector may pass over most of them.
const STEP: usize = 1000;

/// Where and how a list reads.
struct Plan {
    at: Option<Revision>,
    after: Option<Key>,
    limit: Option<usize>,
}

/// Answers with a page.
pub async fn list(call: &Call<'_>) -> Result<Response, ApiError> {
    let selection = Selection::parse(call.query, call.entry, None)?;
    let prefix = call.entry.prefix(&call.info.namespace);
    let plan = plan(call, &prefix).await?;
    match read(call, &selection, &prefix, &plan).await {
        Ok(listed) => views::list::respond(call, &listed),
        Err(Stopped::Failed(error)) => Err(error),
        Err(Stopped::Expired) => Ok(expired(call, &prefix, &plan)),
    }
}

/// Why a list is not there.
enum Stopped {
    Failed(ApiError),
    /// Its revision is compacted.
    Expired,
}

impl From<ApiError> for Stopped {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

async fn plan(call: &Call<'_>, prefix: &Prefix) -> Result<Plan, ApiError> {
    check_options(call)?;
    let limit = call.query.integer("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let asked = asked_revision(call)?;
    if let Some(token) = call.query.non_empty("continue") {
        if asked.is_some() {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let continuation = Continuation::decode(token, prefix)?;
        return Ok(Plan { at: continuation.revision, after: Some(continuation.after), limit });
    }
    let exact = match call.query.non_empty("resourceVersionMatch") {
        Some(rule) => rule == "Exact",
        // Without a rule a limited list is exact: clients page through it by its version.
        None => limit.is_some(),
    };
    not_newer_than_the_store(call, asked).await?;
    Ok(Plan { at: asked.filter(|_| exact), after: None, limit })
}

/// 422 for combinations that mean nothing.
fn check_options(call: &Call<'_>) -> Result<(), ApiError> {
    let query = call.query;
    let mut problems = ErrorList::new();
    let path = || Path::new("resourceVersionMatch");
    if let Some(rule) = query.non_empty("resourceVersionMatch") {
        let version = query.get("resourceVersion").unwrap_or_default();
        if version.is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            problems.push(Error::forbidden(path(), why));
        }
        if query.non_empty("continue").is_some() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            problems.push(Error::forbidden(path(), why));
        }
        if !matches!(rule, "Exact" | "NotOlderThan") {
            problems.push(Error::not_supported(path(), rule, &["Exact", "NotOlderThan"]));
        }
        if rule == "Exact" && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            problems.push(Error::forbidden(path(), why));
        }
    }
    if query.get("sendInitialEvents").is_some() {
        let why = "sendInitialEvents is forbidden for list";
        problems.push(Error::forbidden(Path::new("sendInitialEvents"), why));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &problems))
}

async fn read(
    call: &Call<'_>,
    selection: &Selection,
    prefix: &Prefix,
    plan: &Plan,
) -> Result<Listed, Stopped> {
    let everything = selection.is_everything();
    let step = if everything { plan.limit } else { plan.limit.map(|limit| limit.max(STEP)) };
    let mut options = RangeOptions { at: plan.at, after: plan.after.clone(), limit: step };
    let mut forms: Vec<Arc<Form>> = Vec::new();
    loop {
        let page = call.server.storage.range(call.entry, &call.info.namespace, options.clone()).await;
        let page = page.map_err(stopped)?;
        options.at = Some(page.revision);
        let total = page.records.len();
        for (i, record) in page.records.iter().enumerate() {
            let form = Form::of(record, call.entry)?;
            if !selection.matches(&form, call.entry) {
                continue;
            }
            forms.push(form);
            let follow = total - i - 1 + page.remaining;
            if plan.limit.is_some_and(|limit| forms.len() == limit) && follow > 0 {
                let next = Continuation { revision: Some(page.revision), after: record.key.clone() };
                return Ok(Listed {
                    forms,
                    revision: page.revision.0,
                    next: next.encode(prefix),
                    remaining: everything.then_some(follow),
                });
            }
        }
        match page.records.last() {
            Some(last) if page.remaining > 0 => options.after = Some(last.key.clone()),
            _ => {
                return Ok(Listed { forms, revision: page.revision.0, next: String::new(), remaining: None });
            }
        }
    }
}

fn stopped(error: StoreError) -> Stopped {
    match error {
        StoreError::Compacted { .. } => Stopped::Expired,
        other => Stopped::Failed(failure::of_store(other)),
    }
}

fn expired(call: &Call<'_>, prefix: &Prefix, plan: &Plan) -> Response {
    let Some(after) = &plan.after else {
        return respond::failure(&ApiError::expired(failure::LIST_TOO_OLD), &call.wanted);
    };
    let fresh = Continuation { revision: None, after: after.clone() }.encode(prefix);
    let (error, status) = failure::expired_continue(&fresh);
    debug_assert_eq!(error.code, StatusCode::GONE.as_u16());
    respond::failure_status(&error, status, &call.wanted)
}
