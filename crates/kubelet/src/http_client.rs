//! One GET over a connection of its own, for probes and hooks. HTTPS without looking at the certificate.

use std::io;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes of an answer that are read.
const MAX_BODY: usize = 10 * 1024;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// Beginning of the body.
    pub body: Bytes,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The address is none.
    #[error("invalid URL {0}")]
    Url(String),
    /// No connection.
    #[error("dial tcp {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The TLS handshake failed; the text is that of the cause.
    #[error("{0}")]
    Tls(io::Error),
    /// The peer does not speak HTTP, or hung up.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// A header of the request is none.
    #[error("{0}")]
    Request(#[from] http::Error),
}

/// Gets `url`. The caller keeps the time.
pub async fn get(url: &str, headers: &[(String, String)]) -> Result<Response, GetError> {
    let uri: Uri = url.parse().map_err(|_| GetError::Url(url.to_owned()))?;
    let authority = uri.authority().ok_or_else(|| GetError::Url(url.to_owned()))?;
    let https = uri.scheme_str() == Some("https");
    let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
    let host = authority.host().trim_matches(['[', ']']);
    let request = request(&uri, authority.as_str(), headers)?;
    let stream = TcpStream::connect((host, port)).await.map_err(|source| GetError::Connect {
        address: super::probe::check::host_port(host, port),
        source,
    })?;
    if !https {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| GetError::Url(url.to_owned()))?;
    let connector = TlsConnector::from(TRUSTING.clone());
    exchange(connector.connect(name, stream).await.map_err(GetError::Tls)?, request).await
}

fn request(
    uri: &Uri,
    authority: &str,
    headers: &[(String, String)],
) -> Result<Request<Empty<Bytes>>, GetError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path);
    let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let defaults = [(HOST, authority), (ACCEPT, "*/*"), (USER_AGENT, crate::PROBE_USER_AGENT)];
    for (name, value) in defaults {
        if !given(name.as_str()) {
            request = request.header(name, value);
        }
    }
    Ok(request.header(CONNECTION, "close").body(Empty::new())?)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Empty<Bytes>>,
) -> Result<Response, GetError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let location =
            response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // A body that is longer or breaks off says nothing about health.
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok(Response { status, location, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection may end before the answer was taken from it.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.into()),
        },
    }
}

static TRUSTING: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll(provider)))
        .with_no_client_auth();
    Arc::new(config)
});

#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
