//! The generic path's view of the store: objects by resource, namespace and name. Encoding and keys are here;
//! rules are not.

pub mod continuation;
pub mod failure;

use std::sync::Arc;

use arc_swap::ArcSwap;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_registry::Resource;
use steersman_store::{
    BoxFuture, Change, Expect, Page, RangeOptions, Revision, Store, StoreError, Versioned,
};

use crate::authorization::Source;
use crate::flow_control::Size;
use crate::hooks::HookTable;
use crate::object::form::Form;
use crate::request::ObjectReader;
use crate::routes::{Entry, Routes};

/// The largest object that is stored, as etcd's request limit has it upstream.
const MAX_OBJECT_BYTES: usize = 1536 * 1024;

/// The store with the resources that live in it.
pub struct Storage {
    store: Arc<dyn Store>,
    routes: ArcSwap<Routes>,
}

/// Why a commit did not happen.
pub enum CommitError {
    /// Somebody else wrote first; the newest record, `None` if the object is gone.
    Conflict(Option<Versioned>),
    /// It may have happened, or not.
    Unknown(ApiError),
    /// Anything else; nothing was changed.
    Failed(ApiError),
}

impl Storage {
    /// Storage for `resources` in `store`.
    pub fn new(store: Arc<dyn Store>, resources: &'static [Resource], hooks: &HookTable) -> Self {
        Self { store, routes: ArcSwap::from_pointee(Routes::new(resources, hooks)) }
    }

    /// The resources as they are now.
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    /// Changes the resources for every request that comes from now on.
    pub fn change_routes(&self, change: impl Fn(&mut Routes)) {
        self.routes.rcu(|routes| {
            let mut routes = Routes::clone(routes);
            change(&mut routes);
            routes
        });
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The newest revision.
    pub async fn revision(&self) -> Result<Revision, ApiError> {
        self.store.revision().await.map_err(failure::of_store)
    }

    /// One object's newest record.
    pub async fn get(
        &self,
        entry: &Entry,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Versioned>, ApiError> {
        self.store.get(&entry.key(namespace, name)).await.map_err(failure::of_store)
    }

    /// One object's newest record and form; 404 if it does not exist.
    pub async fn require(
        &self,
        entry: &Entry,
        namespace: &str,
        name: &str,
    ) -> Result<(Versioned, Arc<Form>), ApiError> {
        let record = self.get(entry, namespace, name).await?;
        let record =
            record.ok_or_else(|| ApiError::not_found(&entry.resource.group, &entry.resource.plural, name))?;
        let form = Form::of(&record, entry)?;
        Ok((record, form))
    }

    /// Records of a namespace, or (empty) of all.
    pub async fn range(
        &self,
        entry: &Entry,
        namespace: &str,
        options: RangeOptions,
    ) -> Result<Page, StoreError> {
        self.store.range(&entry.prefix(namespace), options).await
    }

    /// Stores a new version of an object, as it must be after `expect`.
    pub async fn put(
        &self,
        entry: &Entry,
        tree: &Tree,
        key: &steersman_store::Key,
        expect: Expect,
    ) -> Result<(Versioned, Arc<Form>), CommitError> {
        let value = entry.encode_stored(tree).map_err(|why| CommitError::Failed(ApiError::internal(why)))?;
        if value.len() > MAX_OBJECT_BYTES {
            return Err(CommitError::Failed(failure::too_large(value.len(), MAX_OBJECT_BYTES)));
        }
        let record = self.commit(key, expect, Change::Put(value)).await?;
        if entry.is_stored_as_served() {
            Form::seed(&record, entry);
        }
        let form = Form::of(&record, entry).map_err(CommitError::Failed)?;
        Ok((record, form))
    }

    /// Removes an object that is still as it was at `expect`. The record carries the removal's revision.
    pub async fn remove(
        &self,
        key: &steersman_store::Key,
        expect: Revision,
    ) -> Result<Versioned, CommitError> {
        self.commit(key, Expect::ModRevision(expect), Change::Delete).await
    }

    async fn commit(
        &self,
        key: &steersman_store::Key,
        expect: Expect,
        change: Change,
    ) -> Result<Versioned, CommitError> {
        self.store.commit(key, expect, change).await.map_err(|error| match error {
            StoreError::Conflict(newest) => CommitError::Conflict(newest),
            unknown @ StoreError::Uncertain(_) => CommitError::Unknown(failure::of_store(unknown)),
            other => CommitError::Failed(failure::of_store(other)),
        })
    }

    /// What an index needs to follow a resource; `None` if it is not served.
    pub fn source(&self, group: &str, resource: &str) -> Option<Source> {
        let entry = self.routes().find_any_version(group, resource)?;
        let prefix = entry.prefix("");
        let decode = move |record: &Versioned| match Form::of(record, &entry) {
            Ok(form) => Some(form.tree()),
            Err(_) => None,
        };
        Some(Source { store: self.store.clone(), prefix, decode: Box::new(decode) })
    }

    /// How much there is of a resource; the sizes of the first `sample` objects stand for those of all.
    pub async fn size(&self, entry: &Entry, sample: usize) -> Result<Size, ApiError> {
        let options = RangeOptions { limit: Some(sample), ..RangeOptions::default() };
        let page = self.range(entry, "", options).await.map_err(failure::of_store)?;
        let bytes: u64 = page.records.iter().map(|record| record.value.len() as u64).sum();
        let sampled = page.records.len() as u64;
        let objects = sampled + page.remaining as u64;
        Ok(Size { objects, average_bytes: bytes.div_ceil(sampled.max(1)) })
    }

    /// All objects of a resource as trees, at one revision.
    pub async fn trees(
        &self,
        entry: &Entry,
        namespace: &str,
    ) -> Result<(Vec<Arc<Tree>>, Revision), ApiError> {
        let page = self.range(entry, namespace, RangeOptions::default()).await.map_err(failure::of_store)?;
        let trees: Result<Vec<_>, ApiError> =
            page.records.iter().map(|record| Ok(Form::of(record, entry)?.tree())).collect();
        Ok((trees?, page.revision))
    }
}

impl ObjectReader for Storage {
    fn get(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> BoxFuture<'_, Option<Arc<Tree>>> {
        let Some(entry) = self.routes().find_any_version(group, resource) else {
            return Box::pin(std::future::ready(None));
        };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Box::pin(async move {
            match self.require(&entry, &namespace, &name).await {
                Ok((_, form)) => Some(form.tree()),
                Err(error) if error.code == 404 => None,
                Err(error) => {
                    tracing::error!(resource = %entry.resource.plural, namespace, name, %error, "cannot read an object");
                    None
                }
            }
        })
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> BoxFuture<'_, Vec<Arc<Tree>>> {
        let Some(entry) = self.routes().find_any_version(group, resource) else {
            return Box::pin(std::future::ready(Vec::new()));
        };
        let namespace = namespace.to_owned();
        Box::pin(async move {
            self.trees(&entry, &namespace).await.map_or_else(
                |error| {
                    tracing::error!(resource = %entry.resource.plural, namespace, %error, "cannot list objects");
                    Vec::new()
                },
                |(trees, _)| trees,
            )
        })
    }
}
