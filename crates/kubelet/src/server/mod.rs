//! The kubelet's HTTPS server: logs, exec, attach, port-forward, pods, figures.
//!
//! A caller shows who it is by a client certificate or a token, and the API says what it may do ([`auth`]). Streams
//! are not understood here: the upgraded connection is handed through to the runtime's own streaming server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use steersman_secure_serving::delegation::User;
use steersman_secure_serving::server::{Body, Certificates, serve, text, typed};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub mod auth;
mod containers;
pub mod route;
mod stats;
mod streams;

use crate::pods::Pods;
use crate::shared::Shared;
use auth::{Auth, Decision};
use route::Route;

/// How long streams may go on after the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// TLS of the server: its certificate, and the authority of client certificates, which are asked for but not
/// required (a token will do).
#[derive(Clone)]
pub struct ServerTls {
    /// Made by whoever has the keys.
    pub config: Arc<rustls::ServerConfig>,
}

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address}")]
pub struct ServerError {
    /// Where.
    pub address: SocketAddr,
    source: std::io::Error,
}

/// The server, listening.
pub struct Server {
    listener: TcpListener,
    tls: ServerTls,
    handler: Arc<Handler>,
}

struct Handler {
    shared: Arc<Shared>,
    pods: Arc<Pods>,
    auth: Auth,
    tasks: TaskTracker,
    /// Ends streams that would go on for ever.
    closing: CancellationToken,
}

impl Server {
    /// Listens where the configuration says.
    pub async fn bind(shared: Arc<Shared>, pods: Arc<Pods>, tls: ServerTls) -> Result<Self, ServerError> {
        let address = shared.config.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ServerError { address, source })?;
        let auth = Auth::new(shared.client.clone(), &shared.config.node_name);
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let handler = Arc::new(Handler { shared, pods, auth, tasks, closing });
        Ok(Self { listener, tls, handler })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop`; connections and streams then have a short while to end.
    pub async fn run(self, stop: CancellationToken) {
        let Self { listener, tls, handler } = self;
        let (tasks, closing) = (handler.tasks.clone(), handler.closing.clone());
        let ending = async {
            stop.cancelled().await;
            closing.cancel();
            tasks.close();
            if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
                tracing::info!("connections to the kubelet are cut off");
            }
        };
        tokio::join!(serve(listener, tls.config, handler, stop.clone()), ending);
    }
}

impl steersman_secure_serving::server::Handler for Handler {
    async fn handle(&self, request: Request<Incoming>, certificates: Certificates) -> Response<Body> {
        // The handshake has verified what was shown.
        let caller = certificates.first().and_then(User::of_certificate);
        self.answer(request, caller).await
    }
}

impl Handler {
    async fn answer(&self, request: Request<Incoming>, caller: Option<User>) -> Response<Body> {
        match self.auth.decide(&request, caller).await {
            Decision::Allowed => {}
            Decision::Unknown => return text(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Decision::Forbidden(message) => return text(StatusCode::FORBIDDEN, message),
            Decision::Failed(message) => return text(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
        let Some(route) = route::route(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        let query = route::query(request.uri().query());
        match route {
            Route::Healthz => text(StatusCode::OK, "ok"),
            Route::Pods => self.list_pods(),
            Route::Logs(place) => self.logs(&place, &query).await,
            Route::Run(_) if request.method() != Method::POST => {
                text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
            Route::Run(place) => self.run_command(&place, &query).await,
            Route::Exec(place) => self.exec(request, &place, &query).await,
            Route::Attach(place) => self.attach(request, &place, &query).await,
            Route::PortForward(place) => self.port_forward(request, &place, &query).await,
            Route::Stats => self.stats().await,
            Route::Metrics => self.metrics().await,
            Route::ResourceMetrics => self.resource_metrics().await,
        }
    }

    fn list_pods(&self) -> Response<Body> {
        let pods = self.pods.list();
        let items: Vec<_> = pods.iter().map(AsRef::as_ref).collect();
        json(&serde_json::json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }))
    }
}

fn json(value: &serde_json::Value) -> Response<Body> {
    typed(StatusCode::OK, http::HeaderValue::from_static("application/json"), value.to_string())
}
