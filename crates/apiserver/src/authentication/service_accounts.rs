//! Service account tokens: signed by the cluster, meant for the asked audience, and bound to objects that live.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use steersman_apimachinery::Tree;

use crate::request::{ObjectReader, User};
use crate::tokens::{Claims, Kubernetes, Reference, TokenIssuer};
use crate::view::text;

/// How long a token goes on after its object was marked for deletion.
const DELETION_LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Recognizes users by the tokens of service accounts.
pub struct ServiceAccountTokens {
    issuer: Arc<TokenIssuer>,
    objects: Arc<dyn ObjectReader>,
    now: fn() -> Timestamp,
}

/// A token's user, and for whom of those asked the token is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The account.
    pub user: User,
    /// The part of the asked audiences that the token names.
    pub audiences: Vec<String>,
}

impl ServiceAccountTokens {
    /// Believes the tokens of `issuer` as long as what they are bound to is in `objects`.
    pub fn new(issuer: Arc<TokenIssuer>, objects: Arc<dyn ObjectReader>) -> Self {
        Self { issuer, objects, now: Timestamp::now }
    }

    /// The audiences of the API server itself.
    pub fn api_audiences(&self) -> &[String] {
        self.issuer.audiences()
    }

    /// The user of a token; `None` if another issuer made it. The error is for the log and for `TokenReview`.
    pub async fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Authenticated>, String> {
        let now = (self.now)();
        let Some(claims) = self.issuer.verify(token, now).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let common: Vec<String> =
            audiences.iter().filter(|audience| claims.aud.contains(audience)).cloned().collect();
        if common.is_empty() {
            return Err(format!(
                "token audiences {:?} is invalid for the target audiences {audiences:?}",
                claims.aud
            ));
        }
        self.check_alive(&claims.kubernetes, now).await?;
        Ok(Some(Authenticated { user: user(&claims), audiences: common }))
    }

    async fn check_alive(&self, claims: &Kubernetes, now: Timestamp) -> Result<(), String> {
        let namespace = &claims.namespace;
        self.check("serviceaccounts", "service account", namespace, &claims.serviceaccount, now).await?;
        if let Some(secret) = &claims.secret {
            self.check("secrets", "secret", namespace, secret, now).await?;
        }
        match (&claims.pod, &claims.node) {
            // The node of a pod's token only says where the pod is; the pod's life is what counts.
            (Some(pod), _) => self.check("pods", "pod", namespace, pod, now).await,
            (None, Some(node)) => self.check("nodes", "node", "", node, now).await,
            (None, None) => Ok(()),
        }
    }

    async fn check(
        &self,
        resource: &str,
        what: &str,
        namespace: &str,
        wanted: &Reference,
        now: Timestamp,
    ) -> Result<(), String> {
        let object = self.objects.get("", resource, namespace, &wanted.name).await;
        let object = object.ok_or_else(|| format!("{what} {:?} not found", wanted.name))?;
        if is_gone(&object, now) {
            return Err(format!("{what} {:?} has been deleted", wanted.name));
        }
        let uid = text(&object, "/metadata/uid");
        if uid != wanted.uid {
            return Err(format!("{what} UID ({uid}) does not match claim ({})", wanted.uid));
        }
        Ok(())
    }
}

fn is_gone(object: &Tree, now: Timestamp) -> bool {
    let deletion: Option<Timestamp> = text(object, "/metadata/deletionTimestamp").parse().ok();
    deletion.is_some_and(|deletion| now.duration_since(deletion) > DELETION_LEEWAY)
}

fn user(claims: &Claims) -> User {
    let kubernetes = &claims.kubernetes;
    let namespace = &kubernetes.namespace;
    let mut extra = BTreeMap::new();
    let mut note = |key: &str, value: &str| {
        if !value.is_empty() {
            extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    if !claims.jti.is_empty() {
        note("credential-id", &format!("JTI={}", claims.jti));
    }
    if let Some(pod) = &kubernetes.pod {
        note("pod-name", &pod.name);
        note("pod-uid", &pod.uid);
    }
    if let Some(node) = &kubernetes.node {
        note("node-name", &node.name);
        note("node-uid", &node.uid);
    }
    User {
        name: format!("system:serviceaccount:{namespace}:{}", kubernetes.serviceaccount.name),
        uid: kubernetes.serviceaccount.uid.clone(),
        groups: service_account_groups(namespace),
        extra,
    }
}

impl User {
    /// A service account, as its tokens make it but without the marks of one token.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let mut groups = service_account_groups(namespace);
        groups.push("system:authenticated".to_owned());
        Self { name: format!("system:serviceaccount:{namespace}:{name}"), groups, ..Self::default() }
    }
}

/// The groups that every service account of a namespace is in.
pub(crate) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Namespace and name of the service account that a user name stands for.
pub(crate) fn split_service_account(user: &str) -> Option<(&str, &str)> {
    use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems};
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let valid = dns1123_label_problems(namespace, false).is_empty()
        && dns1123_subdomain_problems(name, false).is_empty();
    valid.then_some((namespace, name))
}
