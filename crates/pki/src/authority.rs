//! A certificate authority: a self-signed certificate whose key signs others (ECDSA P-256).

use std::fmt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::identity::{Identity, certificates, validity};
use crate::{PkiError, Profile, Validity, files};

const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// Signs certificates.
pub struct Authority {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority, valid for ten years.
    pub fn create(common_name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = new_key()?;
        let pem = self_signed(common_name, &key, now)?;
        Self::from_parts(pem, key).map_err(PkiError::crypto("make a certificate authority"))
    }

    /// Takes the authority of `dir/stem.crt` and `dir/stem.key`, or makes it there. A key without a certificate
    /// (a first start that was cut short) is taken; a certificate without a key is an error.
    pub fn load_or_create(
        dir: &Path,
        stem: &str,
        common_name: &str,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let certificate_path = dir.join(format!("{stem}.crt"));
        let key_path = dir.join(format!("{stem}.key"));
        let key = match files::read(&key_path)? {
            Some(pem) => KeyPair::from_pem(&pem)
                .map_err(|_| PkiError::corrupt(&key_path, "it has no PEM private key"))?,
            None if certificate_path.exists() => {
                return Err(PkiError::KeyMissing { key: key_path, certificate: certificate_path });
            }
            None => {
                let key = new_key()?;
                files::write(&key_path, &key.serialize_pem(), files::SECRET)?;
                key
            }
        };
        let pem = match files::read(&certificate_path)? {
            Some(pem) => pem,
            None => {
                let pem = self_signed(common_name, &key, now)?;
                files::write(&certificate_path, &pem, files::PUBLIC)?;
                pem
            }
        };
        Self::from_parts(pem, key).map_err(|problem| PkiError::corrupt(&certificate_path, problem))
    }

    fn from_parts(certificate_pem: String, key: KeyPair) -> Result<Self, String> {
        let certificate = certificates(&certificate_pem)?.swap_remove(0);
        let validity = validity(&certificate)?;
        if !holds_key(&certificate, &key) {
            return Err("its public key is not that of the private key beside it".to_owned());
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| format!("it cannot sign certificates: {error}"))?;
        Ok(Self { certificate_pem, certificate, validity, issuer })
    }

    /// The authority's certificate as PEM: what others need to trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// How long the authority itself holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Makes a key and signs a certificate for it. It does not outlive the authority.
    pub fn issue(&self, profile: &Profile, now: Timestamp) -> Result<Identity, PkiError> {
        let key = new_key()?;
        let mut validity = Validity::starting(now, profile.lifetime);
        validity.not_after = validity.not_after.min(self.validity.not_after);
        let certificate = leaf(profile, validity)
            .and_then(|params| params.signed_by(&key, &self.issuer))
            .map_err(|error| PkiError::Crypto { action: "sign a certificate", problem: error.to_string() })?;
        Identity::from_pem(certificate.pem(), key.serialize_pem())
            .map_err(PkiError::crypto("sign a certificate"))
    }
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|error| PkiError::Crypto { action: "make a key", problem: error.to_string() })
}

fn self_signed(common_name: &str, key: &KeyPair, now: Timestamp) -> Result<String, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    set_validity(&mut params, Validity::starting(now, LIFETIME));
    let failed = |error: rcgen::Error| PkiError::Crypto {
        action: "make a certificate authority",
        problem: error.to_string(),
    };
    params.self_signed(key).map(|certificate| certificate.pem()).map_err(failed)
}

fn leaf(profile: &Profile, validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(organization) = &profile.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
    }
    params.distinguished_name.push(DnType::CommonName, profile.common_name.as_str());
    for name in &profile.dns_names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(profile.addresses.iter().map(|ip| SanType::IpAddress(*ip)));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = [
        (profile.server, ExtendedKeyUsagePurpose::ServerAuth),
        (profile.client, ExtendedKeyUsagePurpose::ClientAuth),
    ]
    .into_iter()
    .filter_map(|(wanted, usage)| wanted.then_some(usage))
    .collect();
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, validity);
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, validity: Validity) {
    params.not_before = to_time(validity.not_before);
    params.not_after = to_time(validity.not_after);
}

fn to_time(timestamp: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(timestamp.as_second()).expect("jiff's years are within time's")
}

fn holds_key(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(certificate)
        .is_ok_and(|(_, parsed)| parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw())
}
