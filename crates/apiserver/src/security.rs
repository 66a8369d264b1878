//! The server's security in one piece: who asks, what they may, what is admitted, and the answers to questions about
//! it, all from one set of keys and one storage.

use std::sync::Arc;

use steersman_pki::{ClientVerifier, ClusterPki, PkiError};
use steersman_store::BoxFuture;

use crate::authentication::{Authentication, ClientCertificates, ServiceAccountTokens};
use crate::authorization::{Indexes, LiveAuthorization, RoleEscalation};
use crate::config::{Creation, HealthCheck, IssuerDocuments};
use crate::request::{Admission, Authorizer, ObjectReader};
use crate::storage::Storage;
use crate::tokens::{DEFAULT_ISSUER, TokenIssuer, TokenRequests};
use crate::{admission, reviews};

/// What [`crate::Config`] needs of security. Whoever makes it runs [`Indexes::run`] as long as the server serves, and
/// serves strangers only after [`Indexes::synced`].
pub struct Security {
    /// Believes the cluster's client certificates and service account tokens. Serve with
    /// [`steersman_pki::ClientAuth::Deferred`], so that a bad certificate is answered with a 401.
    pub authenticator: Arc<Authentication>,
    /// Node authorizer and RBAC.
    pub authorizer: Arc<dyn Authorizer>,
    /// The plugins in upstream's order.
    pub admission: Vec<Box<dyn Admission>>,
    /// Reviews and token requests.
    pub creators: Vec<Creation>,
    /// How others check the cluster's tokens.
    pub issuer: IssuerDocuments,
    /// What the authorizer decides by.
    pub indexes: Arc<Indexes>,
    /// What of it must be well for the server to be ready, by upstream's names.
    pub health: Vec<HealthCheck>,
}

impl Security {
    /// Security by the keys of `pki` over the objects of `storage`. `url` is where clients outside reach the server
    /// (`https://192.0.2.1:6443`); the OIDC discovery document leads there.
    pub fn new(storage: &Arc<Storage>, pki: &ClusterPki, url: &str) -> Result<Self, PkiError> {
        let objects: Arc<dyn ObjectReader> = storage.clone();
        let issuer = Arc::new(TokenIssuer::new(DEFAULT_ISSUER, pki.service_account_key().clone()));
        let tokens = Arc::new(ServiceAccountTokens::new(issuer.clone(), objects.clone()));
        let certificates = ClientCertificates::new(ClientVerifier::new([pki.ca().certificate()])?);
        let indexes = Arc::new(Indexes::default());
        let rbac = indexes.rbac().clone();
        let authorizer: Arc<dyn Authorizer> =
            Arc::new(LiveAuthorization::new(indexes.clone(), storage.clone()));
        let escalation = RoleEscalation::new(rbac.clone(), authorizer.clone());
        let requests = TokenRequests::new(issuer.clone(), objects.clone());
        Ok(Self {
            authenticator: Arc::new(Authentication::new(certificates, tokens.clone())),
            admission: admission::plugins(&objects, escalation),
            creators: reviews::creators(&authorizer, &rbac, &tokens, requests),
            issuer: IssuerDocuments {
                configuration: issuer.configuration(&format!("{url}/openid/v1/jwks")).into(),
                keys: issuer.key_set().into(),
            },
            authorizer,
            health: health(&indexes),
            indexes,
        })
    }
}

/// `informer-sync`: what is decided by has been read; `poststarthook/rbac/bootstrap-roles`: the roles that every
/// cluster has are among it.
fn health(indexes: &Arc<Indexes>) -> Vec<HealthCheck> {
    let (all, rbac) = (indexes.clone(), indexes.rbac().clone());
    vec![
        check("informer-sync", "not everything has been read yet", move || all.is_synced()),
        check("poststarthook/rbac/bootstrap-roles", "not finished", move || {
            rbac.rules_of_role("ClusterRole", "cluster-admin", "").is_some()
        }),
    ]
}

/// A check of the readiness that is told at once.
pub(crate) fn check(
    name: &'static str,
    why: &'static str,
    well: impl Fn() -> bool + Send + Sync + 'static,
) -> HealthCheck {
    let check = move || -> BoxFuture<'static, Result<(), String>> {
        let found = if well() { Ok(()) } else { Err(why.to_owned()) };
        Box::pin(std::future::ready(found))
    };
    HealthCheck { name, liveness: false, check: Box::new(check) }
}

#[cfg(test)]
mod tests;
