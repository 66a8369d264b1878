//! One request's event, from stage to stage.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steersman_api::{protobuf, yaml};
use steersman_apimachinery::Tree;

use super::log::Audit;
use super::policy::{Level, Stage, Wanted};
use crate::codec::Definition;
use crate::listen::PeerAddress;
use crate::request::User;
use crate::wire::body::{self, Body, BoxError, Response};
use crate::wire::info::RequestInfo;
use crate::wire::negotiate::Encoding;

/// Longer user agents are cut.
const LONGEST_USER_AGENT: usize = 1024;

/// One request's event. If it is dropped before the request is answered, the client has left.
pub struct Trail {
    audit: Arc<Audit>,
    wanted: Wanted,
    event: Map<String, Value>,
    done: bool,
}

impl Trail {
    /// Begins the event of a request and writes its first stage; `None` if nothing is wanted of it. `user` is who sends
    /// it, before impersonation; `None` if that is not known.
    pub fn begin(
        audit: &Arc<Audit>,
        id: &str,
        info: &RequestInfo,
        parts: &Parts,
        user: Option<&User>,
    ) -> Option<Self> {
        let wanted = audit.policy.wanted(info, user);
        if wanted.level == Level::None {
            return None;
        }
        let mut event = Map::new();
        let mut set = |field: &str, value: Value| drop(event.insert(field.to_owned(), value));
        set("kind", "Event".into());
        set("apiVersion", "audit.k8s.io/v1".into());
        set("level", json!(wanted.level));
        set("auditID", id.into());
        set("requestURI", parts.uri.path_and_query().map_or("", |uri| uri.as_str()).into());
        set("verb", info.verb.clone().into());
        set("user", user.map_or_else(|| json!({}), user_info));
        let sources = source_addresses(parts);
        if !sources.is_empty() {
            set("sourceIPs", sources.into());
        }
        let agent = user_agent(&parts.headers);
        if !agent.is_empty() {
            set("userAgent", agent.into());
        }
        if info.is_resource {
            set("objectRef", object_reference(info));
        }
        set("requestReceivedTimestamp", now());
        let mut trail = Self { audit: audit.clone(), wanted, event, done: false };
        if user.is_some() {
            trail.write(Stage::RequestReceived);
        }
        Some(trail)
    }

    /// The request is made on behalf of somebody else.
    pub fn impersonated(&mut self, user: &User) {
        self.event.insert("impersonatedUser".to_owned(), user_info(user));
    }

    /// What authorization said.
    pub fn authorized(&mut self, allowed: bool, reason: &str) {
        let annotations = self.event.entry("annotations").or_insert_with(|| json!({}));
        annotations["authorization.k8s.io/decision"] = if allowed { "allow" } else { "forbid" }.into();
        annotations["authorization.k8s.io/reason"] = reason.into();
    }

    /// What was sent.
    pub fn request(&mut self, info: &RequestInfo, sent: &[u8], definition: &Definition) {
        let unnamed = info.verb == "create" && info.name.is_empty();
        if sent.is_empty() || (self.wanted.level < Level::Request && !unnamed) {
            return;
        }
        let Some(mut object) = decoded(sent, Some(definition)) else { return };
        if unnamed && let Some(name) = object.pointer("/metadata/name").filter(|name| name.is_string()) {
            self.event["objectRef"]["name"] = name.clone();
        }
        if self.wanted.level >= Level::Request {
            self.strip(&mut object);
            self.event.insert("requestObject".to_owned(), object);
        }
    }

    /// The request failed, and the client gets this `Status`.
    pub fn failed(&mut self, status: Tree) {
        let mut status = status;
        if let Some(fields) = status.as_object_mut() {
            fields.retain(|field, _| !matches!(field.as_str(), "kind" | "apiVersion"));
        }
        self.event.insert("responseStatus".to_owned(), status);
    }

