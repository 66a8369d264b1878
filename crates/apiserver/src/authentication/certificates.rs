//! Client certificates: the common name is the user, the organizations are the groups.

use std::collections::HashMap;
use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use steersman_pki::ClientVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::request::{PeerCertificates, User};

/// The attribute of a subject that carries a user's UID.
const UID_ATTRIBUTE: &str = "1.3.6.1.4.1.57683.2";
/// How many verified certificates are remembered. Beyond, all are forgotten and verified again.
const REMEMBERED: usize = 4096;

type Fingerprint = [u8; 32];

/// Recognizes users by certificates that the client authority has signed.
pub struct ClientCertificates {
    verifier: Arc<ClientVerifier>,
    now: fn() -> Timestamp,
    /// Who a verified chain belongs to, and until when. Every request of a connection shows the same chain.
    known: Mutex<HashMap<Fingerprint, Known>>,
}

#[derive(Clone)]
struct Known {
    user: Option<User>,
    not_after: Timestamp,
}

impl ClientCertificates {
    /// Believes what `verifier` trusts.
    pub fn new(verifier: Arc<ClientVerifier>) -> Self {
        Self { verifier, now: Timestamp::now, known: Mutex::default() }
    }

    /// The user; `None` without a certificate or if it names nobody.
    pub(super) fn authenticate(&self, request: &Parts) -> Result<Option<User>, String> {
        match request.extensions.get::<PeerCertificates>() {
            Some(PeerCertificates(chain)) if !chain.is_empty() => self.user(chain),
            _ => Ok(None),
        }
    }

    /// Verified here whatever TLS did: a connection can outlive its certificate.
    fn user(&self, chain: &[CertificateDer<'static>]) -> Result<Option<User>, String> {
        let now = (self.now)();
        let fingerprint = fingerprint(chain);
        let known = self.known.lock().get(&fingerprint).cloned();
        if let Some(known) = known.filter(|known| now <= known.not_after) {
            return Ok(known.user);
        }
        self.verifier.verify(chain, now)?;
        let known = read(&chain[0])?;
        let mut remembered = self.known.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(fingerprint, known.clone());
        Ok(known.user)
    }
}

fn fingerprint(chain: &[CertificateDer<'_>]) -> Fingerprint {
    let mut hash = Sha256::new();
    for certificate in chain {
        hash.update(u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(certificate);
    }
    hash.finalize().into()
}

fn read(leaf: &CertificateDer<'_>) -> Result<Known, String> {
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let not_after =
        Timestamp::from_second(parsed.validity().not_after.timestamp()).map_err(|error| error.to_string())?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return Ok(Known { user: None, not_after });
    }
    let uid = subject
        .iter_attributes()
        .find(|attribute| attribute.attr_type().to_id_string() == UID_ATTRIBUTE)
        .and_then(|attribute| attribute.as_str().ok());
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
    let credential = format!("X509SHA256={}", hex(&Sha256::digest(leaf)));
    let user = User {
        name: name.to_owned(),
        uid: uid.unwrap_or_default().to_owned(),
        groups: groups.collect(),
        extra: [("authentication.kubernetes.io/credential-id".to_owned(), vec![credential])].into(),
    };
    Ok(Known { user: Some(user), not_after })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
