//! One request of a resource, with everything that its handler may look at.

use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use steersman_registry::Context;

use crate::codec::Definition;
use crate::object::form::Form;
use crate::request::{AdmissionRequest, ObjectReader, Operation, User};
use crate::routes::Entry;
use crate::row::Subresource;
use crate::server::Inner;
use crate::views;
use crate::wire::body::Response;
use crate::wire::info::RequestInfo;
use crate::wire::negotiate::Wanted;
use crate::wire::query::Query;
use crate::wire::warning::Warnings;

/// One request of a resource.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The server.
    pub server: &'a Inner,
    /// The resource.
    pub entry: &'a Arc<Entry>,
    /// The subresource, if it is one's.
    pub subresource: Option<&'a Subresource>,
    /// What is asked.
    pub info: &'a RequestInfo,
    /// The query.
    pub query: &'a Query,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub user: &'a User,
    /// What to tell the client beside the answer.
    pub warnings: &'a Warnings,
    /// The time of the request.
    pub now: Timestamp,
    /// How to answer.
    pub wanted: Wanted,
}

/// An object to answer with.
pub enum Shown {
    /// As it is stored.
    Form(Arc<Form>),
    /// As it would be, or as it was.
    Tree(Arc<Tree>),
}

impl Shown {
    /// The object as a tree.
    pub fn tree(&self) -> Arc<Tree> {
        match self {
            Self::Form(form) => form.tree(),
            Self::Tree(tree) => tree.clone(),
        }
    }
}

impl<'a> Call<'a> {
    /// The kind that is taken and given: the subresource's, else the resource's.
    pub fn kind(&self) -> &'a str {
        self.subresource.map_or(&self.entry.resource.kind, |s| &s.kind)
    }

    /// The group of [`Self::kind`].
    pub fn group(&self) -> &'a str {
        self.subresource.map_or(&self.entry.resource.group, |s| &s.group)
    }

    /// The version of [`Self::kind`].
    pub fn version(&self) -> &'a str {
        self.subresource.map_or(&self.entry.resource.version, |s| &s.version)
    }

    /// The `apiVersion` of [`Self::kind`].
    pub fn api_version(&self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// How objects of [`Self::kind`] are read and written.
    pub fn definition(&self) -> &'a Definition {
        self.subresource.map_or(&self.entry.resource.definition, |s| &s.definition)
    }

    /// Answers with an object.
    pub fn show(&self, code: StatusCode, shown: &Shown) -> Result<Response, ApiError> {
        views::object(self, code, shown)
    }

    /// What the resource's strategy may know.
    pub fn context(&self) -> Context {
        Context {
            now: self.now,
            subresource: self.subresource.map(|s| s.name),
            user: self.user.name.clone(),
            uid: self.user.uid.clone(),
            groups: self.user.groups.clone(),
            extra: self.user.extra.clone(),
            namespace_labels: BTreeMap::new(),
        }
    }

    /// What the resource's strategy may know when it validates.
    pub async fn validation_context(&self) -> Context {
        let mut context = self.context();
        if self.entry.resource.strategy.reads_namespace() {
            let namespaces: &dyn ObjectReader = &*self.server.storage;
            let namespace = namespaces.get("", "namespaces", "", &self.info.namespace).await;
            let labels = namespace.iter().flat_map(|namespace| namespace.labels());
            context.namespace_labels =
                labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        }
        context
    }

    /// The name under which the writer's fields are tracked: `fieldManager`, else the program of the user agent.
    pub fn manager(&self) -> String {
        if let Some(manager) = self.query.non_empty("fieldManager") {
            return manager.to_owned();
        }
        let agent = self.headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        if program.is_empty() { "unknown".to_owned() } else { program.chars().take(128).collect() }
    }

    /// 409 for an object of this resource.
    pub fn conflict(&self, name: &str, why: &str) -> ApiError {
        ApiError::conflict(&self.entry.resource.group, &self.entry.resource.plural, name, why)
    }

    /// Runs the mutating plugins over `object`, or over a deletion of `old`.
    pub async fn admit(
        &self,
        operation: Operation,
        name: &str,
        object: Option<&mut Tree>,
        old: Option<&Tree>,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        let mut request = self.admission_request(operation, name, object, old, dry_run);
        for plugin in &self.server.admission {
            plugin.admit(&mut request).await?;
        }
        Ok(())
    }

    /// Runs the validating plugins.
    pub async fn admission_validate(
        &self,
        operation: Operation,
        name: &str,
        object: Option<&mut Tree>,
        old: Option<&Tree>,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        let request = self.admission_request(operation, name, object, old, dry_run);
        for plugin in &self.server.admission {
            plugin.validate(&request).await?;
        }
        Ok(())
    }

    fn admission_request<'r>(
        &'r self,
        operation: Operation,
        name: &'r str,
        object: Option<&'r mut Tree>,
        old: Option<&'r Tree>,
        dry_run: bool,
    ) -> AdmissionRequest<'r> {
        let resource = &self.entry.resource;
        AdmissionRequest {
            operation,
            group: &resource.group,
            version: &resource.version,
            kind: self.kind(),
            resource: &resource.plural,
            subresource: self.subresource.map_or("", |s| s.name),
            namespace: &self.info.namespace,
            name,
            object,
            old,
            user: self.user,
            dry_run,
        }
    }
}
