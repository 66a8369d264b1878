//! Indexes that follow the store: list, then watch; after a gap, list again.

use std::sync::Arc;
use std::time::Duration;

use steersman_apimachinery::Tree;
use steersman_store::{Event, Prefix, RangeOptions, Store, StoreError, Versioned, WatchError};
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

/// Keeps `index` at what `source` has of `resource` until `stop`. `synced` becomes true once everything that existed
/// at the start is in, and stays true.
pub async fn follow(
    source: Source,
    resource: &'static str,
    index: Arc<dyn Index>,
    synced: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let follower = Follower { source, resource, index, synced };
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
    synced: watch::Sender<bool>,
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

impl Follower {
    async fn once(&self) -> Gap {
        match self.list_and_watch().await {
            Ok(never) => match never {},
            Err(gap) => gap,
        }
    }

    async fn list_and_watch(&self) -> Result<std::convert::Infallible, Gap> {
        let Source { store, prefix, .. } = &self.source;
        let page = store.range(prefix, RangeOptions::default()).await?;
        let objects = page.records.iter().filter_map(|record| (self.source.decode)(record)).collect();
        self.index.apply(self.resource, Change::Replace(objects));
        self.synced.send_replace(true);
        let mut events = store.watch(prefix, page.revision).await?;
        loop {
            match events.next().await {
                Ok(Event::Put { record, .. }) => self.apply(&record, Change::Put),
                Ok(Event::Delete { previous, .. }) => self.apply(&previous, Change::Delete),
                Err(WatchError::TooSlow) => return Err(Gap::Behind),
                Err(WatchError::Closed) => {
                    return Err(Gap::Failed(StoreError::Unavailable("the watch was closed".to_owned())));
                }
            }
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
