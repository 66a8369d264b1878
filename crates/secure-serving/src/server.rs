//! An HTTPS server: takes connections, does the handshake, hands requests to a handler, and ends in an orderly way.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for a request's head.
const HEADER: Duration = Duration::from_secs(32);
/// How long connections may go on after the server is told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// A failed accept is tried again after this: the usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers carry.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// The certificates that a client showed, leaf first; empty if none. Whether they are verified depends on the server's
/// TLS configuration.
pub type Certificates = Arc<Vec<CertificateDer<'static>>>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request of the peer that showed `certificates`.
    fn handle(
        &self,
        request: Request<Incoming>,
        certificates: Certificates,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves the connections of `listener` until `stop`; connections then have a short while to end. What a handler does
/// with an upgraded connection is its own.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    handler: Arc<impl Handler>,
    stop: CancellationToken,
) {
    let (acceptor, connections) = (TlsAcceptor::from(tls), TaskTracker::new());
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        connections.spawn(connection(stream, acceptor.clone(), handler.clone(), stop.clone()));
    }
    drop(listener);
    connections.close();
    // Each connection ends by itself after the same time.
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    handler: Arc<impl Handler>,
    stop: CancellationToken,
) {
    let accepted = tokio::select! {
        () = stop.cancelled() => return,
        accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => accepted,
    };
    let tls = match accepted {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let shown = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates: Certificates = Arc::new(shown.iter().map(|c| c.clone().into_owned()).collect());
    let answer = service_fn(move |request| {
        let (handler, certificates) = (handler.clone(), certificates.clone());
        async move { Ok::<_, Infallible>(handler.handle(request, certificates).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(tls), answer);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, serving.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => return tracing::debug!("a connection is cut off"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// An answer of plain text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    typed(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.into())
}

/// An answer of any text.
pub fn typed(status: StatusCode, media_type: HeaderValue, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
