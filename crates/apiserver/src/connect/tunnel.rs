//! Forwarding one request: connect, ask the same, answer the same; after a change of protocol, bytes both ways.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, HOST, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::target::{Security, Target};
use super::{unreachable, wants_upgrade};
use crate::chain::Exchange;
use crate::server::Inner;
use crate::wire::body::{self, Body, Response};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a refusal's text is passed on.
const MAX_REFUSAL: usize = 10 * 1024;
/// Headers that are between two neighbours only.
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, UPGRADE, TE, TRAILER, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")];

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Forwards the request to `target` and gives its answer.
pub async fn forward(
    server: &Arc<Inner>,
    target: &Target,
    exchange: &mut Exchange,
    body: Body,
) -> Result<Response, ApiError> {
    let upgrade = wants_upgrade(&exchange.parts.headers);
    let client = exchange.parts.extensions.remove::<OnUpgrade>();
    if upgrade && client.is_none() {
        return Err(ApiError::bad_request("the connection cannot change its protocol: use HTTP/1.1"));
    }
    let stream = connect(server, target).await?;
    let request = request(target, exchange, body, upgrade)?;
    let mut response = send(server, target, stream, request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or_else(|| ApiError::internal("the backend changed its protocol unasked"))?;
        join(server, client, hyper::upgrade::on(&mut response));
        let (parts, _) = response.into_parts();
        return Ok(http::Response::from_parts(parts, body::empty()));
    }
    if exchange.info.subresource == "log" && !response.status().is_success() {
        return Err(refusal(response).await);
    }
    Ok(answer(target, response))
}

fn failed(target: &Target, why: &dyn std::fmt::Display) -> ApiError {
    match target.security {
        Security::Kubelet => ApiError::new(500, "InternalError", format!("error dialing backend: {why}")),
        Security::Plain | Security::Unchecked => unreachable(format!("error trying to reach service: {why}")),
    }
}

async fn connect(server: &Inner, target: &Target) -> Result<Box<dyn Stream>, ApiError> {
    let connecting = async {
        let tcp = TcpStream::connect((target.host.as_str(), target.port)).await;
        let tcp =
            tcp.map_err(|e| failed(target, &format!("dial tcp {}:{}: {e}", target.host, target.port)))?;
        tcp.set_nodelay(true).map_err(ApiError::internal)?;
        let tls = match target.security {
            Security::Plain => return Ok(Box::new(tcp) as Box<dyn Stream>),
            Security::Unchecked => server.kubelets.unchecked(),
            Security::Kubelet => server
                .kubelets
                .kubelet()
                .ok_or_else(|| failed(target, &"this server has no certificate to show to kubelets"))?,
        };
        let name = ServerName::try_from(target.host.clone()).map_err(|e| failed(target, &e))?;
        let tls = tls.connect(name, tcp).await.map_err(|e| failed(target, &format!("tls: {e}")))?;
        Ok(Box::new(tls) as Box<dyn Stream>)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed(target, &format!("dial tcp {}:{}: i/o timeout", target.host, target.port))),
    }
}

fn request(
    target: &Target,
    exchange: &Exchange,
    body: Body,
    upgrade: bool,
) -> Result<Request<Body>, ApiError> {
    let method = if exchange.info.subresource == "log" { Method::GET } else { exchange.parts.method.clone() };
    let mut request = Request::builder()
        .method(method)
        .uri(&target.path)
        .body(body)
        .map_err(|e| ApiError::bad_request(format!("the path cannot be forwarded: {e}")))?;
    *request.headers_mut() = forwarded_headers(&exchange.parts.headers, upgrade);
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let host = HeaderValue::from_str(&format!("{host}:{}", target.port)).map_err(ApiError::internal)?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

/// What the client sent, less what was for this server alone: its credentials above all.
fn forwarded_headers(sent: &HeaderMap, upgrade: bool) -> HeaderMap {
    let mut headers = sent.clone();
    headers.remove(AUTHORIZATION);
    let protocol = sent.get(UPGRADE).cloned();
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(name)));
    if let Some(protocol) = protocol.filter(|_| upgrade) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    headers
}

async fn send(
    server: &Arc<Inner>,
    target: &Target,
    stream: Box<dyn Stream>,
    request: Request<Body>,
) -> Result<http::Response<Incoming>, ApiError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(target, &e))?;
    let stop = server.stop.clone();
    let connection: BoxFuture<'static, hyper::Result<()>> = Box::pin(connection.with_upgrades());
    // Ends with the answer's body, or hands the connection over when the protocol changes.
    server.tunnels.spawn(async move {
        if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
            tracing::debug!(%error, "a forwarded connection ended with an error");
        }
    });
    sender.send_request(request).await.map_err(|e| failed(target, &e))
}

/// Carries bytes both ways until one side ends or the server stops.
fn join(server: &Arc<Inner>, client: OnUpgrade, backend: OnUpgrade) {
    let stop = server.stop.clone();
    server.tunnels.spawn(async move {
        let carried = stop.run_until_cancelled(async {
            let (client, backend) = tokio::try_join!(client, backend).map_err(std::io::Error::other)?;
            carry(client, backend).await
        });
        if let Some(Err(error)) = carried.await {
            tracing::debug!(%error, "a tunnel ended with an error");
        }
    });
}

async fn carry(client: Upgraded, backend: Upgraded) -> std::io::Result<()> {
    const BUFFER: usize = 32 * 1024;
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER).await.map(drop)
}

/// The kubelet's refusal as a `Status`, as upstream words it.
async fn refusal(response: http::Response<Incoming>) -> ApiError {
    let (parts, body) = response.into_parts();
    let text = Limited::new(body, MAX_REFUSAL).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    match parts.status {
        StatusCode::BAD_REQUEST => ApiError::bad_request(text),
        StatusCode::INTERNAL_SERVER_ERROR => ApiError::internal(text),
        StatusCode::NOT_FOUND => {
            ApiError::new(404, "NotFound", "the server could not find the requested resource")
        }
        other => ApiError::new(other.as_u16(), "", text),
    }
}

fn answer(target: &Target, response: http::Response<Incoming>) -> Response {
    let (mut parts, body) = response.into_parts();
    HOP_BY_HOP.iter().for_each(|name| drop(parts.headers.remove(name)));
    let location = parts.headers.get(LOCATION).and_then(|l| l.to_str().ok()).filter(|l| l.starts_with('/'));
    if let Some(location) = location.filter(|_| !target.seen_as.is_empty())
        && let Ok(seen) = HeaderValue::from_str(&format!("{}{location}", target.seen_as))
    {
        parts.headers.insert(LOCATION, seen);
    }
    parts.version = http::Version::HTTP_11;
    http::Response::from_parts(parts, body::incoming(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_here_and_the_upgrade_goes_on() {
        let mut sent = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
        ] {
            sent.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        assert!(wants_upgrade(&sent));
        let headers = forwarded_headers(&sent, true);
        assert!(!headers.contains_key(AUTHORIZATION));
        assert_eq!(
            (&headers[UPGRADE], &headers[CONNECTION]),
            (&HeaderValue::from_static("websocket"), &HeaderValue::from_static("Upgrade"))
        );
        assert!(headers.contains_key("sec-websocket-key"));
        assert!(!forwarded_headers(&sent, false).contains_key(UPGRADE));
    }
}
