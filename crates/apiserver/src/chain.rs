//! The request chain, in upstream's order: what is asked, who asks, what is written about it, as whom,
//! whether it is their turn, may they, then
//! the answer; around it an id, a time limit, and a net for panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use http::header::{RETRY_AFTER, WARNING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use steersman_apimachinery::status::ApiError;
use tokio_util::sync::CancellationToken;

use crate::audit::Trail;
use crate::authentication::impersonate;
use crate::authorization;
use crate::dispatch;
use crate::flow_control::{Asked, FlowControl, Matched};
use crate::request::{Attributes, Decision, User, decide};
use crate::server::Inner;
use crate::wire::body::{Body, Response};
use crate::wire::info::RequestInfo;
use crate::wire::negotiate::{Offers, Wanted};
use crate::wire::query::Query;
use crate::wire::respond;
use crate::wire::warning::Warnings;

/// How long a request may take that is no watch, log or tunnel.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const MATCHED_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const MATCHED_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// A request on its way through the chain.
pub struct Exchange {
    /// What is asked.
    pub info: RequestInfo,
    /// The query.
    pub query: Query,
    /// What to tell the client beside the answer.
    pub warnings: Warnings,
    /// Method, headers and extensions.
    pub parts: Parts,
    /// What the audit log wants of it.
    pub trail: Option<Trail>,
    /// Its id in logs.
    pub id: HeaderValue,
    /// Its flow schema and priority level, once they are known.
    pub matched: Option<Matched>,
    /// Cancelled when the client of a write leaves.
    pub gone: Option<CancellationToken>,
}

/// Answers a request, whatever happens.
pub async fn handle(server: Arc<Inner>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query);
    let id = audit_id(&parts);
    let exchange = Exchange {
        info,
        query,
        warnings: Warnings::default(),
        parts,
        trail: None,
        id: id.clone(),
        matched: None,
        gone: None,
    };
    let mut response = in_time(server, exchange, body).await;
    response.headers_mut().insert(AUDIT_ID, id);
    response
}

/// Answers within the time limit. A write goes on to its end in a task that the server waits for, also when its
/// client leaves or the time is over: what was reserved for it must not be given back while it may yet be stored.
async fn in_time(server: Arc<Inner>, mut exchange: Exchange, body: Body) -> Response {
    if exchange.info.is_long_running() {
        return measured(server, exchange, body).await;
    }
    let errors = error_form(&exchange);
    let outcome = if exchange.parts.method.is_safe() {
        tokio::time::timeout(REQUEST_TIMEOUT, measured(server, exchange, body)).await.ok().map(Ok)
    } else {
        let gone = CancellationToken::new();
        exchange.gone = Some(gone.clone());
        let _client = gone.drop_guard();
        let writing = server.writes.clone().spawn(measured(server, exchange, body));
        tokio::time::timeout(REQUEST_TIMEOUT, writing).await.ok()
    };
    match outcome {
        Some(Ok(response)) => response,
        Some(Err(ended)) => {
            tracing::error!(%ended, "the task of a write ended early");
            respond::failure(&ApiError::internal("the request was not finished"), &errors)
        }
        None => {
            let late = ApiError::timeout("request did not complete within the allotted timeout", 0);
            respond::failure(&late, &errors)
        }
    }
}

async fn measured(server: Arc<Inner>, mut exchange: Exchange, body: Body) -> Response {
    let started = Instant::now();
    let mut response = guarded(&server, &mut exchange, body).await;
    server.metrics.request(&exchange.info, response.status(), started.elapsed());
    if let Some(Matched { schema, level }) = exchange.matched {
        response.headers_mut().insert(MATCHED_SCHEMA, schema);
        response.headers_mut().insert(MATCHED_LEVEL, level);
    }
    for warning in exchange.warnings.headers() {
        response.headers_mut().append(WARNING, warning);
    }
    match exchange.trail {
        Some(trail) => trail.answered(exchange.info.is_long_running(), response).await,
        None => response,
    }
}

/// The form in which errors are told.
fn error_form(exchange: &Exchange) -> Wanted {
    Wanted::negotiate(&exchange.parts.headers, &exchange.query, Offers::Objects)
        .map_or(Wanted::JSON, |wanted| Wanted { pretty: false, ..wanted })
}

/// The client's id for the request, or a new one.
fn audit_id(parts: &Parts) -> HeaderValue {
    parts
        .headers
        .get(AUDIT_ID)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).expect("a UUID is ASCII"))
}