    /// The handler panicked.
    pub fn panicked(mut self, what: &str) {
        self.failed(json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("APIServer panic'd: {what}"),
        }));
        self.done = true;
        self.write(Stage::Panic);
    }

    /// Nobody knows who sends the request.
    pub fn unauthenticated(mut self, headers: &HeaderMap) {
        let sent = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let message = match sent.and_then(|value| value.split(' ').next()) {
            Some(method) if method.eq_ignore_ascii_case("bearer") => {
                "Authentication failed, attempted: bearer"
            }
            Some(method) if method.eq_ignore_ascii_case("basic") => "Authentication failed, attempted: basic",
            _ => "Authentication failed, no credentials provided",
        };
        self.failed(json!({
            "metadata": {}, "status": "Failure", "reason": "Unauthorized", "code": 401, "message": message,
        }));
        self.done = true;
        self.write(Stage::ResponseStarted);
    }

    /// The answer is there. That of a long-running request is complete when its body ends.
    pub async fn answered(mut self, long_running: bool, response: Response) -> Response {
        let code = response.status().as_u16();
        let status = self.event.entry("responseStatus").or_insert_with(|| json!({"metadata": {}}));
        status["code"] = code.into();
        if long_running {
            self.write(Stage::ResponseStarted);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return response;
            }
            let trail = Some(self);
            return response.map(|inner| Body::new(Followed { inner, trail }));
        }
        let response = match self.wanted.level {
            Level::RequestResponse => self.read(response).await,
            _ => response,
        };
        self.done = true;
        self.write(Stage::ResponseComplete);
        response
    }

    /// Takes what is answered into the event. It is in memory already.
    async fn read(&mut self, response: Response) -> Response {
        let (parts, answered) = response.into_parts();
        let bytes = match answered.collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => {
                tracing::warn!(error, "an answer ended early");
                Bytes::new()
            }
        };
        let plain =
            if parts.headers.contains_key(CONTENT_ENCODING) { unzipped(&bytes) } else { Some(bytes.clone()) };
        if let Some(mut object) = plain.and_then(|plain| decoded(&plain, None)).filter(Value::is_object) {
            self.strip(&mut object);
            self.event.insert("responseObject".to_owned(), object);
        }
        Response::from_parts(parts, body::whole(bytes))
    }

    /// Leaves out what the policy does not want of an object or a list.
    fn strip(&self, object: &mut Value) {
        if !self.wanted.omit_managed_fields {
            return;
        }
        let remove = |object: &mut Value| {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        };
        remove(object);
        if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
            items.iter_mut().for_each(remove);
        }
        if let Some(rows) = object.get_mut("rows").and_then(Value::as_array_mut) {
            rows.iter_mut().filter_map(|row| row.get_mut("object")).for_each(remove);
        }
    }

    fn write(&mut self, stage: Stage) {
        if self.wanted.omit_stages.contains(&stage) {
            return;
        }
        self.event.insert("stage".to_owned(), json!(stage));
        self.event.insert("stageTimestamp".to_owned(), now());
        self.audit.write(&self.event);
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let early = || json!({"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200});
        self.event.entry("responseStatus").or_insert_with(early);
        self.write(Stage::ResponseComplete);
    }
}

/// A body whose end, however it comes, completes a trail.
struct Followed {
    inner: Body,
    trail: Option<Trail>,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(None) = polled {
            drop(self.trail.take());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a body says, in whichever encoding; `None` if it cannot be read.
fn decoded(bytes: &[u8], definition: Option<&Definition>) -> Option<Value> {
    if protobuf::is_protobuf(bytes) {
        return match definition {
            Some(definition) => definition.decode(bytes, Encoding::Protobuf).ok().map(|decoded| decoded.tree),
            None => protobuf::decode(bytes).ok().map(|(tree, _)| tree),
        };
    }
    serde_json::from_slice(bytes).ok().or_else(|| yaml::parse(bytes).ok().map(|document| document.tree))
}

fn unzipped(bytes: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn object_reference(info: &RequestInfo) -> Value {
    let fields = [
        ("resource", &info.resource),
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("apiVersion", &info.version),
        ("subresource", &info.subresource),
    ];
    let set = fields.into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(field, value)| (field.to_owned(), Value::from(value.clone()))).collect::<Map<_, _>>().into()
}

/// Where the request came from, the client first: as proxies tell, then who is connected.
fn source_addresses(parts: &Parts) -> Vec<String> {
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let forwarded = header("x-forwarded-for").split(',').map(str::trim);
    let real = forwarded.chain([header("x-real-ip").trim()]);
    let mut found: Vec<String> = Vec::new();
    let connected = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_canonical());
    for address in real.filter_map(|address| address.parse().ok()).chain(connected) {
        let address = std::net::IpAddr::to_string(&address);
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let agent = agent.unwrap_or_default();
    match agent.char_indices().nth(LONGEST_USER_AGENT) {
        Some((end, _)) => format!("{}...TRUNCATED", &agent[..end]),
        None => agent.into_owned(),
    }
}

/// Now, as `metav1.MicroTime`.
fn now() -> Value {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into()
}
