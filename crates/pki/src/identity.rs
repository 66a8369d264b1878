//! A certificate with its private key.

use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::{PkiError, Profile, Validity};

/// A certificate, what it needs of its chain, and its private key, both as PEM.
#[derive(Clone)]
pub struct Identity {
    certificate_pem: String,
    key_pem: String,
    validity: Validity,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Identity {
    /// Joins a certificate chain (leaf first) and its key. Fails with what is wrong; never with key material.
    pub fn from_pem(certificate_pem: String, key_pem: String) -> Result<Self, String> {
        let chain = certificates(&certificate_pem)?;
        let validity = validity(&chain[0])?;
        PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| "the key is not a PEM private key".to_owned())?;
        Ok(Self { certificate_pem, key_pem, validity })
    }

    /// The certificate chain as PEM, leaf first.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM. A secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// How long the leaf holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The chain for rustls, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.certificate_pem).expect("checked when the identity was made")
    }

    /// The private key for rustls.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("checked when the identity was made")
    }

    /// Whether key and certificate belong together (a crash between two writes can part them).
    pub fn fits_together(&self) -> bool {
        crate::rotation::certified_key(self).is_ok_and(|key| key.keys_match().is_ok())
    }

    /// Whether `issuer` has signed the leaf and the leaf says what `profile` asks for.
    pub(crate) fn matches(&self, profile: &Profile, issuer: &CertificateDer<'_>) -> bool {
        let chain = self.chain();
        let (Ok((_, leaf)), Ok((_, issuer))) =
            (X509Certificate::from_der(&chain[0]), X509Certificate::from_der(issuer))
        else {
            return false;
        };
        leaf.verify_signature(Some(issuer.public_key())).is_ok() && says(&leaf, profile)
    }

    /// Whether it is time to replace it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.validity.is_due(now)
    }
}

/// All certificates of a PEM text; at least one.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not PEM: {error}"))?;
    if chain.is_empty() { Err("it has no PEM certificate".to_owned()) } else { Ok(chain) }
}

/// Certificates (DER) as one PEM text.
pub fn certificates_pem(certificates: &[Vec<u8>]) -> String {
    use base64::Engine as _;
    let mut out = String::new();
    for der in certificates {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        for line in text.as_bytes().chunks(64) {
            out.extend(line.iter().map(|byte| char::from(*byte)));
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}

/// How long a certificate holds.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("it is not an X.509 certificate: {error}"))?;
    let time = |seconds| Timestamp::from_second(seconds).map_err(|error| error.to_string());
    Ok(Validity {
        not_before: time(parsed.validity().not_before.timestamp())?,
        not_after: time(parsed.validity().not_after.timestamp())?,
    })
}

/// Reads a file pair; `None` if either is absent.
pub(crate) fn load(
    certificate: &std::path::Path,
    key: &std::path::Path,
) -> Result<Option<Identity>, PkiError> {
    let (Some(certificate_pem), Some(key_pem)) = (crate::files::read(certificate)?, crate::files::read(key)?)
    else {
        return Ok(None);
    };
    PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| PkiError::corrupt(key, "it has no PEM private key"))?;
    let identity = Identity::from_pem(certificate_pem, key_pem)
        .map_err(|problem| PkiError::corrupt(certificate, problem))?;
    Ok(Some(identity))
}

fn says(leaf: &X509Certificate<'_>, profile: &Profile) -> bool {
    let subject = leaf.subject();
    let common_name = subject.iter_common_name().next().and_then(|cn| cn.as_str().ok());
    let organization = subject.iter_organization().next().and_then(|o| o.as_str().ok());
    let (server, client) = leaf
        .extended_key_usage()
        .ok()
        .flatten()
        .map_or((false, false), |usage| (usage.value.server_auth, usage.value.client_auth));
    common_name == Some(profile.common_name.as_str())
        && organization == profile.organization.as_deref()
        && (server, client) == (profile.server, profile.client)
        && names(leaf) == wanted_names(profile)
}

/// The alternative names in one comparable form.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = leaf
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(alternatives) => Some(&alternatives.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names
}

fn wanted_names(profile: &Profile) -> Vec<String> {
    let addresses = profile.addresses.iter().map(ToString::to_string);
    let mut names: Vec<String> = profile.dns_names.iter().cloned().chain(addresses).collect();
    names.sort_unstable();
    names
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(Into::into);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into)).ok()
}
