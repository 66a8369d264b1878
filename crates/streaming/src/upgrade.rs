//! The HTTP side: which protocol a request asks for, and the answer that switches to it.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The header in which SPDY clients list the protocol versions they speak.
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
const SPDY: &str = "SPDY/3.1";

/// What the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Exec or attach.
    RemoteCommand,
    /// Port-forward.
    PortForward,
}

/// The protocol that both ends speak from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiated {
    /// SPDY/3.1 with this version of the remote command protocol (0 for port-forward).
    Spdy {
        /// 1 to 4.
        version: u8,
    },
    /// WebSocket channels with this version of the remote command protocol.
    WebSocket {
        /// 1, 4 or 5.
        version: u8,
        /// Messages are text: a digit and base64.
        base64: bool,
    },
    /// SPDY/3.1 inside binary WebSocket messages.
    Tunnel,
}

/// Why a request cannot be upgraded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 400.
    #[error("Upgrade request required")]
    NotAnUpgrade,
    /// 400.
    #[error("the WebSocket handshake lacks Sec-WebSocket-Key")]
    NoKey,
    /// 403, as upstream answers.
    #[error("unable to negotiate protocol: client supports {asked:?}, server accepts {known:?}")]
    NoProtocol {
        /// What the client speaks.
        asked: Vec<String>,
        /// What we speak.
        known: Vec<&'static str>,
    },
}

impl Rejection {
    /// The HTTP status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::NoKey => StatusCode::BAD_REQUEST,
            Self::NoProtocol { .. } => StatusCode::FORBIDDEN,
        }
    }
}

/// A protocol by its name on the wire. The order is the server's preference.
type Table = &'static [(&'static str, Negotiated)];

const SPDY_COMMAND: Table = &[
    ("v4.channel.k8s.io", Negotiated::Spdy { version: 4 }),
    ("v3.channel.k8s.io", Negotiated::Spdy { version: 3 }),
    ("v2.channel.k8s.io", Negotiated::Spdy { version: 2 }),
    ("channel.k8s.io", Negotiated::Spdy { version: 1 }),
];
const SPDY_FORWARD: Table = &[("portforward.k8s.io", Negotiated::Spdy { version: 0 })];
const WEBSOCKET_COMMAND: Table = &[
    ("v5.channel.k8s.io", Negotiated::WebSocket { version: 5, base64: false }),
    ("v4.channel.k8s.io", Negotiated::WebSocket { version: 4, base64: false }),
    ("v4.base64.channel.k8s.io", Negotiated::WebSocket { version: 4, base64: true }),
    ("channel.k8s.io", Negotiated::WebSocket { version: 1, base64: false }),
    ("base64.channel.k8s.io", Negotiated::WebSocket { version: 1, base64: true }),
];
const WEBSOCKET_FORWARD: Table = &[
    ("SPDY/3.1+portforward.k8s.io", Negotiated::Tunnel),
    ("v4.channel.k8s.io", Negotiated::WebSocket { version: 4, base64: false }),
    ("v4.base64.channel.k8s.io", Negotiated::WebSocket { version: 4, base64: true }),
    ("portforward.k8s.io", Negotiated::WebSocket { version: 4, base64: false }),
];

/// Chooses the protocol and makes the `101 Switching Protocols` answer.
pub fn negotiate(
    method: &Method,
    headers: &HeaderMap,
    purpose: Purpose,
) -> Result<(Response<()>, Negotiated), Rejection> {
    let upgrade = words(headers, UPGRADE.as_str());
    if !words(headers, CONNECTION.as_str()).iter().any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return Err(Rejection::NotAnUpgrade);
    }
    if upgrade.iter().any(|word| word.eq_ignore_ascii_case("websocket")) && method == Method::GET {
        return websocket(headers, purpose);
    }
    if upgrade.iter().any(|word| word.eq_ignore_ascii_case(SPDY)) {
        return spdy(headers, purpose);
    }
    Err(Rejection::NotAnUpgrade)
}

fn spdy(headers: &HeaderMap, purpose: Purpose) -> Result<(Response<()>, Negotiated), Rejection> {
    let (table, oldest) = match purpose {
        Purpose::RemoteCommand => (SPDY_COMMAND, SPDY_COMMAND.last()),
        Purpose::PortForward => (SPDY_FORWARD, SPDY_FORWARD.first()),
    };
    let asked = words(headers, STREAM_PROTOCOL);
    // A client that lists none speaks the oldest.
    let chosen = if asked.is_empty() { oldest.copied() } else { choose(table, &asked) };
    let (name, protocol) = chosen.ok_or_else(|| no_protocol(table, asked))?;
    let mut response = switching(SPDY);
    response.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(name));
    Ok((response, protocol))
}

fn websocket(headers: &HeaderMap, purpose: Purpose) -> Result<(Response<()>, Negotiated), Rejection> {
    let table = match purpose {
        Purpose::RemoteCommand => WEBSOCKET_COMMAND,
        Purpose::PortForward => WEBSOCKET_FORWARD,
    };
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(Rejection::NoKey)?;
    let asked = words(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let mut response = switching("websocket");
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::from_str(&accept).expect("base64 is a valid header value");
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    if asked.is_empty() {
        return Ok((response, Negotiated::WebSocket { version: 1, base64: false }));
    }
    let (name, protocol) = choose(table, &asked).ok_or_else(|| no_protocol(table, asked))?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    Ok((response, protocol))
}

/// The client's first choice that the server knows.
fn choose(table: Table, asked: &[String]) -> Option<(&'static str, Negotiated)> {
    asked.iter().find_map(|name| table.iter().find(|(known, _)| known == name)).copied()
}

fn no_protocol(table: Table, asked: Vec<String>) -> Rejection {
    Rejection::NoProtocol { asked, known: table.iter().map(|(name, _)| *name).collect() }
}

fn switching(protocol: &'static str) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response
}

/// All comma-separated words of all headers of this name.
fn words(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_owned())
        .filter(|w| !w.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn spdy_takes_the_first_version_both_know() {
        let asked = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            (STREAM_PROTOCOL, "v9.channel.k8s.io"),
            (STREAM_PROTOCOL, "v4.channel.k8s.io"),
            (STREAM_PROTOCOL, "v3.channel.k8s.io"),
        ]);
        let (response, protocol) =
            negotiate(&Method::POST, &asked, Purpose::RemoteCommand).expect("both know version 4");
        assert_eq!(protocol, Negotiated::Spdy { version: 4 });
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[STREAM_PROTOCOL], "v4.channel.k8s.io");
    }

    #[test]
    fn websocket_answers_the_key_and_the_protocol() {
        let asked = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "v5.channel.k8s.io, v4.channel.k8s.io"),
        ]);
        let (response, protocol) =
            negotiate(&Method::GET, &asked, Purpose::RemoteCommand).expect("both know version 5");
        assert_eq!(protocol, Negotiated::WebSocket { version: 5, base64: false });
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
    }

    #[test]
    fn what_cannot_be_upgraded_says_why() {
        let plain = headers(&[("accept", "*/*")]);
        let rejection = negotiate(&Method::POST, &plain, Purpose::PortForward).expect_err("no upgrade");
        assert_eq!(rejection, Rejection::NotAnUpgrade);
        let unknown = headers(&[("connection", "upgrade"), ("upgrade", "spdy/3.1"), (STREAM_PROTOCOL, "v9")]);
        let rejection =
            negotiate(&Method::POST, &unknown, Purpose::RemoteCommand).expect_err("unknown version");
        assert_eq!(rejection.status(), StatusCode::FORBIDDEN);
    }
}
