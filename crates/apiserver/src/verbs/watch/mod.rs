//! WATCH: the changes of a resource as a stream that begins where the client says.
//!
//! ```text
//!  resourceVersion   state first?          then changes after
//!  "" or "0"         all objects as ADDED  the revision of that state
//!  N                 no                    N
//!  sendInitialEvents=true: all objects as ADDED, then a bookmark that says that the state is complete
//! ```
//! A watcher that is too slow is cut off by the store; its stream ends and the client begins again.

mod encode;
mod stream;

use std::time::Duration;

use http::StatusCode;
use rand::Rng;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::status::ApiError;
use steersman_store::{RangeOptions, Revision, StoreError};

use super::get::asked_revision;
use crate::call::Call;
use crate::object::form::Form;
use crate::selection::Selection;
use crate::storage::failure;
use crate::wire::body::{self, Response};
use crate::wire::negotiate::Encoding;
use crate::wire::respond;
use encode::Encoder;
use stream::{Stream, streamed};

/// How long a watch lasts at least that says no time; upstream spreads the ends over as much again.
const MIN_SECONDS: u64 = 1800;

/// Answers with the stream. Its headers go out at once.
pub async fn watch(call: &Call<'_>) -> Result<Response, ApiError> {
    if call.wanted.encoding == Encoding::Yaml {
        return Err(ApiError::not_acceptable(&[
            "application/json;stream=watch",
            "application/vnd.kubernetes.protobuf;stream=watch",
        ]));
    }
    let options = Options::parse(call)?;
    let named = call.info.named_in_path.then_some(call.info.name.as_str());
    let selection = Selection::parse(call.query, call.entry, named)?;
    let encoder = Encoder::new(call)?;
    let stream = match begin(call, &options, &selection).await {
        Ok(start) => Stream::new(call, &options, selection, encoder, start),
        // Old clients look for this in the stream, not in the answer's code.
        Err(StoreError::Compacted { asked, oldest }) => {
            let error = ApiError::expired(format!("too old resource version: {asked} ({oldest})"));
            return Ok(respond_with(call, body::pieces(encoder.error(&error)?)));
        }
        Err(other) => return Err(failure::of_store(other)),
    };
    Ok(respond_with(call, streamed(stream?)))
}

fn respond_with(call: &Call<'_>, body: body::Body) -> Response {
    respond::with_type(StatusCode::OK, call.wanted.encoding.stream_content_type(), body)
}

/// What a watch asks for.
struct Options {
    /// Changes after this; `None` for the state first.
    after: Option<Revision>,
    bookmarks: bool,
    /// Say when the state is complete.
    mark_end_of_state: bool,
    lasts: Duration,
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, ApiError> {
        let query = call.query;
        let bookmarks = query.flag("allowWatchBookmarks");
        let initial = query.optional_flag("sendInitialEvents");
        check(call, initial)?;
        let asked = asked_revision(call)?;
        let after = match initial {
            Some(true) => None,
            // Without the state, "any" and "the newest" begin now.
            Some(false) => Some(asked.unwrap_or(Revision(u64::MAX))),
            None => asked,
        };
        let lasts = query
            .timeout()?
            .unwrap_or_else(|| Duration::from_secs(rand::rng().random_range(MIN_SECONDS..2 * MIN_SECONDS)));
        Ok(Self { after, bookmarks, mark_end_of_state: initial == Some(true) && bookmarks, lasts })
    }
}

/// 422 for combinations that mean nothing.
fn check(call: &Call<'_>, initial: Option<bool>) -> Result<(), ApiError> {
    let rule = call.query.non_empty("resourceVersionMatch");
    let path = || Path::new("resourceVersionMatch");
    let mut problems = ErrorList::new();
    match (initial, rule) {
        (Some(_), Some("NotOlderThan")) | (None, None) => {}
        (Some(_), None) => {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            problems.push(Error::forbidden(path(), why));
        }
        (Some(_), Some(other)) => {
            problems.push(Error::not_supported(path(), other, &["NotOlderThan"]));
        }
        (None, Some(_)) => {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            problems.push(Error::forbidden(path(), why));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &problems))
}

/// Where a watch begins.
struct Start {
    watch: steersman_store::Watch,
    /// The state to send first, in any order.
    state: Vec<steersman_store::Versioned>,
    /// Changes up to here are known to the client.
    known: Revision,
}

async fn begin(call: &Call<'_>, options: &Options, selection: &Selection) -> Result<Start, StoreError> {
    let store = call.server.storage.store();
    let prefix = match selection.single_name() {
        // One object's watch need not see its neighbours.
        Some(name) if call.info.in_namespace == call.entry.is_namespaced() => {
            steersman_store::Prefix::new(call.entry.key(&call.info.namespace, name).as_str())
        }
        _ => call.entry.prefix(&call.info.namespace),
    };
    if let Some(after) = options.after {
        let newest = store.revision().await?;
        let watch = store.watch(&prefix, after.min(newest)).await?;
        let known = if after == Revision(u64::MAX) { newest } else { after };
        return Ok(Start { watch, state: Vec::new(), known });
    }
    let page = store.range(&prefix, RangeOptions::default()).await?;
    let watch = store.watch(&prefix, page.revision).await?;
    Ok(Start { watch, state: page.records, known: page.revision })
}

/// The forms of the selected records.
fn selected(
    call: &Call<'_>,
    selection: &Selection,
    records: &[steersman_store::Versioned],
) -> Result<Vec<std::sync::Arc<Form>>, ApiError> {
    let mut forms = Vec::with_capacity(records.len());
    for record in records {
        let form = Form::of(record, call.entry)?;
        if selection.matches(&form, call.entry) {
            forms.push(form);
        }
    }
    Ok(forms)
}
