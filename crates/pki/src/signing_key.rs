//! The key that signs service account tokens: RSA 2048, RS256 (RFC 7518 §3.3).

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{PkiError, files};

/// Signs tokens.
pub struct SigningKey {
    key: KeyPair,
    verification: VerificationKey,
}

/// Checks what a [`SigningKey`] has signed. Public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    id: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// PKCS #1 form, which verification takes.
    raw: Vec<u8>,
    /// SubjectPublicKeyInfo form, for PEM and the id.
    der: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.verification.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key.
    pub fn create() -> Result<Self, PkiError> {
        let key = KeyPair::generate(KeySize::Rsa2048)
            .map_err(|error| PkiError::Crypto { action: "make an RSA key", problem: error.to_string() })?;
        Self::new(key).map_err(PkiError::crypto("make an RSA key"))
    }

    /// Takes the key of `dir/stem.key`, or makes it there; `dir/stem.pub` follows it.
    pub fn load_or_create(dir: &Path, stem: &str) -> Result<Self, PkiError> {
        let key_path = dir.join(format!("{stem}.key"));
        let key = match files::read(&key_path)? {
            Some(pem) => Self::from_pem(&pem).map_err(|problem| PkiError::corrupt(&key_path, problem))?,
            None => {
                let key = Self::create()?;
                files::write(&key_path, &key.to_pem()?, files::SECRET)?;
                key
            }
        };
        let public_path = dir.join(format!("{stem}.pub"));
        let public = pem("PUBLIC KEY", &key.verification.der);
        if files::read(&public_path)?.as_deref() != Some(&public) {
            files::write(&public_path, &public, files::PUBLIC)?;
        }
        Ok(key)
    }

    fn from_pem(text: &str) -> Result<Self, String> {
        let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("it has no PEM private key".to_owned()),
        };
        Self::new(key.map_err(|_| "it is not an RSA private key of at least 2048 bits".to_owned())?)
    }

    fn new(key: KeyPair) -> Result<Self, String> {
        let public = key.public_key();
        let der: PublicKeyX509Der<'_> =
            public.as_der().map_err(|_| "its public key cannot be encoded".to_owned())?;
        let verification = VerificationKey::from_der(der.as_ref(), public.as_ref())?;
        Ok(Self { key, verification })
    }

    fn to_pem(&self) -> Result<String, PkiError> {
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&self.key)
            .map_err(|error| PkiError::Crypto { action: "encode an RSA key", problem: error.to_string() })?;
        Ok(pem("PRIVATE KEY", der.as_ref()))
    }

    /// What checks this key's signatures.
    pub fn verification_key(&self) -> &VerificationKey {
        &self.verification
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 over `message`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|error| PkiError::Crypto { action: "sign a token", problem: error.to_string() })?;
        Ok(signature)
    }
}

impl VerificationKey {
    /// Reads a PEM public key.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| "it has no PEM public key".to_owned())?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|error| error.to_string())?;
        Self::from_der(&der, info.subject_public_key.data.as_ref())
    }

    fn from_der(der: &[u8], raw: &[u8]) -> Result<Self, String> {
        let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(|error| error.to_string())?;
        let Ok(PublicKey::RSA(rsa)) = info.parsed() else {
            return Err("it is not an RSA key".to_owned());
        };
        Ok(Self {
            id: key_id(der),
            modulus: without_leading_zeros(rsa.modulus),
            exponent: without_leading_zeros(rsa.exponent),
            raw: raw.to_vec(),
            der: der.to_vec(),
        })
    }

    /// The `kid` of tokens and of the JWKS.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The modulus, base64url without padding: `n` of a JWK.
    pub fn modulus(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.modulus)
    }

    /// The exponent, base64url without padding: `e` of a JWK.
    pub fn exponent(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.exponent)
    }

    /// The key as PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }

    /// Whether `signature` is this key's over `message` (RS256).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &self.raw)
            .verify(message, signature)
            .is_ok()
    }
}

/// As upstream derives it: SHA-256 of the SubjectPublicKeyInfo, base64url without padding.
fn key_id(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der))
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
