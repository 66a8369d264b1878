//! Health checks of services whose outside traffic is local: load balancers ask which nodes have ready pods.
//!
//! Each such service has a port of its own, the same on every node, which answers any request with 200 where there is a
//! ready pod and 503 where there is none.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use steersman_controller_runtime::ObjectKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::HealthCheck;

/// How many load balancers may be connected to one port; the next one waits to be accepted.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(30);
/// The pause after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A health check's port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address}:{port} for health checks of {service}")]
pub struct HealthError {
    service: ObjectKey,
    address: Ipv4Addr,
    port: u16,
    source: io::Error,
}

/// The open ports.
pub(crate) struct HealthServers {
    address: Ipv4Addr,
    running: HashMap<ObjectKey, Running>,
}

struct Running {
    port: u16,
    local_endpoints: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl HealthServers {
    /// Ports of this address, none yet.
    pub fn new(address: Ipv4Addr) -> Self {
        Self { address, running: HashMap::new() }
    }

    /// The health check of a service is now this one; `None` if it has none. Returns when the port is open, or closed.
    pub async fn set(&mut self, service: &ObjectKey, check: Option<HealthCheck>) -> Result<(), HealthError> {
        let port = check.as_ref().map(|check| check.port);
        if self.running.get(service).is_some_and(|running| Some(running.port) != port)
            && let Some(running) = self.running.remove(service)
        {
            running.close().await;
        }
        let Some(HealthCheck { port, local_endpoints }) = check else { return Ok(()) };
        if let Some(running) = self.running.get(service) {
            running.local_endpoints.store(local_endpoints, Ordering::Relaxed);
            return Ok(());
        }
        let running = self.open(service, port, local_endpoints).await.map_err(|source| HealthError {
            service: service.clone(),
            address: self.address,
            port,
            source,
        })?;
        self.running.insert(service.clone(), running);
        Ok(())
    }

    /// Closes all ports.
    pub async fn close(&mut self) {
        for (_, running) in self.running.drain() {
            running.close().await;
        }
    }

    async fn open(&self, service: &ObjectKey, port: u16, local_endpoints: usize) -> io::Result<Running> {
        let listener = TcpListener::bind((self.address, port)).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let local_endpoints = Arc::new(AtomicUsize::new(local_endpoints));
        let answering = Answering { service: service.clone(), local_endpoints: local_endpoints.clone() };
        tasks.spawn(serve(listener, answering, tasks.clone(), stop.clone()));
        Ok(Running { port, local_endpoints, stop, tasks })
    }
}

impl Running {
    async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What is answered.
#[derive(Clone)]
struct Answering {
    service: ObjectKey,
    local_endpoints: Arc<AtomicUsize>,
}

impl Answering {
    fn response(&self) -> Response<Full<Bytes>> {
        let count = self.local_endpoints.load(Ordering::Relaxed);
        let status = if count > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let ObjectKey { namespace, name } = &self.service;
        let body = format!(
            "{{\n\t\"service\": {{\n\t\t\"namespace\": {namespace:?},\n\t\t\"name\": {name:?}\n\t}},\n\t\
             \"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": true\n}}"
        );
        Response::builder()
            .status(status)
            .header("Content-Type", "application/json")
            .header("X-Content-Type-Options", "nosniff")
            .header("X-Load-Balancing-Endpoint-Weight", count)
            .body(Full::new(Bytes::from(body)))
            .expect("the parts are valid")
    }
}

async fn serve(listener: TcpListener, answering: Answering, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&places, &listener) => accepted,
        };
        match accepted {
            Ok((place, stream)) => {
                let (answering, stop) = (answering.clone(), stop.clone());
                tasks.spawn(async move {
                    converse(stream, answering, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, service = %answering.service, "could not accept a health check");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Cancel-safe: a place that was taken is given back.
async fn accept(
    places: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((place, stream))
}

async fn converse(stream: TcpStream, answering: Answering, stop: CancellationToken) {
    let service = service_fn(|_| std::future::ready(Ok::<_, Infallible>(answering.response())));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    // Answers are made at once, so that nothing is lost when a connection is dropped.
    tokio::select! {
        () = stop.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, service = %answering.service, "a health check's connection broke");
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(port: u16) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    async fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        listener.local_addr().expect("an address").port()
    }

    #[tokio::test]
    async fn a_port_says_whether_there_are_ready_pods() {
        let (key, port) = (ObjectKey::new("ns", "web"), free_port().await);
        let mut servers = HealthServers::new(Ipv4Addr::LOCALHOST);
        let check = |port, local_endpoints| Some(HealthCheck { port, local_endpoints });
        servers.set(&key, check(port, 2)).await.expect("opened");
        let answer = ask(port).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        for header in ["content-type: application/json", "x-load-balancing-endpoint-weight: 2"] {
            assert!(head.contains(header), "{head}");
        }
        let want = "{\n\t\"service\": {\n\t\t\"namespace\": \"ns\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\
                    \"serviceProxyHealthy\": true\n}";
        assert_eq!(body, want);

        servers.set(&key, check(port, 0)).await.expect("open already");
        assert!(ask(port).await.expect("answered").starts_with("HTTP/1.1 503 "));
        let other = ObjectKey::new("ns", "other");
        let error = servers.set(&other, check(port, 1)).await.expect_err("taken");
        assert_eq!(
            error.to_string(),
            format!("could not listen on 127.0.0.1:{port} for health checks of ns/other")
        );

        let moved = free_port().await;
        servers.set(&key, check(moved, 1)).await.expect("moved");
        assert!(ask(port).await.is_err() && ask(moved).await.is_ok());
        servers.set(&key, None).await.expect("closed");
        assert!(ask(moved).await.is_err());
        servers.set(&key, check(moved, 1)).await.expect("opened again");
        servers.close().await;
        assert!(ask(moved).await.is_err());
    }
}
