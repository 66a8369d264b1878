//! Questions in the form of objects: may somebody do something, who is a token's user, who am I. Each is answered by
//! the same authenticator and authorizer that requests pass.

mod access;
mod identity;
mod rules;

use std::sync::Arc;

use crate::authentication::ServiceAccountTokens;
use crate::authorization::Rbac;
use crate::config::Creation;
use crate::request::{Authorizer, Creator};
use crate::tokens::TokenRequests;

pub use access::{AccessReviews, Whose};
pub use identity::{OwnIdentity, TokenReviews};
pub use rules::OwnRules;

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// All that is answered here, and token requests.
pub fn creators(
    authorizer: &Arc<dyn Authorizer>,
    rbac: &Arc<Rbac>,
    tokens: &Arc<ServiceAccountTokens>,
    requests: TokenRequests,
) -> Vec<Creation> {
    let access = |whose| -> Arc<dyn Creator> { Arc::new(AccessReviews::new(whose, authorizer.clone())) };
    let on = |group, resource, subresource, creator| Creation { group, resource, subresource, creator };
    vec![
        on(AUTHORIZATION, "subjectaccessreviews", "", access(Whose::Named)),
        on(AUTHORIZATION, "localsubjectaccessreviews", "", access(Whose::NamedHere)),
        on(AUTHORIZATION, "selfsubjectaccessreviews", "", access(Whose::Own)),
        on(AUTHORIZATION, "selfsubjectrulesreviews", "", Arc::new(OwnRules::new(rbac.clone()))),
        on(AUTHENTICATION, "tokenreviews", "", Arc::new(TokenReviews::new(tokens.clone()))),
        on(AUTHENTICATION, "selfsubjectreviews", "", Arc::new(OwnIdentity)),
        on("", "serviceaccounts", "token", Arc::new(requests)),
    ]
}

#[cfg(test)]
mod tests;
