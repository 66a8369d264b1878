//! Exec, attach and port-forward: the runtime names a URL, and the caller's upgraded connection is handed through to
//! it, whatever it speaks.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use steersman_cri as cri;
use tokio::net::TcpStream;

use super::route::Place;
use super::{Body, Handler, text};
use crate::text::rpc_error;

type Query = [(String, String)];

impl Handler {
    pub(super) async fn exec(
        &self,
        request: Request<Incoming>,
        place: &Place,
        query: &Query,
    ) -> Response<Body> {
        let container_id = match self.running(place).await {
            Ok(id) => id,
            Err(refused) => return refused,
        };
        let wanted = cri::ExecRequest {
            container_id,
            cmd: all(query, &["command"]),
            tty: flag(query, &["tty"]),
            stdin: flag(query, &["input", "stdin"]),
            stdout: flag(query, &["output", "stdout"]),
            // With a terminal there is one stream out.
            stderr: flag(query, &["error", "stderr"]) && !flag(query, &["tty"]),
        };
        let answer = self.shared.runtime.service.clone().exec(wanted).await;
        self.hand_through(request, answer.map(|answer| answer.into_inner().url)).await
    }

    pub(super) async fn attach(
        &self,
        request: Request<Incoming>,
        place: &Place,
        query: &Query,
    ) -> Response<Body> {
        let container_id = match self.running(place).await {
            Ok(id) => id,
            Err(refused) => return refused,
        };
        // Whether there is a terminal is for the container to say, not for the caller.
        let tty = self
            .find_pod(place)
            .and_then(|pod| crate::pod::PodExt::find_container(&*pod, &place.container))
            .is_some_and(|(_, container)| container.tty == Some(true));
        let wanted = cri::AttachRequest {
            container_id,
            stdin: flag(query, &["input", "stdin"]),
            tty,
            stdout: flag(query, &["output", "stdout"]),
            stderr: flag(query, &["error", "stderr"]) && !tty,
        };
        let answer = self.shared.runtime.service.clone().attach(wanted).await;
        self.hand_through(request, answer.map(|answer| answer.into_inner().url)).await
    }

    pub(super) async fn port_forward(
        &self,
        request: Request<Incoming>,
        place: &Place,
        query: &Query,
    ) -> Response<Body> {
        let pod_sandbox_id = match self.sandbox(place).await {
            Ok(id) => id,
            Err(refused) => return refused,
        };
        let ports = all(query, &["port", "ports"]);
        let port =
            ports.iter().flat_map(|list| list.split(',')).filter_map(|port| port.parse().ok()).collect();
        let wanted = cri::PortForwardRequest { pod_sandbox_id, port };
        let answer = self.shared.runtime.service.clone().port_forward(wanted).await;
        self.hand_through(request, answer.map(|answer| answer.into_inner().url)).await
    }

    async fn hand_through(
        &self,
        request: Request<Incoming>,
        url: Result<String, tonic::Status>,
    ) -> Response<Body> {
        let url = match url {
            Ok(url) => url,
            Err(status) => return text(StatusCode::INTERNAL_SERVER_ERROR, rpc_error(&status)),
        };
        match self.proxy(request, &url).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%url, %error, "the runtime's streaming server failed");
                text(StatusCode::BAD_GATEWAY, format!("error streaming from the container runtime: {error}"))
            }
        }
    }

    /// Sends the request on to `url`; when that upgrades, joins the two connections.
    async fn proxy(&self, mut request: Request<Incoming>, url: &str) -> Result<Response<Body>, ProxyError> {
        let uri: Uri = url.parse().map_err(|_| ProxyError::Url(url.to_owned()))?;
        let authority = uri.authority().ok_or_else(|| ProxyError::Url(url.to_owned()))?;
        let stream = TcpStream::connect((
            authority.host().trim_matches(['[', ']']),
            authority.port_u16().unwrap_or(80),
        ))
        .await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the runtime's streaming server ended");
            }
        };
        self.tasks.spawn(self.closing.clone().run_until_cancelled_owned(connection));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut onward = Request::builder().method(request.method()).uri(path).body(Empty::<Bytes>::new())?;
        *onward.headers_mut() = request.headers().clone();
        onward.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        onward.headers_mut().remove(http::header::AUTHORIZATION);
        let mut response = sender.send_request(onward).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (parts, body) = response.into_parts();
            return Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed()));
        }
        let (here, there) = (hyper::upgrade::on(&mut request), hyper::upgrade::on(&mut response));
        self.tasks.spawn(self.closing.clone().run_until_cancelled_owned(join(here, there)));
        let mut answer = text(StatusCode::SWITCHING_PROTOCOLS, String::new());
        *answer.headers_mut() = upgrade_headers(response.headers());
        Ok(answer)
    }
}

#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error("the runtime gave no usable address: {0}")]
    Url(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error(transparent)]
    Header(#[from] http::header::InvalidHeaderValue),
}

async fn join(here: hyper::upgrade::OnUpgrade, there: hyper::upgrade::OnUpgrade) {
    let (here, there) = match tokio::try_join!(here, there) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a stream was not upgraded");
            return;
        }
    };
    let (mut here, mut there) = (TokioIo::new(here), TokioIo::new(there));
    if let Err(error) = tokio::io::copy_bidirectional(&mut here, &mut there).await {
        tracing::debug!(%error, "a stream broke off");
    }
}

/// The headers of an upgrade: hop-by-hop ones included, lengths left out.
fn upgrade_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    kept.remove(http::header::CONTENT_LENGTH);
    kept.remove(http::header::TRANSFER_ENCODING);
    kept.entry(CONNECTION).or_insert(HeaderValue::from_static("Upgrade"));
    debug_assert!(kept.contains_key(UPGRADE), "an upgrade names its protocol");
    kept
}

fn all(query: &Query, names: &[&str]) -> Vec<String> {
    let wanted = query.iter().filter(|(key, _)| names.contains(&key.as_str()));
    wanted.map(|(_, value)| value.clone()).collect()
}

fn flag(query: &Query, names: &[&str]) -> bool {
    query.iter().any(|(key, value)| names.contains(&key.as_str()) && matches!(value.as_str(), "1" | "true"))
}
