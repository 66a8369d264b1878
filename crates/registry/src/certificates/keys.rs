//! Public keys in requests and certificates, and what they have signed, with the words of Go's `crypto/x509`.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Ed25519,
    /// On a curve of this name.
    Ec(&'static str),
    /// With a modulus of this many bits.
    Rsa(usize),
    /// None that Go knows.
    Other,
}

impl Key {
    pub(super) fn of(info: &SubjectPublicKeyInfo) -> Self {
        match info.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => Self::Ed25519,
            "1.2.840.10045.2.1" => curve(&info.algorithm).map_or(Self::Other, Self::Ec),
            "1.2.840.113549.1.1.1" => match info.parsed() {
                Ok(PublicKey::RSA(key)) => Self::Rsa(modulus_bytes(key.modulus) * 8),
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// The length of a modulus without the zero that keeps it positive.
fn modulus_bytes(modulus: &[u8]) -> usize {
    modulus.iter().skip_while(|byte| **byte == 0).count()
}

fn curve(algorithm: &AlgorithmIdentifier) -> Option<&'static str> {
    let oid = algorithm.parameters.as_ref()?.as_oid().ok()?;
    match oid.to_id_string().as_str() {
        "1.3.132.0.33" => Some("P-224"),
        "1.2.840.10045.3.1.7" => Some("P-256"),
        "1.3.132.0.34" => Some("P-384"),
        "1.3.132.0.35" => Some("P-521"),
        _ => None,
    }
}

/// Reads a PKCS #10 request.
pub(super) fn request(der: &[u8]) -> Result<X509CertificationRequest<'_>, &'static str> {
    let (rest, request) = X509CertificationRequest::from_der(der)
        .map_err(|_| "asn1: structure error: malformed certificate request")?;
    if rest.is_empty() { Ok(request) } else { Err("asn1: syntax error: trailing data") }
}

const UNKNOWN_ALGORITHM: &str = "x509: cannot verify signature: algorithm unimplemented";

/// Checks that the holder of the request's key has signed it.
pub(super) fn check_signature(request: &X509CertificationRequest) -> Result<(), String> {
    let info = &request.certification_request_info.subject_pki;
    let key = Key::of(info);
    let algorithm = verification(&request.signature_algorithm, key)?;
    UnparsedPublicKey::new(algorithm, &info.subject_public_key.data)
        .verify(request.certification_request_info.raw, &request.signature_value.data)
        .map_err(|_| failure(key).to_owned())
}

fn failure(key: Key) -> &'static str {
    match key {
        Key::Ec(_) => "x509: ECDSA verification failure",
        Key::Ed25519 => "x509: Ed25519 verification failure",
        Key::Rsa(_) | Key::Other => "crypto/rsa: verification error",
    }
}

/// What verifies a signature of this algorithm by a key of this kind.
fn verification(
    algorithm: &AlgorithmIdentifier,
    key: Key,
) -> Result<&'static dyn VerificationAlgorithm, String> {
    let oid = algorithm.algorithm.to_id_string();
    let (family, hash) = match oid.as_str() {
        "1.2.840.113549.1.1.5" => ("RSA", "SHA1"),
        "1.2.840.113549.1.1.11" => ("RSA", "SHA256"),
        "1.2.840.113549.1.1.12" => ("RSA", "SHA384"),
        "1.2.840.113549.1.1.13" => ("RSA", "SHA512"),
        "1.2.840.113549.1.1.10" => ("RSA", pss_hash(algorithm)),
        "1.2.840.10045.4.1" => ("ECDSA", "SHA1"),
        "1.2.840.10045.4.3.2" => ("ECDSA", "SHA256"),
        "1.2.840.10045.4.3.3" => ("ECDSA", "SHA384"),
        "1.2.840.10045.4.3.4" => ("ECDSA", "SHA512"),
        "1.3.101.112" => ("Ed25519", ""),
        "1.2.840.113549.1.1.4" => {
            return Err("x509: cannot verify signature: insecure algorithm MD5-RSA".to_owned());
        }
        _ => return Err(UNKNOWN_ALGORITHM.to_owned()),
    };
    let mismatch = |kind: &str| {
        format!(
            "x509: signature algorithm specifies an {family} public key, but have public key of type {kind}"
        )
    };
    match (family, key) {
        ("RSA", Key::Rsa(_)) => rsa(hash),
        ("ECDSA", Key::Ec(curve)) => ecdsa(curve, hash),
        ("Ed25519", Key::Ed25519) => Some(&signature::ED25519 as &'static dyn VerificationAlgorithm),
        (_, Key::Rsa(_)) => return Err(mismatch("*rsa.PublicKey")),
        (_, Key::Ec(_)) => return Err(mismatch("*ecdsa.PublicKey")),
        (_, Key::Ed25519) => return Err(mismatch("ed25519.PublicKey")),
        (_, Key::Other) => None,
    }
    .ok_or_else(|| UNKNOWN_ALGORITHM.to_owned())
}

fn pss_hash(algorithm: &AlgorithmIdentifier) -> &'static str {
    let Some(Ok(parameters)) = algorithm.parameters.as_ref().map(RsaSsaPssParams::try_from) else {
        return "";
    };
    match parameters.hash_algorithm_oid().to_id_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => "PSS-SHA256",
        "2.16.840.1.101.3.4.2.2" => "PSS-SHA384",
        "2.16.840.1.101.3.4.2.3" => "PSS-SHA512",
        _ => "",
    }
}

