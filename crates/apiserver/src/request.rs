//! What the parts of the request chain hand to each other: who asks, what is asked, and the seams for
//! authentication, authorization and admission.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

/// Who sends a request (`user.Info` upstream). An in-process client puts one into the request's extensions; over
/// TLS the [`Authenticator`] makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:default:builder`, `system:node:n1`, `kubernetes-admin`, ….
    pub name: String,
    /// Empty where there is none.
    pub uid: String,
    /// Includes `system:authenticated` or `system:unauthenticated`.
    pub groups: Vec<String>,
    /// Such as `authentication.kubernetes.io/pod-name`.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The certificates that the peer of a TLS connection showed and that the client CA has signed; an extension of
/// each request of that connection.
#[derive(Clone, Debug)]
pub struct PeerCertificates(pub Arc<Vec<CertificateDer<'static>>>);

/// Finds out who sends a request.
pub trait Authenticator: Send + Sync + 'static {
    /// The user; `Ok(None)` if the request carries no credentials that this knows; an `Err` (for the log) if it
    /// carries bad ones, which is a 401.
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<User>, String>>;
}

/// What is asked, as authorization sees it (`authorizer.Attributes` upstream).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who asks.
    pub user: Arc<User>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`…; for a
    /// non-resource path the HTTP method in lower case.
    pub verb: String,
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource; empty for a non-resource path.
    pub resource: String,
    /// Subresource; empty if none.
    pub subresource: String,
    /// Namespace; empty if none.
    pub namespace: String,
    /// Object name; empty if none.
    pub name: String,
    /// The URL path.
    pub path: String,
    /// The `fieldSelector` of a `list`, `watch` or `deletecollection` as it was sent; empty if none. A node may list
    /// the pods that are its own, and only a selector says so.
    pub field_selector: String,
}

/// What an [`Authorizer`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow {
        /// For the audit log.
        reason: String,
    },
    /// It may not, whatever others say.
    Deny {
        /// Goes into the 403's message.
        reason: String,
    },
    /// Another authorizer may know; if none does, it may not.
    NoOpinion {
        /// Goes into the 403's message.
        reason: String,
    },
}

/// Decides from memory.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether the request may go on, as far as is known now. Never waits.
    fn authorize(&self, attributes: &Attributes) -> Decision;

    /// Waits until every write that was acknowledged before the call is known; not for long.
    fn catch_up(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Whether the request may go on. Nobody is refused on old news: before that, the authorizer catches up.
pub async fn decide(authorizer: &dyn Authorizer, attributes: &Attributes) -> Decision {
    let decision = authorizer.authorize(attributes);
    if !matches!(decision, Decision::NoOpinion { .. }) {
        return decision;
    }
    authorizer.catch_up().await;
    authorizer.authorize(attributes)
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// A write on its way to the store, as admission sees it.
pub struct AdmissionRequest<'a> {
    /// What it does.
    pub operation: Operation,
    /// API group; empty for core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Kind of the object.
    pub kind: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource; empty if none.
    pub subresource: &'a str,
    /// Namespace; empty if none.
    pub namespace: &'a str,
    /// Object name; empty if it is to be generated.
    pub name: &'a str,
    /// The new object; `None` on delete.
    pub object: Option<&'a mut Tree>,
    /// The object as it is stored; `None` on create.
    pub old: Option<&'a Tree>,
    /// Who asks.
    pub user: &'a User,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// An admission plugin.
pub trait Admission: Send + Sync + 'static {
    /// Its upstream name (`NamespaceLifecycle`).
    fn name(&self) -> &'static str;

    /// The mutating phase.
    fn admit<'a>(&'a self, _request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }

    /// The validating phase, after every plugin's mutating phase.
    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Reads of the server's own storage for its parts that decide (authorizers, admission plugins, reviews): from
/// memory, without going through the request chain. Objects are shared.
pub trait ObjectReader: Send + Sync + 'static {
    /// One object; `None` if it does not exist.
    fn get(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> BoxFuture<'_, Option<Arc<Tree>>>;

    /// All objects of a resource, of one namespace or (empty) of all.
    fn list(&self, group: &str, resource: &str, namespace: &str) -> BoxFuture<'_, Vec<Arc<Tree>>>;
}

/// A POST whose object is not stored but acted on: a review, a token request, a binding, an eviction.
pub struct CreateRequest<'a> {
    /// Namespace; empty if none.
    pub namespace: &'a str,
    /// The object that the subresource belongs to; empty for a resource of its own.
    pub name: &'a str,
    /// What was sent, decoded and with its defaults; `apiVersion` and `kind` are right.
    pub object: Tree,
    /// Who asks.
    pub user: &'a User,
    /// Nothing may change.
    pub dry_run: bool,
}

/// Answers [`CreateRequest`]s of one resource or subresource. Registered with the server by group, resource and
/// subresource; authorization and admission are done before.
pub trait Creator: Send + Sync + 'static {
    /// The object to answer with (`201 Created`).
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>>;
}
