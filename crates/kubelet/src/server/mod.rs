//! The kubelet's HTTPS server: logs, exec, attach, port-forward, pods, figures.
//!
//! A caller shows who it is by a client certificate or a token, and the API says what it may do ([`auth`]). Streams
//! are not understood here: the upgraded connection is handed through to the runtime's own streaming server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
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

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long connections may go on after the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

type Body = BoxBody<Bytes, std::io::Error>;

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
    acceptor: TlsAcceptor,
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
        Ok(Self { listener, acceptor: TlsAcceptor::from(tls.config), handler })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop`; connections then have a short while to end.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = self.handler.tasks.clone();
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "connection not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (acceptor, handler, stop) = (self.acceptor.clone(), self.handler.clone(), stop.clone());
            tasks.spawn(async move { serve(stream, acceptor, handler, stop).await });
        }
        self.handler.closing.cancel();
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::info!("connections to the kubelet are cut off");
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, handler: Arc<Handler>, stop: CancellationToken) {
    let tls = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let caller = tls.get_ref().1.peer_certificates().and_then(|chain| auth::user_of(chain.first()?));
    let answer = service_fn(move |request| {
        let (handler, caller) = (handler.clone(), caller.clone());
        async move { Ok::<_, Infallible>(handler.handle(request, caller).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(tls), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection to the kubelet ended");
    }
}

impl Handler {
    async fn handle(&self, request: Request<Incoming>, caller: Option<auth::User>) -> Response<Body> {
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

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let body = Full::new(Bytes::from(text.into())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = text(StatusCode::OK, value.to_string());
    let kind = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
