//! JWS compact serialization (RFC 7515), for RS256 only. The header's algorithm is compared, never obeyed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use steersman_pki::{PkiError, SigningKey, VerificationKey};

use super::Claims;

const ALGORITHM: &str = "RS256";

/// Why a token is not believed. Never holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with JSON inside.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm than RS256.
    #[error("the token is signed with an unexpected algorithm")]
    Algorithm,
    /// None of the cluster's keys made the signature.
    #[error("the token's signature is not the cluster's")]
    Signature,
    /// Its end has passed.
    #[error("service account token has expired")]
    Expired,
    /// Its beginning has not come.
    #[error("service account token is not valid yet")]
    NotYetValid,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

pub(super) fn encode(key: &SigningKey, claims: &Claims) -> Result<String, PkiError> {
    let header = Header { alg: ALGORITHM.to_owned(), kid: key.verification_key().id().to_owned() };
    let mut token = part(&header);
    token.push('.');
    token.push_str(&part(claims));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Whether the token names this issuer. Nothing is verified: it only says whose business the token is.
pub(super) fn is_issued_by(token: &str, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let mut parts = token.split('.');
    let payload = parts.nth(1);
    parts.count() == 1 && payload.and_then(json::<Issuer>).is_some_and(|claims| claims.iss == issuer)
}

/// The claims of a token that one of `keys` has signed.
pub(super) fn decode<'k>(
    token: &str,
    keys: impl Iterator<Item = &'k VerificationKey> + Clone,
) -> Result<Claims, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = json(header).ok_or(TokenError::Malformed)?;
    if header.alg != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    // A token that names its key is checked with that key; an old one, without, with each.
    let mut named = keys.filter(|key| header.kid.is_empty() || key.id() == header.kid);
    if !named.any(|key| key.verifies(message.as_bytes(), &signature)) {
        return Err(TokenError::Signature);
    }
    json(payload).ok_or(TokenError::Malformed)
}

fn part(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("plain structs of strings and numbers"))
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
