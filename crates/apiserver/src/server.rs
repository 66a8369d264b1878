//! The server: its parts, its in-process handler, and its life.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use steersman_store::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::audit::Audit;
use crate::bootstrap;
use crate::chain;
use crate::config::{Component, Config, HealthCheck, IssuerDocuments, StartError, Version};
use crate::connect::Kubelets;
use crate::custom::Definitions;
use crate::documents::DocumentCache;
use crate::flow_control::FlowControl;
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::request::{Admission, Authenticator, Authorizer, Creator};
use crate::storage::Storage;
use crate::wire::body::{self, BoxError, Response};

/// Group, resource and subresource.
pub(crate) type Target = (&'static str, &'static str, &'static str);

/// What every request sees.
pub struct Inner {
    pub(crate) storage: Arc<Storage>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) documents: DocumentCache,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) audit: Option<Arc<Audit>>,
    pub(crate) flow_control: Option<Arc<FlowControl>>,
    pub(crate) admission: Vec<Box<dyn Admission>>,
    pub(crate) creators: BTreeMap<Target, Arc<dyn Creator>>,
    pub(crate) version: Version,
    pub(crate) issuer: Option<IssuerDocuments>,
    pub(crate) health: Vec<HealthCheck>,
    pub(crate) components: Vec<Component>,
    pub(crate) metrics: Metrics,
    pub(crate) kubelets: Kubelets,
    /// Ends watches and tunnels.
    pub(crate) stop: CancellationToken,
    /// Writes under way: they outlive their clients.
    pub(crate) writes: TaskTracker,
    /// The tunnels of upgraded connections.
    pub(crate) tunnels: TaskTracker,
    /// What the hooks do beside requests.
    pub(crate) background: TaskTracker,
}

/// An API server. Clones share it.
#[derive(Clone)]
pub struct ApiServer(pub(crate) Arc<Inner>);

impl ApiServer {
    /// Makes a server and creates what must exist in every cluster: the default namespaces and the `kubernetes`
    /// service with its endpoints.
    pub async fn new(config: Config) -> Result<Self, StartError> {
        let creators =
            config.creators.into_iter().map(|c| ((c.group, c.resource, c.subresource), c.creator)).collect();
        let server = Self(Arc::new(Inner {
            documents: DocumentCache::default(),
            definitions: Arc::new(Definitions::new(config.storage.clone())),
            storage: config.storage,
            authenticator: config.authenticator,
            authorizer: config.authorizer,
            audit: config.audit,
            flow_control: config.flow_control,
            admission: config.admission,
            creators,
            version: config.version,
            issuer: config.issuer,
            health: config.health,
            components: config.components,
            metrics: Metrics::default(),
            kubelets: Kubelets::new(config.kubelet_tls),
            stop: CancellationToken::new(),
            writes: TaskTracker::new(),
            tunnels: TaskTracker::new(),
            background: TaskTracker::new(),
        }));
        bootstrap::ensure(&server, config.advertise, config.service_address).await?;
        for hooks in server.hooks() {
            server.0.background.spawn(hooks.run(server.clone(), bootstrap::user()));
        }
        Ok(server)
    }

    /// The hooks of the built-in resources.
    pub(crate) fn hooks(&self) -> Vec<Arc<dyn Hooks>> {
        self.0.storage.routes().all().map(|entry| entry.hooks.clone()).collect()
    }

    /// The server as a function from request to answer, for clients in the same process. A [`crate::request::User`]
    /// in the request's extensions is believed; authorization and admission hold all the same.
    pub fn handler(&self) -> Handler {
        Handler(self.0.clone())
    }

    /// Ends all watches and tunnels and waits for them and for writes under way. Requests of in-process clients are
    /// still answered.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.background.close();
        self.0.background.wait().await;
        self.0.writes.close();
        self.0.writes.wait().await;
        self.0.tunnels.close();
        self.0.tunnels.wait().await;
    }
}

/// See [`ApiServer::handler`].
#[derive(Clone)]
pub struct Handler(Arc<Inner>);

impl<B> Service<Request<B>> for Handler
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.0.clone();
        let request = request.map(body::incoming);
        Box::pin(async move { Ok(chain::handle(inner, request).await) })
    }
}
