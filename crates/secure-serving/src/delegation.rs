//! Who calls, and whether they may: certificates are read here, tokens and permissions are asked of the API, and
//! answers are remembered for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use http::Request;
use http::header::AUTHORIZATION;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long a call to the API may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Answers that are remembered; beyond that, the outdated ones go.
const REMEMBERED: usize = 1024;
/// Whoever has all rights by upstream's code, whatever RBAC says.
const PRIVILEGED: &str = "system:masters";

/// How long answers of the API hold.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Whose token it is.
    pub token: Duration,
    /// That somebody may.
    pub allowed: Duration,
    /// That somebody may not.
    pub denied: Duration,
}

impl Memory {
    /// As upstream's kubelet has it: 2 min, 5 min, 30 s.
    pub const KUBELET: Self = Self::of_seconds(120, 300, 30);
    /// As upstream's scheduler and controller manager have it: 10 s each.
    pub const COMPONENT: Self = Self::of_seconds(10, 10, 10);

    const fn of_seconds(token: u64, allowed: u64, denied: u64) -> Self {
        Self {
            token: Duration::from_secs(token),
            allowed: Duration::from_secs(allowed),
            denied: Duration::from_secs(denied),
        }
    }
}

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl User {
    /// Somebody who did not say who they are.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()] }
    }

    /// The user of a client certificate: common name and organizations. The certificate must have been verified.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
        let groups = groups.chain(std::iter::once("system:authenticated".to_owned())).collect();
        Some(Self { name, groups })
    }
}

/// What the API said of a request's sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// This user.
    Known(User),
    /// Nobody: the request has no credentials.
    Anonymous,
    /// The credentials are not good.
    Refused,
}

/// What a caller wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Something with a path of this very component.
    Path {
        /// The verb, as RBAC has it.
        verb: &'static str,
        /// The path.
        path: String,
    },
    /// Something with a part of a node.
    Node {
        /// The verb, as RBAC has it.
        verb: &'static str,
        /// The node's name.
        name: String,
        /// Such as `proxy`.
        subresource: &'static str,
    },
}

/// The API could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It answered with an error, or cannot be reached.
    #[error(transparent)]
    Api(#[from] Box<kube::Error>),
    /// It took too long.
    #[error("the API did not answer in time")]
    Timeout,
}

/// Decides with the help of the API.
pub struct Delegation {
    authentication: Client,
    authorization: Client,
    memory: Memory,
    tokens: Mutex<HashMap<String, (Option<User>, Instant)>>,
    permissions: Mutex<HashMap<(User, Action), (bool, Instant)>>,
}

impl Delegation {
    /// Asks the API behind `authentication` whose a token is, and that behind `authorization` what somebody may;
    /// normally they are one.
    pub fn new(authentication: Client, authorization: Client, memory: Memory) -> Self {
        Self {
            authentication,
            authorization,
            memory,
            tokens: Mutex::default(),
            permissions: Mutex::default(),
        }
    }

    /// Who sends the request. `certified` is the user of the client certificate.
    pub async fn authenticate<B>(
        &self,
        request: &Request<B>,
        certified: Option<User>,
    ) -> Result<Caller, ReviewError> {
        if let Some(user) = certified {
            return Ok(Caller::Known(user));
        }
        let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match token.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim) {
            None => Ok(Caller::Anonymous),
            Some(token) => Ok(self.user_of(token).await?.map_or(Caller::Refused, Caller::Known)),
        }
    }

    async fn user_of(&self, token: &str) -> Result<Option<User>, ReviewError> {
        if let Some(user) = recall(&self.tokens, &token.to_owned()) {
            return Ok(user);
        }
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = create(&self.authentication, &review).await?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).map(|user| User {
            name: user.username.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
        });
        remember(&self.tokens, token.to_owned(), user.clone(), self.memory.token);
        Ok(user)
    }

    /// Whether `user` may do it.
    pub async fn allows(&self, user: &User, action: &Action) -> Result<bool, ReviewError> {
        if user.groups.iter().any(|group| group == PRIVILEGED) {
            return Ok(true);
        }
        let key = (user.clone(), action.clone());
        if let Some(allowed) = recall(&self.permissions, &key) {
            return Ok(allowed);
        }
        let review = SubjectAccessReview { spec: question(user, action), ..SubjectAccessReview::default() };
        let status = create(&self.authorization, &review).await?.status;
        let allowed = status.is_some_and(|status| status.allowed);
        let life = if allowed { self.memory.allowed } else { self.memory.denied };
        remember(&self.permissions, key, allowed, life);
        Ok(allowed)
    }
}

fn question(user: &User, action: &Action) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        groups: Some(user.groups.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    match action {
        Action::Path { verb, path } => {
            let (verb, path) = (Some((*verb).to_owned()), Some(path.clone()));
            spec.non_resource_attributes = Some(NonResourceAttributes { path, verb });
        }
        Action::Node { verb, name, subresource } => {
            spec.resource_attributes = Some(ResourceAttributes {
                verb: Some((*verb).to_owned()),
                version: Some("v1".to_owned()),
                resource: Some("nodes".to_owned()),
                subresource: Some((*subresource).to_owned()),
                name: Some(name.clone()),
                ..ResourceAttributes::default()
            });
        }
    }
    spec
}

async fn create<K>(client: &Client, review: &K) -> Result<K, ReviewError>
where
    K: kube::Resource<DynamicType = ()>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let (api, params) = (Api::<K>::all(client.clone()), PostParams::default());
    match tokio::time::timeout(CALL_LIMIT, api.create(&params, review)).await {
        Ok(answer) => answer.map_err(|error| ReviewError::Api(Box::new(error))),
        Err(_) => Err(ReviewError::Timeout),
    }
}

fn recall<K: Hash + Eq, V: Clone>(memory: &Mutex<HashMap<K, (V, Instant)>>, key: &K) -> Option<V> {
    let memory = memory.lock();
    let (value, until) = memory.get(key)?;
    (*until > Instant::now()).then(|| value.clone())
}

fn remember<K: Hash + Eq, V>(memory: &Mutex<HashMap<K, (V, Instant)>>, key: K, value: V, life: Duration) {
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
