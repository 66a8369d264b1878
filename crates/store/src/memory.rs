//! The store for tests and simulations: a [`View`] with nothing behind it.

use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;

use crate::contract::{
    BoxFuture, Change, Expect, Key, Page, Prefix, RangeOptions, Revision, Store, StoreError, Versioned, Watch,
};
use crate::retention::{Clock, Retention, system_clock};
use crate::transition::transition;
use crate::view::{View, ViewLimits};

/// Keeps everything in memory and loses it when dropped.
pub struct MemoryStore {
    view: View,
    /// Held for the whole of a commit, so that commits happen one after the other.
    retention: Mutex<Retention>,
    clock: Clock,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(ViewLimits::default(), Retention::UPSTREAM, system_clock())
    }
}

impl MemoryStore {
    /// An empty store that keeps at least `keep` of history, within `limits`.
    pub fn new(limits: ViewLimits, keep: Duration, clock: Clock) -> Self {
        Self { view: View::new(limits), retention: Mutex::new(Retention::new(keep)), clock }
    }

    /// The view that serves all reads.
    pub fn view(&self) -> &View {
        &self.view
    }

    fn commit_now(&self, key: &Key, expect: Expect, change: Change) -> Result<Versioned, StoreError> {
        let mut retention = self.retention.lock();
        let revision = Revision(self.view.revision().0 + 1);
        let done = transition(key, self.view.get(key).as_ref(), expect, change, revision)?;
        self.view.publish(&[done.event]);
        if let Some(through) = retention.observe((self.clock)(), revision) {
            self.view.compact(through)?;
        }
        Ok(done.result)
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        async move { Ok(self.view.get(key)) }.boxed()
    }

    fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        options: RangeOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        async move { self.view.range(prefix, &options) }.boxed()
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'a, Result<Versioned, StoreError>> {
        async move { self.commit_now(key, expect, change) }.boxed()
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> BoxFuture<'a, Result<Watch, StoreError>> {
        async move { self.view.watch(prefix, after) }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { Ok(self.view.revision()) }.boxed()
    }

    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.view.compact(through) }.boxed()
    }
}
