//! What a resource does beyond the generic path when it is stored: addresses and ports that are allocated. The generic
//! path knows only [`Hooks`]; who has which stands in one table.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

/// What a resource may add to the generic path. Everything defaults to nothing.
pub trait Hooks: Send + Sync + 'static {
    /// Before a create (`old` is `None`) or an update is validated: takes what must be unique in the cluster
    /// (addresses, ports) and writes it into `new`. What was taken is given back when the [`Reservation`] is dropped
    /// before it is kept.
    fn reserve(&self, _new: &mut Tree, _old: Option<&Tree>) -> Result<Reservation, ApiError> {
        Ok(Reservation::default())
    }

    /// Whether [`Self::restore`] must see the stored objects.
    fn restores(&self) -> bool {
        false
    }

    /// Takes in an object that is stored already, when the server starts.
    fn restore(&self, _stored: &Tree) {}

    /// After the object is gone from the store: gives back what it had.
    fn released(&self, _old: &Tree) {}

    /// Whether the answer to an immediate deletion is the object instead of a `Status`.
    fn answers_delete_with_object(&self) -> bool {
        false
    }
}

/// Something taken for an object that is not stored yet.
#[derive(Default)]
pub struct Reservation(Option<Box<dyn FnOnce(Outcome) + Send>>);

/// What became of the object that something was reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// It is not.
    Abandoned,
}

impl Reservation {
    /// A reservation that calls `settle` once its fate is known.
    pub fn new(settle: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// The object is stored.
    pub fn keep(mut self) {
        self.settle(Outcome::Stored);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(settle) = self.0.take() {
            settle(outcome);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
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
