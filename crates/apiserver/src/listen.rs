//! Serving over TLS: HTTP/1.1 and HTTP/2 as clients of Kubernetes need them, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::request::PeerCertificates;
use crate::server::ApiServer;
use crate::wire::body::Response;

/// How much of one stream a peer may send before it is read, as upstream sets it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection: many watches share one.
const CONNECTION_WINDOW: u32 = 25 * 1024 * 1024;
/// Watches linger: a client's reflectors alone need hundreds.
const CONCURRENT_STREAMS: u32 = 4096;
/// A peer that says nothing for so long is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
/// How long open requests have to finish once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A failed accept is tried again after this: the usual cause is too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why serving ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not say where it listens.
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}

impl ApiServer {
    /// Serves connections of `listener` until `stop` is cancelled, then lets open requests finish, ends watches and
    /// tunnels, and returns. `tls` decides which client certificates are asked for; ALPN is set here.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: rustls::ServerConfig,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving the API");
        let mut tls = tls;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            // Nothing is lost when a branch is dropped: an accepted connection is handed over at once.
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let serving = connection(self.clone(), acceptor.clone(), (stream, peer), graceful.watcher());
                        connections.spawn(serving);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => report(ended),
            }
        }
        drop(listener);
        self.drain(connections, graceful).await;
        Ok(())
    }

    async fn drain(&self, mut connections: JoinSet<()>, graceful: GracefulShutdown) {
        self.0.stop.cancel();
        let finish = async {
            graceful.shutdown().await;
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
            self.shutdown().await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, finish).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Who is connected; an extension of each request of a connection.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

async fn connection(
    server: ApiServer,
    acceptor: TlsAcceptor,
    (stream, peer): (TcpStream, SocketAddr),
    watcher: Watcher,
) {
    // Small frames of watches must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let certificates = certificates(&stream);
    let tracker = server.0.tunnels.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        answer(server.clone(), certificates.clone(), request)
    });
    let http = protocol(Tracked(tracker));
    let serving = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let serving = watcher.watch(serving.into_owned());
    if let Err(error) = serving.await {
        tracing::debug!(error, "a connection ended with an error");
    }
}

async fn answer(
    server: ApiServer,
    certificates: Option<PeerCertificates>,
    mut request: Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    // Only a client in the same process may say who it is.
    request.extensions_mut().remove::<crate::request::User>();
    if let Some(certificates) = certificates {
        request.extensions_mut().insert(certificates);
    }
    server.handler().call(request).await
}

fn certificates(stream: &TlsStream<TcpStream>) -> Option<PeerCertificates> {
    let shown = stream.get_ref().1.peer_certificates()?;
    Some(PeerCertificates(Arc::new(shown.iter().map(|c| c.clone().into_owned()).collect())))
}

/// Runs the streams of HTTP/2 connections where the server's end waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

fn protocol(executor: Tracked) -> auto::Builder<Tracked> {
    let mut http = auto::Builder::new(executor);
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(true);
    http.http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}
