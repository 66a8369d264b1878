//! The definitions of custom resources as the store has them, and the rows that they add to the served resources.
//!
//! A definition is served from when its names are accepted on, which is before it is called established: who waits for
//! `Established` can use it at once. Its rows change when its specification or its names do; requests, lists and
//! watches that are under way keep the row they began with, and watches of it end then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_controller_runtime::{Backoff, WorkQueue};
use steersman_store::Revision;

use super::status::Taken;
use super::{conditions, rows};
use crate::authorization::{Change, Index, Position};
use crate::routes::Entry;
use crate::storage::Storage;

/// How long a request for something unknown waits for news at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// The wait after a failure, and between looks at objects that must go before their definition.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) };

/// Every definition that there is.
pub struct Definitions {
    storage: Arc<Storage>,
    known: Mutex<BTreeMap<String, Known>>,
    /// How far the store has been read.
    pub position: Arc<Position>,
    /// Names of definitions whose status or objects may have to be seen to.
    pub queue: WorkQueue<String>,
}

struct Known {
    tree: Arc<Tree>,
    served: Served,
}

/// What is served of a definition.
#[derive(Default)]
struct Served {
    /// What the rows were made of.
    basis: Tree,
    entries: Vec<Arc<Entry>>,
}

impl Definitions {
    /// Nothing yet; [`Index::apply`] fills it and the routes of `storage`.
    pub fn new(storage: Arc<Storage>) -> Self {
        let (known, position) = (Mutex::default(), Arc::default());
        Self { storage, known, position, queue: WorkQueue::new(BACKOFF) }
    }

    /// The newest known version of a definition.
    pub fn get(&self, name: &str) -> Option<Arc<Tree>> {
        self.known.lock().get(name).map(|known| known.tree.clone())
    }

    /// Whether requests for the objects of this very definition are answered.
    pub fn serves(&self, definition: &Tree) -> bool {
        let known = self.known.lock();
        known
            .get(definition.name())
            .is_some_and(|known| known.tree.uid() == definition.uid() && !known.served.entries.is_empty())
    }

    /// The names that are in use in a group.
    pub fn taken(&self, group: &str) -> Taken {
        let mut taken = Taken::default();
        let known = self.known.lock();
        known.values().filter(|k| k.tree.str_at("spec.group") == group).for_each(|k| taken.add(&k.tree));
        taken
    }

    /// Waits until what was written before the call is known, or for a second. Does nothing where nobody follows the
    /// store.
    pub async fn catch_up(&self) {
        if !self.position.is_synced() {
            return;
        }
        match self.storage.revision().await {
            Ok(now) => self.reach(now).await,
            Err(error) => tracing::warn!(message = error.message, "the store does not say how new it is"),
        }
    }

    /// Waits until everything up to `revision` is known, or for a second.
    pub async fn reach(&self, revision: Revision) {
        self.position.want(revision);
        if tokio::time::timeout(PATIENCE, self.position.reach(revision)).await.is_err() {
            tracing::warn!(%revision, "the definitions of custom resources do not follow the store");
        }
    }

    fn put(&self, known: &mut BTreeMap<String, Known>, tree: Arc<Tree>) {
        let name = tree.name().to_owned();
        let before = known.remove(&name).map(|old| old.served).unwrap_or_default();
        let served = self.serve(before, &tree);
        if rows::is_terminating(&tree) {
            served.entries.iter().for_each(|entry| entry.terminate());
        }
        known.insert(name.clone(), Known { tree, served });
        self.queue.add(name);
    }

    fn delete(&self, known: &mut BTreeMap<String, Known>, name: &str) {
        if let Some(gone) = known.remove(name) {
            self.replace(&gone.served.entries, &[]);
            // Its names are free now.
            let group = gone.tree.str_at("spec.group");
            let waiting = known.iter().filter(|(_, other)| {
                other.tree.str_at("spec.group") == group && !conditions::holds(&other.tree, "NamesAccepted")
            });
            waiting.for_each(|(name, _)| self.queue.add(name.clone()));
        }
        self.queue.add(name.to_owned());
    }

    /// Brings the routes from what was served of a definition to what `tree` says.
    fn serve(&self, before: Served, tree: &Tree) -> Served {
        let basis = rows::basis(tree);
        if basis == before.basis {
            return before;
        }
        let entries = match rows::entries(tree) {
            Ok(entries) => entries.into_iter().map(Arc::new).collect(),
            Err(why) => {
                tracing::error!(definition = tree.name(), why, "a custom resource cannot be served");
                Vec::new()
            }
        };
        self.replace(&before.entries, &entries);
        Served { basis, entries }
    }

    fn replace(&self, old: &[Arc<Entry>], new: &[Arc<Entry>]) {
        self.storage.change_routes(|routes| {
            old.iter().for_each(|entry| routes.remove(entry));
            new.iter().for_each(|entry| routes.insert_unless_built_in(entry.clone()));
        });
        old.iter().for_each(|entry| entry.gone.cancel());
    }
}

impl Index for Definitions {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[(super::GROUP, super::PLURAL)]
    }

    fn apply(&self, _resource: &str, change: Change) {
        let mut known = self.known.lock();
        match change {
            Change::Replace(all) => {
                let names: Vec<String> = known.keys().cloned().collect();
                for name in names.iter().filter(|name| !all.iter().any(|tree| tree.name() == name.as_str())) {
                    self.delete(&mut known, name);
                }
                all.into_iter().for_each(|tree| self.put(&mut known, tree));
            }
            Change::Put(tree) => self.put(&mut known, tree),
            Change::Delete(tree) => self.delete(&mut known, tree.name()),
        }
    }
}
