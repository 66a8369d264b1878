//! The certificate that a running process shows, which can be replaced while it runs.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::{Identity, PkiError, Validity};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// The cryptography that every TLS configuration of the cluster uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// What rustls needs of an identity.
pub(crate) fn certified_key(identity: &Identity) -> Result<CertifiedKey, PkiError> {
    let key = provider()
        .key_provider
        .load_private_key(identity.key())
        .map_err(|error| PkiError::Crypto { action: "use a private key", problem: error.to_string() })?;
    Ok(CertifiedKey::new(identity.chain(), key))
}

/// The current identity of a server or a client. New connections use the newest; open ones keep theirs.
pub struct RotatingIdentity {
    current: ArcSwap<(Arc<CertifiedKey>, Validity)>,
}

impl fmt::Debug for RotatingIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingIdentity").field("validity", &self.validity()).finish_non_exhaustive()
    }
}

impl RotatingIdentity {
    /// Begins with `identity`.
    pub fn new(identity: &Identity) -> Result<Arc<Self>, PkiError> {
        let current = (Arc::new(certified_key(identity)?), identity.validity());
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(current) }))
    }

    /// From now on shows `identity`.
    pub fn replace(&self, identity: &Identity) -> Result<(), PkiError> {
        self.current.store(Arc::new((Arc::new(certified_key(identity)?), identity.validity())));
        Ok(())
    }

    /// How long the current certificate holds.
    pub fn validity(&self) -> Validity {
        self.current.load().1
    }

    /// When the current certificate is to be replaced.
    pub fn renewal_time(&self) -> Timestamp {
        self.validity().renewal_time()
    }

    fn key(&self) -> Arc<CertifiedKey> {
        self.current.load().0.clone()
    }
}

impl ResolvesServerCert for RotatingIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for RotatingIdentity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