fn rsa(hash: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match hash {
        "SHA1" => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "SHA256" => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "SHA384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "SHA512" => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        "PSS-SHA256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PSS-SHA384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PSS-SHA512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn ecdsa(curve: &str, hash: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        ("P-256", "SHA256") => &signature::ECDSA_P256_SHA256_ASN1,
        ("P-256", "SHA384") => &signature::ECDSA_P256_SHA384_ASN1,
        ("P-256", "SHA512") => &signature::ECDSA_P256_SHA512_ASN1,
        ("P-384", "SHA256") => &signature::ECDSA_P384_SHA256_ASN1,
        ("P-384", "SHA384") => &signature::ECDSA_P384_SHA384_ASN1,
        ("P-384", "SHA512") => &signature::ECDSA_P384_SHA512_ASN1,
        ("P-521", "SHA256") => &signature::ECDSA_P521_SHA256_ASN1,
        ("P-521", "SHA384") => &signature::ECDSA_P521_SHA384_ASN1,
        ("P-521", "SHA512") => &signature::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn signed(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(vec!["a.b".to_owned()]).expect("parameters");
        params.serialize_request(&key).expect("a request").der().to_vec()
    }

    #[test]
    fn signatures_of_all_kinds_of_keys_are_checked() {
        let cases = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Key::Ec("P-256"), "x509: ECDSA verification failure"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Key::Ec("P-384"), "x509: ECDSA verification failure"),
            (&rcgen::PKCS_ECDSA_P521_SHA512, Key::Ec("P-521"), "x509: ECDSA verification failure"),
            (&rcgen::PKCS_ED25519, Key::Ed25519, "x509: Ed25519 verification failure"),
            (&rcgen::PKCS_RSA_SHA256, Key::Rsa(2048), "crypto/rsa: verification error"),
        ];
        for (algorithm, kind, why) in cases {
            let mut der = signed(algorithm);
            let good = request(&der).expect("a request");
            assert_eq!(Key::of(&good.certification_request_info.subject_pki), kind);
            assert_eq!(check_signature(&good), Ok(()), "{kind:?}");
            *der.last_mut().expect("some bytes") ^= 1;
            assert_eq!(check_signature(&request(&der).expect("a request")), Err(why.to_owned()), "{kind:?}");
        }
    }

    #[test]
    fn a_request_is_der_without_a_rest() {
        let mut der = signed(&rcgen::PKCS_ED25519);
        der.push(0);
        assert_eq!(request(&der).err(), Some("asn1: syntax error: trailing data"));
        assert_eq!(request(&der[..20]).err(), Some("asn1: structure error: malformed certificate request"));
    }
}