async fn guarded(server: &Arc<Inner>, exchange: &mut Exchange, body: Body) -> Response {
    let errors = error_form(exchange);
    // A panic may leave half-made values of this request only: shared state is changed by single statements.
    match AssertUnwindSafe(process(server, exchange, body)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            if let Some(trail) = &mut exchange.trail {
                trail.failed(error.to_status());
            }
            respond::failure(&error, &errors)
        }
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("unknown");
            tracing::error!(panic = what, path = exchange.info.path, "a request handler panicked");
            let message = "This request caused apiserver to panic. Look in the logs for details.";
            if let Some(trail) = exchange.trail.take() {
                trail.panicked(what);
            }
            respond::failure(&ApiError::new(500, "InternalError", message), &errors)
        }
    }
}

async fn process(server: &Arc<Inner>, exchange: &mut Exchange, body: Body) -> Result<Response, ApiError> {
    let user = identify(server, exchange).await?;
    match server.flow_control.clone() {
        None => allowed(server, exchange, &user, body).await,
        Some(flow) => in_turn(server, &flow, exchange, &user, body).await,
    }
}

/// Waits for the request's turn; its seats are free again when the answer is there.
async fn in_turn(
    server: &Arc<Inner>,
    flow: &FlowControl,
    exchange: &mut Exchange,
    user: &Arc<User>,
    body: Body,
) -> Result<Response, ApiError> {
    let Exchange { info, query, gone, .. } = &*exchange;
    match flow.admit(&server.storage, Asked { info, query, user, gone: gone.as_ref() }).await {
        Ok(admitted) => {
            exchange.matched.clone_from(&admitted.matched);
            allowed(server, exchange, user, body).await
        }
        Err(refused) => {
            exchange.matched = Some(refused.matched);
            Ok(too_many_requests())
        }
    }
}

/// Upstream refuses in plain text; clients make a `Status` with the reason `TooManyRequests` of the code.
fn too_many_requests() -> Response {
    let text = "Too many requests, please try again later.\n";
    let mut response = respond::text(StatusCode::TOO_MANY_REQUESTS, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

async fn allowed(
    server: &Arc<Inner>,
    exchange: &mut Exchange,
    user: &Arc<User>,
    body: Body,
) -> Result<Response, ApiError> {
    let attributes = attributes(&exchange.info, &exchange.query, user);
    let decision = decide(&*server.authorizer, &attributes).await;
    if let Some(trail) = &mut exchange.trail {
        let (Decision::Allow { reason } | Decision::Deny { reason } | Decision::NoOpinion { reason }) =
            &decision;
        trail.authorized(matches!(decision, Decision::Allow { .. }), reason);
    }
    authorization::allowed(&decision, &attributes)?;
    dispatch::dispatch(server, exchange, user, body).await
}

/// Who the request is made as. The audit log begins with who sends it.
async fn identify(server: &Inner, exchange: &mut Exchange) -> Result<Arc<User>, ApiError> {
    let known = authenticate(server, &exchange.parts).await;
    if let Some(audit) = &server.audit {
        let id = exchange.id.to_str().unwrap_or_default();
        let user = known.as_deref().ok();
        let trail = Trail::begin(audit, id, &exchange.info, &exchange.parts, user);
        match (trail, user) {
            (Some(trail), None) => trail.unauthenticated(&exchange.parts.headers),
            (trail, _) => exchange.trail = trail,
        }
    }
    let user = known?;
    let other = impersonate(&mut exchange.parts.headers, &user, &*server.authorizer).await?;
    let Some(other) = other else { return Ok(user) };
    if let Some(trail) = &mut exchange.trail {
        trail.impersonated(&other);
    }
    Ok(Arc::new(other))
}

async fn authenticate(server: &Inner, parts: &Parts) -> Result<Arc<User>, ApiError> {
    if let Some(user) = parts.extensions.get::<User>() {
        return Ok(Arc::new(user.clone()));
    }
    match server.authenticator.authenticate(parts).await {
        Ok(Some(user)) => Ok(Arc::new(user)),
        Ok(None) => Err(ApiError::unauthorized("Unauthorized")),
        Err(why) => {
            tracing::warn!(why, path = parts.uri.path(), "authentication failed");
            Err(ApiError::unauthorized("Unauthorized"))
        }
    }
}

/// The request as authorization sees it.
pub fn attributes(info: &RequestInfo, query: &Query, user: &Arc<User>) -> Attributes {
    Attributes {
        user: user.clone(),
        verb: info.verb.clone(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        path: info.path.clone(),
        field_selector: query.get("fieldSelector").unwrap_or_default().to_owned(),
    }
}
