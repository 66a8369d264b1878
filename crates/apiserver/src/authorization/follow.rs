//! Indexes that follow the store: list, then watch; after a gap, list again. A [`Position`] says how far an index has
//! come, and lets a reader wait for it.

use std::sync::Arc;
use std::time::Duration;

use steersman_apimachinery::Tree;
use steersman_store::{Event, Prefix, RangeOptions, Revision, Store, StoreError, Versioned, WatchError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long to wait before the store is asked again after a failure.
const RETRY: Duration = Duration::from_millis(500);

/// One step of an index.
#[derive(Clone, Debug)]
pub enum Change {
    /// These are all objects of the resource that there are. Taken in at once: nobody sees a part of them.
    Replace(Vec<Arc<Tree>>),
    /// An object was written.
    Put(Arc<Tree>),
    /// An object was removed; its last version.
    Delete(Arc<Tree>),
}

/// Something in memory that is made of all objects of some resources.
pub trait Index: Send + Sync + 'static {
    /// Group and plural of the resources it is made of.
    fn resources(&self) -> &'static [(&'static str, &'static str)];

    /// Takes in one change of one of them.
    fn apply(&self, resource: &str, change: Change);
}

/// Reads a record; `None` if it cannot be read.
pub type Decode = Box<dyn Fn(&Versioned) -> Option<Arc<Tree>> + Send + Sync>;

/// Where the objects of one resource are, and how a record is read.
pub struct Source {
    /// The store.
    pub store: Arc<dyn Store>,
    /// All its records of the resource.
    pub prefix: Prefix,
    /// The object of a record; it logs what it cannot read.
    pub decode: Decode,
}

/// How far an index has come with one resource, and how far somebody needs it to come.
pub struct Position {
    wanted: watch::Sender<Revision>,
    /// Everything up to here is in the index; `None` until it has read the store for the first time.
    reached: watch::Sender<Option<Revision>>,
}

impl Default for Position {
    fn default() -> Self {
        Self { wanted: watch::Sender::new(Revision(0)), reached: watch::Sender::new(None) }
    }
}

impl Position {
    /// Whether everything that existed at the start is in.
    pub fn is_synced(&self) -> bool {
        self.reached.borrow().is_some()
    }

    /// Waits until everything that existed at the start is in.
    pub async fn synced(&self) {
        self.reach(Revision(0)).await;
    }

    /// Asks the index to come as far as `revision`, without waiting.
    pub fn want(&self, revision: Revision) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, revision.max(*wanted)) < revision);
    }

    /// Waits until everything up to `revision` is in; somebody must have asked for it.
    pub async fn reach(&self, revision: Revision) {
        // The sender is ours, so the channel is open.
        let _ = self.reached.subscribe().wait_for(|reached| *reached >= Some(revision)).await;
    }

    /// For a resource that nobody serves: there is nothing to wait for.
    pub fn set_complete(&self) {
        self.reached.send_replace(Some(Revision(u64::MAX)));
    }
}

/// Keeps `index` at what `source` has of `resource` until `stop`, and `position` at how far that is.
pub async fn follow(
    source: Source,
    resource: &'static str,
    index: Arc<dyn Index>,
    position: Arc<Position>,
    stop: CancellationToken,
) {
    let follower = Follower { source, resource, index, position };
    while let Some(outcome) = stop.run_until_cancelled(follower.once()).await {
        match outcome {
            Gap::Behind => tracing::debug!(resource, "an index fell behind its watch and lists again"),
            Gap::Failed(error) => {
                tracing::warn!(resource, %error, "an index cannot follow the store");
                if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                    return;
                }
            }
        }
    }
}

struct Follower {
    source: Source,
    resource: &'static str,
    index: Arc<dyn Index>,
    position: Arc<Position>,
}

/// Why following stopped.
enum Gap {
    Behind,
    Failed(StoreError),
}

impl From<StoreError> for Gap {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Compacted { .. } => Self::Behind,
            error => Self::Failed(error),
        }
    }
}

impl From<WatchError> for Gap {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::TooSlow => Self::Behind,
            WatchError::Closed => Self::Failed(StoreError::Unavailable("the watch was closed".to_owned())),
        }
    }
}

impl Follower {
    async fn once(&self) -> Gap {
        match self.list_and_watch().await {
            Ok(never) => match never {},
            Err(gap) => gap,
        }
    }

    async fn list_and_watch(&self) -> Result<std::convert::Infallible, Gap> {
        let Source { store, prefix, .. } = &self.source;
        let mut wanted = self.position.wanted.subscribe();
        let page = store.range(prefix, RangeOptions::default()).await?;
        let objects = page.records.iter().filter_map(|record| (self.source.decode)(record)).collect();
        self.index.apply(self.resource, Change::Replace(objects));
        self.position.reached.send_replace(Some(page.revision));
        let mut events = store.watch(prefix, page.revision).await?;
        loop {
            // Both are cancel-safe: an event stays queued, a wish stays to be seen.
            tokio::select! {
                event = events.next() => self.take(&event?),
                _ = wanted.changed() => {}
            }
            let progress = events.progress();
            while let Some(event) = events.try_next() {
                self.take(&event);
            }
            self.position.reached.send_replace(Some(progress));
        }
    }

    fn take(&self, event: &Event) {
        match event {
            Event::Put { record, .. } => self.apply(record, Change::Put),
            Event::Delete { previous, .. } => self.apply(previous, Change::Delete),
        }
    }

    fn apply(&self, record: &Versioned, change: fn(Arc<Tree>) -> Change) {
        if let Some(object) = (self.source.decode)(record) {
            self.index.apply(self.resource, change(object));
        }
    }
}

#[cfg(test)]
mod tests;
