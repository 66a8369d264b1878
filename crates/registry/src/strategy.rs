//! The rules of one resource, as the generic server calls them.

use std::collections::BTreeMap;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::rules;
use crate::tree::Read;

/// What a rule may know beside the object.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The time of the request.
    pub now: jiff::Timestamp,
    /// The subresource that is written (`status`, `scale`, …); `None` for the object itself.
    pub subresource: Option<&'static str>,
    /// The name of the user who writes.
    pub user: String,
    /// The user's uid; empty where there is none.
    pub uid: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What the authenticator knows beside (`authentication.kubernetes.io/pod-name`, …).
    pub extra: BTreeMap<String, Vec<String>>,
    /// The labels of the object's namespace, for a strategy that [reads](Strategy::reads_namespace) them.
    pub namespace_labels: BTreeMap<String, String>,
}

/// What a delete does with the objects that an object owns, if the request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They go too, after it.
    Delete,
    /// They stay, without their owner.
    Orphan,
    /// It can own nothing: even what the request says is not written down.
    None,
}

/// The rules of one resource. Pure: no store, no HTTP, no clock.
///
/// The server calls, on create: `apply_defaults`, `prepare_for_create`, admission, `validate`; on update:
/// `apply_defaults`, `prepare_for_update`, admission, `validate_update`. `apply_*` and `prepare_*` mutate and cannot
/// fail; `validate*` can fail and cannot mutate. What every object shares (names, labels, annotations, owner
/// references, finalizers, immutable metadata, resourceVersion, uid, creationTimestamp, managedFields) is the
/// server's part, in `steersman_apimachinery`.
pub trait Strategy: Send + Sync + 'static {
    /// Fills in what the user left out. Running it twice changes nothing.
    fn apply_defaults(&self, _tree: &mut Tree) {}

    /// Drops what a creator may not set (status) and sets what the server sets (generation).
    fn prepare_for_create(&self, _tree: &mut Tree, _context: &Context) {}

    /// The same for an update, of the object or (by `context.subresource`) of its subresource: keeps `status` on a
    /// spec update and everything but `status` on a status update, and counts the generation.
    fn prepare_for_update(&self, _new: &mut Tree, _old: &Tree, _context: &Context) {}

    /// Reports every problem of a new object, not only the first.
    fn validate(&self, _tree: &Tree, _context: &Context) -> ErrorList {
        ErrorList::default()
    }

    /// Reports every problem of an update, immutable fields included.
    fn validate_update(&self, _new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        ErrorList::default()
    }

    /// Whether validation looks at the labels of the object's namespace: the server finds them out for it.
    fn reads_namespace(&self) -> bool {
        false
    }

    /// Warnings to send as headers on create and update (KEP-1693).
    fn warnings(&self, _new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        Vec::new()
    }

    /// What a name may look like: a DNS-1123 subdomain unless the kind says otherwise. Gives the problems.
    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        steersman_apimachinery::names::dns1123_subdomain_problems(name, prefix)
    }

    /// The grace period of a delete, in seconds, where the kind is deleted gracefully (pods): `None` deletes at once.
    /// `asked` is the request's `gracePeriodSeconds`.
    fn grace_period_seconds(&self, _object: &Tree, _asked: Option<i64>) -> Option<i64> {
        None
    }

    /// What a delete does with what the object owns, if neither the request nor a finalizer says.
    fn default_dependents(&self) -> Dependents {
        Dependents::Delete
    }

    /// Marks an object whose `deletionTimestamp` has just been set: a kind that counts generations counts this as a
    /// change, and a namespace becomes `Terminating`.
    fn mark_deleted(&self, tree: &mut Tree) {
        if let Some(generation) = tree.int("metadata.generation").filter(|generation| *generation > 0) {
            rules::set_generation(tree, generation + 1);
        }
    }

    /// Whether something beside `metadata.finalizers` keeps a deleted object (a namespace's `spec.finalizers`).
    fn holds_deletion(&self, _tree: &Tree) -> bool {
        false
    }

    /// Whether a PUT of a name that does not exist creates it.
    fn allows_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update may leave `resourceVersion` out.
    fn allows_unconditional_update(&self) -> bool {
        true
    }
}
