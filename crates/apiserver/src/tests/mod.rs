//! The server as a whole, through its in-process handler: the real resource table over a store in memory.

mod crud;
mod custom;
mod deleting;
mod documents;
mod in_process;
mod kinds;
mod kubectl;
mod listing;
mod serving;
mod special;
mod surface;
mod watching;
mod workloads;

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_store::{BoxFuture, MemoryStore, Store};
use tower::Service;

use crate::audit::Audit;
use crate::flow_control::FlowControl;
use crate::request::{Attributes, Authenticator, Authorizer, Decision, User};
use crate::wire::body::{self, Body};
use crate::{
    AddressRange, ApiServer, Component, Config, HookTable, Place, ServiceAllocations, Storage, Version,
};

/// Knows nobody.
struct NoCredentials;

impl Authenticator for NoCredentials {
    fn authenticate<'a>(
        &'a self,
        _: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<User>, String>> {
        Box::pin(async { Ok(None) })
    }
}

/// Takes everybody for `admin`.
struct Everybody;

impl Authenticator for Everybody {
    fn authenticate<'a>(
        &'a self,
        _: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<User>, String>> {
        let user = User { name: "admin".to_owned(), ..User::default() };
        Box::pin(async move { Ok(Some(user)) })
    }
}

/// Allows everything to everybody but the user `nobody`.
struct AllButNobody;

impl Authorizer for AllButNobody {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        match attributes.user.name.as_str() {
            "nobody" => Decision::NoOpinion { reason: String::new() },
            _ => Decision::Allow { reason: String::new() },
        }
    }
}

/// A port of this machine that nothing listens at.
async fn nobody_listens() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A server over an empty store.
pub struct Harness {
    pub server: ApiServer,
}

/// An answer, read to its end.
pub struct Answer {
    pub code: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The object, or a panic with what the server said instead.
    pub fn ok(&self) -> Value {
        assert!(self.code.is_success(), "{}: {}", self.code, String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Code, reason and message of a failure.
    pub fn failure(&self) -> (u16, String, String) {
        let status = self.json();
        assert_eq!(status["kind"], "Status", "{status}");
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        (self.code.as_u16(), text("reason"), text("message"))
    }
}

impl Harness {
    pub async fn new() -> Self {
        Self::start(None, Arc::new(NoCredentials), None, None).await
    }

    /// A server with priority and fairness; the test runs it.
    pub async fn limited(flow_control: Arc<FlowControl>) -> Self {
        Self::start(None, Arc::new(NoCredentials), Some(flow_control), None).await
    }

    /// A server with an audit log; the test runs it.
    pub async fn audited(audit: Arc<Audit>) -> Self {
        Self::start(None, Arc::new(NoCredentials), None, Some(audit)).await
    }

    /// A server that reaches kubelets; `open` takes everybody for `admin`.
    pub async fn with_kubelets(tls: Arc<rustls::ClientConfig>, open: bool) -> Self {
        let authenticator: Arc<dyn Authenticator> =
            if open { Arc::new(Everybody) } else { Arc::new(NoCredentials) };
        Self::start(Some(tls), authenticator, None, None).await
    }

    async fn start(
        kubelet_tls: Option<Arc<rustls::ClientConfig>>,
        authenticator: Arc<dyn Authenticator>,
        flow_control: Option<Arc<FlowControl>>,
        audit: Option<Arc<Audit>>,
    ) -> Self {
        let range = AddressRange::new([10, 96, 0, 0].into(), 16).expect("a range");
        let store = Arc::new(MemoryStore::default());
        Self::build(store, range, 30000..=32767, kubelet_tls, authenticator, flow_control, audit).await
    }

    /// A server over what is stored already, whose services get addresses and node ports of these ranges.
    pub async fn over(store: Arc<dyn Store>, range: AddressRange, ports: RangeInclusive<u16>) -> Self {
        Self::build(store, range, ports, None, Arc::new(NoCredentials), None, None).await
    }

    async fn build(
        store: Arc<dyn Store>,
        range: AddressRange,
        ports: RangeInclusive<u16>,
        kubelet_tls: Option<Arc<rustls::ClientConfig>>,
        authenticator: Arc<dyn Authenticator>,
        flow_control: Option<Arc<FlowControl>>,
        audit: Option<Arc<Audit>>,
    ) -> Self {
        let mut hooks = HookTable::new();
        hooks.set("", "services", Arc::new(ServiceAllocations::new(range, ports)));
        let storage = Arc::new(Storage::new(store, steersman_registry::resources(), &hooks));
        let server = ApiServer::new(Config {
            storage,
            authenticator,
            authorizer: Arc::new(AllButNobody),
            audit,
            flow_control,
            admission: Vec::new(),
            creators: Vec::new(),
            version: Version::default(),
            kubelet_tls,
            advertise: ([192, 0, 2, 1], 6443).into(),
            service_address: range.first().into(),
            issuer: None,
            health: Vec::new(),
            components: vec![
                Component { name: "scheduler", place: Place::SameProcess },
                Component { name: "controller-manager", place: Place::Port(nobody_listens().await) },
            ],
        })
        .await
        .expect("starts");
        Self { server }
    }

    /// A request by the user `admin`.
    pub fn request(method: &str, uri: &str) -> http::request::Builder {
        let user = User { name: "admin".to_owned(), ..User::default() };
        Request::builder().method(method).uri(uri).extension(user).header("user-agent", "test/1")
    }

    /// Sends a request and gives the answer's head and body as they come.
    pub async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        self.server.handler().call(request).await.unwrap_or_else(|never| match never {})
    }

    pub async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.send(request).await.into_parts();
        let body = body.collect().await.expect("the body ends").to_bytes();
        Answer { code: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.answer(Self::request("GET", uri).body(body::empty()).expect("a request")).await
    }

    pub async fn delete(&self, uri: &str) -> Answer {
        self.answer(Self::request("DELETE", uri).body(body::empty()).expect("a request")).await
    }

    pub async fn with_body(&self, method: &str, uri: &str, media: &str, body: &[u8]) -> Answer {
        let request = Self::request(method, uri).header("content-type", media);
        self.answer(request.body(body::whole(body.to_vec())).expect("a request")).await
    }

    pub async fn post(&self, uri: &str, object: &Tree) -> Answer {
        self.with_body("POST", uri, "application/json", object.to_string().as_bytes()).await
    }

    pub async fn put(&self, uri: &str, object: &Tree) -> Answer {
        self.with_body("PUT", uri, "application/json", object.to_string().as_bytes()).await
    }

    pub async fn patch(&self, uri: &str, media: &str, patch: &Tree) -> Answer {
        self.with_body("PATCH", uri, media, patch.to_string().as_bytes()).await
    }
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub fn config_map(name: &str) -> Tree {
    serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}
