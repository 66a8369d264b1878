//! Who calls, and whether they may: certificates are read here, tokens and permissions are asked of the API, and
//! answers are remembered for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{Method, Request};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::route;

/// How long answers of the API hold, as upstream's kubelet has it.
const TOKEN_TTL: Duration = Duration::from_secs(120);
const ALLOWED_TTL: Duration = Duration::from_secs(300);
const DENIED_TTL: Duration = Duration::from_secs(30);
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Answers that are remembered; beyond that, the outdated ones go.
const REMEMBERED: usize = 1024;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allowed,
    /// Nobody known calls.
    Unknown,
    /// The caller may not.
    Forbidden(String),
    /// It could not be decided.
    Failed(String),
}

type Permission = (User, &'static str, &'static str);

/// Decides over callers.
pub struct Auth {
    client: Client,
    node: String,
    tokens: Mutex<HashMap<String, (Option<User>, Instant)>>,
    permissions: Mutex<HashMap<Permission, (bool, Instant)>>,
}

/// The user of a client certificate: common name and organizations. The chain has been verified by the handshake.
pub fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
    let groups = groups.chain(std::iter::once("system:authenticated".to_owned())).collect();
    Some(User { name, groups })
}

impl Auth {
    /// Decides with the help of the API behind `client`, for the node of this name.
    pub fn new(client: Client, node: &str) -> Self {
        Self {
            client,
            node: node.to_owned(),
            tokens: Mutex::new(HashMap::new()),
            permissions: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the request may go on. `certified` is the user of the client certificate.
    pub async fn decide<B>(&self, request: &Request<B>, certified: Option<User>) -> Decision {
        let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let user = match (certified, token) {
            (Some(user), _) => Ok(Some(user)),
            (None, Some(token)) => self.user_of_token(token).await,
            (None, None) => Ok(None),
        };
        match user {
            Ok(Some(user)) => self.authorize(&user, request.method(), request.uri().path()).await,
            Ok(None) => Decision::Unknown,
            Err(message) => Decision::Failed(message),
        }
    }

    async fn user_of_token(&self, token: &str) -> Result<Option<User>, String> {
        if let Some(user) = recall(&self.tokens, &token.to_owned()) {
            return Ok(user);
        }
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: None },
            ..TokenReview::default()
        };
        let review = create(&self.client, &review).await?;
        let status = review.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).map(|user| User {
            name: user.username.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
        });
        remember(&self.tokens, token.to_owned(), user.clone(), TOKEN_TTL);
        Ok(user)
    }

    async fn authorize(&self, user: &User, method: &Method, path: &str) -> Decision {
        let verb = route::verb(method);
        for subresource in route::subresources(path) {
            match self.may(user, verb, subresource).await {
                Ok(true) => return Decision::Allowed,
                Ok(false) => {}
                Err(message) => return Decision::Failed(message),
            }
        }
        let (name, node) = (&user.name, &self.node);
        let resource = route::subresources(path).join(",");
        Decision::Forbidden(format!(
            "Forbidden (user={name}, verb={verb}, resource=nodes, subresource(s)=[{resource}], node={node})"
        ))
    }

    async fn may(&self, user: &User, verb: &'static str, subresource: &'static str) -> Result<bool, String> {
        let key = (user.clone(), verb, subresource);
        if let Some(allowed) = recall(&self.permissions, &key) {
            return Ok(allowed);
        }
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.name.clone()),
                groups: Some(user.groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(verb.to_owned()),
                    version: Some("v1".to_owned()),
                    resource: Some("nodes".to_owned()),
                    subresource: Some(subresource.to_owned()),
                    name: Some(self.node.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let review = create(&self.client, &review).await?;
        let allowed = review.status.is_some_and(|status| status.allowed);
        remember(&self.permissions, key, allowed, if allowed { ALLOWED_TTL } else { DENIED_TTL });
        Ok(allowed)
    }
}

async fn create<K>(client: &Client, review: &K) -> Result<K, String>
where
    K: kube::Resource<DynamicType = ()>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api = Api::<K>::all(client.clone());
    let params = PostParams::default();
    match tokio::time::timeout(CALL_LIMIT, api.create(&params, review)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("the API did not answer in time".to_owned()),
    }
}

fn recall<K: std::hash::Hash + Eq, V: Clone>(memory: &Mutex<HashMap<K, (V, Instant)>>, key: &K) -> Option<V> {
    let memory = memory.lock();
    let (value, until) = memory.get(key)?;
    (*until > Instant::now()).then(|| value.clone())
}

fn remember<K: std::hash::Hash + Eq, V>(
    memory: &Mutex<HashMap<K, (V, Instant)>>,
    key: K,
    value: V,
    life: Duration,
) {
    let mut memory = memory.lock();
    let now = Instant::now();
    if memory.len() >= REMEMBERED {
        memory.retain(|_, (_, until)| *until > now);
        if memory.len() >= REMEMBERED {
            memory.clear();
        }
    }
    memory.insert(key, (value, now + life));
}
