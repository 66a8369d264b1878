//! The demo's web server: `/` (the page), `/plain` (one line of text) and `/healthz`.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::DemoPage;

/// How many connections are served at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long a client may take for the header of a request.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Serves the page until `stop`; then requests under way are finished.
pub async fn serve(listener: TcpListener, page: DemoPage, stop: CancellationToken) {
    let (page, connections) = (Arc::new(page), TaskTracker::new());
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&places, &listener) => accepted,
        };
        match accepted {
            Ok((place, stream)) => {
                let (page, stop) = (page.clone(), stop.clone());
                connections.spawn(async move {
                    serve_connection(stream, page, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// Cancel-safe: a place that was taken is given back.
async fn accept(
    places: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(OwnedSemaphorePermit, TcpStream)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((place, stream))
}

async fn serve_connection(stream: TcpStream, page: Arc<DemoPage>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let page = page.clone();
        async move { Ok::<_, Infallible>(respond(&page, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn respond<B>(page: &DemoPage, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => response(StatusCode::OK, HTML, page.html(&page.greeting().await)),
        "/plain" => response(StatusCode::OK, TEXT, page.plain(&page.greeting().await)),
        "/healthz" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        _ => response(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: SocketAddr, request_line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("{request_line} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("received");
        answer
    }

    #[tokio::test]
    async fn a_changed_greeting_shows_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let greeting_file = dir.path().join("greeting");
        let page = DemoPage {
            pod: "demo-1".into(),
            node: "n1".into(),
            greeting_file: greeting_file.clone(),
            ..DemoPage::default()
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
        let (address, stop) = (listener.local_addr().expect("an address"), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, page, stop.clone()));

        assert!(get(address, "GET /plain").await.contains("demo-1 n1 (no greeting: "));
        for text in ["Hello\nthere\n", "你好"] {
            std::fs::write(&greeting_file, text).expect("written");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(get(address, "GET /plain").await.ends_with(&format!("\r\n\r\ndemo-1 n1 {words}\n")));
            assert!(get(address, "GET /").await.contains(&format!("<h1>{}</h1>", text.trim_end())));
        }
        for (request, status) in [
            ("GET /healthz", "HTTP/1.1 200"),
            ("HEAD /", "HTTP/1.1 200"),
            ("GET /absent", "HTTP/1.1 404"),
            ("POST /", "HTTP/1.1 405"),
        ] {
            assert!(get(address, request).await.starts_with(status), "{request}");
        }
        stop.cancel();
        serving.await.expect("no panic");
    }
}
