//! `serviceaccounts/token`: a new token for an account (`TokenRequest`).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::status::ApiError;
use steersman_apimachinery::time;
use steersman_store::BoxFuture;

use super::{Claims, Kubernetes, Reference, TokenIssuer};
use crate::request::{CreateRequest, Creator, ObjectReader};
use crate::view::{strings, text};

const GROUP: &str = "authentication.k8s.io";
const DEFAULT_EXPIRATION: i64 = 3600;
const MIN_EXPIRATION: i64 = 600;
const MAX_EXPIRATION: i64 = 1 << 32;
/// What the ServiceAccount admission plugin puts into pods: an hour and seven seconds. A token of exactly this
/// life, for a pod and for the API server, lives a year, so that clients that never read the file again go on;
/// `warnafter` keeps the life that was asked for.
const PROJECTED_EXPIRATION: i64 = 3607;
const EXTENDED_EXPIRATION: i64 = 365 * 24 * 3600;

/// Answers `serviceaccounts/token`.
pub struct TokenRequests {
    issuer: Arc<TokenIssuer>,
    objects: Arc<dyn ObjectReader>,
}

impl TokenRequests {
    /// Tokens of `issuer`, for accounts and bound to objects of `objects`.
    pub fn new(issuer: Arc<TokenIssuer>, objects: Arc<dyn ObjectReader>) -> Self {
        Self { issuer, objects }
    }
}

impl Creator for TokenRequests {
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>> {
        Box::pin(async move {
            let CreateRequest { namespace, name, object, .. } = &request;
            self.issuer.create(&*self.objects, namespace, name, object, Timestamp::now()).await
        })
    }
}

impl TokenIssuer {
    /// Carries out a `TokenRequest` for the account `namespace`/`name` and gives it back with its status. The
    /// answer holds a secret.
    pub async fn create(
        &self,
        objects: &dyn ObjectReader,
        namespace: &str,
        name: &str,
        request: &Tree,
        now: Timestamp,
    ) -> Result<Tree, ApiError> {
        let account = objects.get("", "serviceaccounts", namespace, name).await;
        let account = account.ok_or_else(|| ApiError::not_found("", "serviceaccounts", name))?;
        check_names(request, namespace, name)?;
        let asked = Asked::read(request, self.audiences());
        asked.validate()?;
        let bound = bound_object(objects, namespace, name, request).await?;
        let claims = self.claims(namespace, &account, &asked, bound, now);
        let token = self
            .sign(&claims)
            .map_err(|error| ApiError::internal(format!("failed to generate token: {error}")))?;
        Ok(answer(request, namespace, name, &asked, &token, now))
    }

    fn claims(&self, namespace: &str, account: &Tree, asked: &Asked, bound: Bound, now: Timestamp) -> Claims {
        let name = text(account, "/metadata/name");
        let for_api = asked.audiences.iter().all(|audience| self.audiences().contains(audience));
        let extend = bound.pod.is_some() && asked.expiration == PROJECTED_EXPIRATION && for_api;
        let now = now.as_second();
        Claims {
            aud: asked.audiences.clone(),
            exp: now + if extend { EXTENDED_EXPIRATION } else { asked.expiration },
            iat: now,
            iss: self.issuer().to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            kubernetes: Kubernetes {
                namespace: namespace.to_owned(),
                node: bound.node,
                pod: bound.pod,
                secret: bound.secret,
                serviceaccount: reference(account),
                warnafter: extend.then_some(now + asked.expiration),
            },
            nbf: now,
            sub: format!("system:serviceaccount:{namespace}:{name}"),
        }
    }
}

struct Asked {
    audiences: Vec<String>,
    expiration: i64,
}

impl Asked {
    fn read(request: &Tree, default_audiences: &[String]) -> Self {
        let mut audiences = strings(request, "/spec/audiences");
        if audiences.is_empty() {
            audiences = default_audiences.to_vec();
        }
        let expiration =
            request.pointer("/spec/expirationSeconds").and_then(Tree::as_i64).unwrap_or(DEFAULT_EXPIRATION);
        Self { audiences, expiration }
    }

