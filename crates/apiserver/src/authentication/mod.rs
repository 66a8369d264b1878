//! Who sends a request: a client certificate, a service account's token, or, on a few paths, nobody.
//!
//! The ways are tried in upstream's order and the first that knows the caller wins. Credentials that are there but
//! bad make the request fail with 401, also on the paths that are open to everybody.

mod certificates;
mod impersonation;
mod service_accounts;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use steersman_store::BoxFuture;

use crate::request::{Authenticator, User};

pub use certificates::ClientCertificates;
pub use impersonation::impersonate;
pub use service_accounts::{Authenticated, ServiceAccountTokens};

/// Everybody who has shown who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everybody else.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of a caller without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Authorization never refuses this group.
pub const MASTERS: &str = "system:masters";

/// Where a caller needs no credentials: health, and which version runs here.
const OPEN_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// The API server's authentication.
pub struct Authentication {
    certificates: ClientCertificates,
    tokens: Arc<ServiceAccountTokens>,
}

impl Authentication {
    /// Believes client certificates and service account tokens.
    pub fn new(certificates: ClientCertificates, tokens: Arc<ServiceAccountTokens>) -> Self {
        Self { certificates, tokens }
    }

    async fn identify(&self, request: &Parts) -> Result<Option<User>, String> {
        let mut problems = Vec::new();
        match self.certificates.authenticate(request) {
            Ok(Some(user)) => return Ok(Some(authenticated(user))),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        if let Some(token) = bearer_token(request) {
            match self.tokens.authenticate(token, self.tokens.api_audiences()).await {
                Ok(Some(found)) => return Ok(Some(authenticated(found.user))),
                Ok(None) => problems.push("invalid bearer token".to_owned()),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join(", "));
        }
        Ok(OPEN_PATHS.contains(&request.uri.path()).then(anonymous))
    }
}

impl Authenticator for Authentication {
    fn authenticate<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Option<User>, String>> {
        Box::pin(self.identify(request))
    }
}

/// The token of an `Authorization: Bearer …` header; `None` if there is none or it is empty.
fn bearer_token(request: &Parts) -> Option<&str> {
    let header = request.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn authenticated(mut user: User) -> User {
    if !user.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

fn anonymous() -> User {
    User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..User::default() }
}

#[cfg(test)]
mod tests;
