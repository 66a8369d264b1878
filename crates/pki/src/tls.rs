//! TLS configurations: servers that ask for a client certificate, clients that trust the cluster's authority.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::rotation::provider;
use crate::{PkiError, RotatingIdentity};

/// How a server treats client certificates. All are optional: a client may come with a token, or with nothing.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// A certificate that the authority has not signed, or that has expired, ends the handshake.
    Verified(Arc<ClientVerifier>),
    /// The client proves that it holds the certificate's key, but who signed it is not looked at: the server must
    /// ask [`ClientVerifier::verify`] before it believes the certificate. For the API server, which answers a bad
    /// certificate with a 401 as upstream does, not with a TLS alert.
    Deferred(Arc<ClientVerifier>),
}

/// Decides whether a client certificate is signed by the authority, holds now, and is meant for clients.
pub struct ClientVerifier(Arc<dyn ClientCertVerifier>);

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientVerifier")
    }
}

impl ClientVerifier {
    /// Trusts what these authorities sign.
    pub fn new<'a>(
        authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    ) -> Result<Arc<Self>, PkiError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authorities)?), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Crypto { action: "trust an authority", problem: error.to_string() })?;
        Ok(Arc::new(Self(verifier)))
    }

    /// Checks a chain (leaf first) at `now`; the error is for the log.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), String> {
        let Some((leaf, rest)) = chain.split_first() else {
            return Err("the client showed no certificate".to_owned());
        };
        let seconds = u64::try_from(now.as_second()).map_err(|error| error.to_string())?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.0.verify_client_cert(leaf, rest, now).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// A TLS server (HTTP/2 and HTTP/1.1) with the certificate that `identity` currently holds.
pub fn server_config(
    identity: Arc<dyn ResolvesServerCert>,
    client_auth: &ClientAuth,
) -> Result<ServerConfig, PkiError> {
    let verifier: Arc<dyn ClientCertVerifier> = match client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Verified(verifier) => verifier.0.clone(),
        ClientAuth::Deferred(verifier) => Arc::new(Deferred(verifier.0.clone())),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| PkiError::Crypto { action: "set up TLS", problem: error.to_string() })?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A TLS client that trusts what `authorities` sign, with the certificate that `identity` currently holds. ALPN is
/// left to the HTTP client above it.
pub fn client_config<'a>(
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
    identity: Option<Arc<RotatingIdentity>>,
) -> Result<ClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| PkiError::Crypto { action: "set up TLS", problem: error.to_string() })?
        .with_root_certificates(roots(authorities)?);
    Ok(match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    })
}

fn roots<'a>(
    authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| PkiError::Crypto { action: "trust an authority", problem: error.to_string() })?;
    }
    Ok(roots)
}

/// Proof of possession now, the question of who signed later.
#[derive(Debug)]
struct Deferred(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Deferred {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