    fn validate(&self) -> Result<(), ApiError> {
        let problem = if self.expiration < MIN_EXPIRATION {
            "may not specify a duration less than 10 minutes"
        } else if self.expiration > MAX_EXPIRATION {
            "may not specify a duration larger than 2^32 seconds"
        } else {
            return Ok(());
        };
        let path = Path::new("spec").child("expirationSeconds");
        let problems = vec![Error::invalid(path, self.expiration, problem)];
        Err(ApiError::invalid(GROUP, "TokenRequest", "", &problems))
    }
}

#[derive(Default)]
struct Bound {
    pod: Option<Reference>,
    secret: Option<Reference>,
    node: Option<Reference>,
}

/// A request may repeat the names of its URL, not contradict them.
fn check_names(request: &Tree, namespace: &str, name: &str) -> Result<(), ApiError> {
    let given = text(request, "/metadata/name");
    if !given.is_empty() && given != name {
        return Err(ApiError::bad_request(format!(
            "name in URL does not match name in TokenRequest object: {given:?} != {name:?}"
        )));
    }
    let given = text(request, "/metadata/namespace");
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

async fn bound_object(
    objects: &dyn ObjectReader,
    namespace: &str,
    account: &str,
    request: &Tree,
) -> Result<Bound, ApiError> {
    let Some(target) = request.pointer("/spec/boundObjectRef").filter(|target| !target.is_null()) else {
        return Ok(Bound::default());
    };
    let name = text(target, "/name");
    let (resource, scope) = match (text(target, "/apiVersion"), text(target, "/kind")) {
        ("v1", "Pod") => ("pods", namespace),
        ("v1", "Secret") => ("secrets", namespace),
        ("v1", "Node") => ("nodes", ""),
        (version, kind) => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let kind = format!("{group}/{version}, Kind={kind}");
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {kind}")));
        }
    };
    let found = objects.get("", resource, scope, name).await;
    let object = found.ok_or_else(|| ApiError::not_found("", resource, name))?;
    if resource == "pods" && text(&object, "/spec/serviceAccountName") != account {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
        )));
    }
    check_uid(target, &object, name)?;
    let found = Some(reference(&object));
    Ok(match resource {
        "pods" => Bound { pod: found, node: node_of(objects, &object).await, ..Bound::default() },
        "secrets" => Bound { secret: found, ..Bound::default() },
        _ => Bound { node: found, ..Bound::default() },
    })
}

fn check_uid(target: &Tree, object: &Tree, name: &str) -> Result<(), ApiError> {
    let wanted = text(target, "/uid");
    if wanted.is_empty() || wanted == text(object, "/metadata/uid") {
        return Ok(());
    }
    let why = format!(
        "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
         been deleted and then recreated"
    );
    Err(ApiError::conflict("", text(target, "/kind"), name, &why))
}

/// The node of a pod, by name alone if there is no such node any more.
async fn node_of(objects: &dyn ObjectReader, pod: &Tree) -> Option<Reference> {
    let name = Some(text(pod, "/spec/nodeName")).filter(|name| !name.is_empty())?;
    let node = objects.get("", "nodes", "", name).await;
    Some(match node {
        Some(node) => reference(&node),
        None => Reference { name: name.to_owned(), uid: String::new() },
    })
}

fn reference(object: &Tree) -> Reference {
    Reference {
        name: text(object, "/metadata/name").to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
    }
}

fn answer(request: &Tree, namespace: &str, name: &str, asked: &Asked, token: &str, now: Timestamp) -> Tree {
    let end = now.saturating_add(SignedDuration::from_secs(asked.expiration)).unwrap_or(Timestamp::MAX);
    json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": time::format(now) },
        "spec": {
            "audiences": asked.audiences,
            "expirationSeconds": asked.expiration,
            "boundObjectRef": request.pointer("/spec/boundObjectRef").cloned().unwrap_or_default(),
        },
        "status": { "token": token, "expirationTimestamp": time::format(end) },
    })
}
