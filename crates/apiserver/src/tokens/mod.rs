//! Service account tokens: JWTs that the cluster signs (RS256), what they claim, how they are asked for
//! (`TokenRequest`), and how others can check them (OIDC discovery).
//!
//! Whether the account and what a token is bound to still live is not decided here but in
//! [`crate::authentication::ServiceAccountTokens`].

mod claims;
mod discovery;
mod jwt;
mod request;

use std::sync::Arc;

use jiff::Timestamp;
use steersman_pki::{PkiError, SigningKey, VerificationKey};

pub use claims::{Claims, Kubernetes, Reference};
pub use jwt::TokenError;
pub use request::TokenRequests;

/// The issuer that a cluster has unless configured otherwise.
pub const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Signs the cluster's tokens and recognizes them.
#[derive(Debug)]
pub struct TokenIssuer {
    issuer: String,
    audiences: Vec<String>,
    key: Arc<SigningKey>,
    older: Vec<VerificationKey>,
}

impl TokenIssuer {
    /// Signs with `key` in the name of `issuer`, which is also the API server's audience.
    pub fn new(issuer: &str, key: Arc<SigningKey>) -> Self {
        Self { issuer: issuer.to_owned(), audiences: vec![issuer.to_owned()], key, older: Vec::new() }
    }

    /// Recognizes what these keys have signed, too: keys that were replaced.
    #[must_use]
    pub fn with_older_keys(mut self, keys: Vec<VerificationKey>) -> Self {
        self.older = keys;
        self
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom a token must be meant for to be believed by the API server; also what a token is for that asks for
    /// nothing else.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// A signed token.
    pub fn sign(&self, claims: &Claims) -> Result<String, PkiError> {
        jwt::encode(&self.key, claims)
    }

    /// The claims of a token whose signature and times are good; `None` if it is not this issuer's.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Option<Claims>, TokenError> {
        if !jwt::is_issued_by(token, &self.issuer) {
            return Ok(None);
        }
        let claims = jwt::decode(token, self.keys())?;
        claims.check_times(now)?;
        Ok(Some(claims))
    }

    fn keys(&self) -> impl Iterator<Item = &VerificationKey> + Clone {
        std::iter::once(self.key.verification_key()).chain(&self.older)
    }
}

#[cfg(test)]
pub(crate) mod tests;
