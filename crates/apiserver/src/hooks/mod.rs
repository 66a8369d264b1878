//! What a resource does beyond the generic path when it is stored: addresses and ports that are allocated. The generic
//! path knows only [`Hooks`]; who has which stands in one table.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::request::User;
use crate::server::ApiServer;
use crate::storage::{CommitError, Storage};

/// What a resource may add to the generic path. Everything defaults to nothing.
pub trait Hooks: Send + Sync + 'static {
    /// Before a create (`old` is `None`) or an update is validated: takes what must be unique in the cluster
    /// (addresses, ports) and writes it into `new`. A dry run takes nothing, but shows what could be taken. The caller
    /// settles the [`Reservation`] when it knows what became of the object.
    fn reserve<'a>(
        &'a self,
        _storage: &'a Arc<Storage>,
        _new: &'a mut Tree,
        _old: Option<&'a Tree>,
        _dry_run: bool,
    ) -> BoxFuture<'a, Result<Reservation, ApiError>> {
        Box::pin(std::future::ready(Ok(Reservation::default())))
    }

    /// After the object is gone from the store: gives back what it had.
    fn released<'a>(&'a self, _storage: &'a Arc<Storage>, _old: &'a Tree) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// When the server starts, before it answers anybody but `user`: makes what must exist.
    fn begin<'a>(&'a self, _server: &'a ApiServer, _user: &'a User) -> BoxFuture<'a, Result<(), ApiError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Works beside the requests, until the server stops.
    fn run(self: Arc<Self>, _server: ApiServer, _user: User) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Whether the answer to an immediate deletion is the object instead of a `Status`.
    fn answers_delete_with_object(&self) -> bool {
        false
    }
}

type Settle = Box<dyn FnOnce(Outcome) -> BoxFuture<'static, ()> + Send>;

/// Something taken for an object that is not stored yet. If it is dropped unsettled, what was taken stays taken, until
/// repair finds it unused.
#[derive(Default)]
pub struct Reservation(Option<Settle>);

/// What became of the object that something was reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// It is not.
    Abandoned,
    /// Nobody knows: what was taken may be in use, and so may what would be given up.
    Unknown,
}

impl Outcome {
    /// The outcome that a failed commit leaves.
    pub fn of_failure(error: &CommitError) -> Self {
        match error {
            CommitError::Unknown(_) => Self::Unknown,
            CommitError::Conflict(_) | CommitError::Failed(_) => Self::Abandoned,
        }
    }
}

impl Reservation {
    /// A reservation that calls `settle` once its fate is known.
    pub fn new(settle: impl FnOnce(Outcome) -> BoxFuture<'static, ()> + Send + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// Keeps or gives back what was taken.
    pub async fn settle(self, outcome: Outcome) {
        if let Some(settle) = self.0 {
            settle(outcome).await;
        }
    }
}

/// Which resource has which hooks.
#[derive(Default)]
pub struct HookTable(Vec<(&'static str, &'static str, Arc<dyn Hooks>)>);

/// The hooks of a resource that has none.
struct NoHooks;

impl Hooks for NoHooks {}

/// The hooks of a resource that does nothing beyond the generic path.
pub fn none() -> Arc<dyn Hooks> {
    Arc::new(NoHooks)
}

/// A resource whose deletion is answered with the object.
struct AnswersWithObject;

impl Hooks for AnswersWithObject {
    fn answers_delete_with_object(&self) -> bool {
        true
    }
}

/// Resources whose DELETE is answered with the object, by upstream's OpenAPI.
const ANSWER_WITH_OBJECT: &[(&str, &str)] = &[
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

impl HookTable {
    /// The hooks that need nothing from outside.
    pub fn new() -> Self {
        let mut table = Self::default();
        let answers: Arc<dyn Hooks> = Arc::new(AnswersWithObject);
        for (group, plural) in ANSWER_WITH_OBJECT {
            table.set(group, plural, answers.clone());
        }
        table
    }

    /// Gives a resource its hooks; replaces what it had.
    pub fn set(&mut self, group: &'static str, plural: &'static str, hooks: Arc<dyn Hooks>) {
        self.0.retain(|(g, p, _)| (*g, *p) != (group, plural));
        self.0.push((group, plural, hooks));
    }

    /// The hooks of a resource.
    pub fn of(&self, group: &str, plural: &str) -> Arc<dyn Hooks> {
        let found = self.0.iter().find(|(g, p, _)| *g == group && *p == plural);
        found.map_or_else(none, |(_, _, hooks)| hooks.clone())
    }
}
