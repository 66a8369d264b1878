//! The trait and its types. What is promised here, `suite` checks against every implementation.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc;

/// A future that a [`Store`] hands out; boxed, so that a server holds any store as `Arc<dyn Store>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point in the store's history. The empty store is at revision 1, as etcd is; every commit adds one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One key, such as `/registry/pods/default/web-0`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Wraps a full path.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// The full path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning that all keys of a range or a watch share. It ends in `/` unless it is one whole key, so that
/// `/registry/pods/a/` never matches `/registry/pods/ab/…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Wraps a beginning of keys.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self(path.into())
    }

    /// The text that keys begin with.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this stands for everything below a path (it ends in `/`, or is empty: every key), not one key.
    pub fn is_directory(&self) -> bool {
        self.0.is_empty() || self.0.ends_with('/')
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &Key) -> bool {
        if self.is_directory() {
            key.as_str().starts_with(self.as_str())
        } else {
            key.as_str() == self.as_str()
        }
    }
}

impl std::borrow::Borrow<str> for Prefix {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One version of one key. Immutable, and shared between the store, every reader and every watcher.
#[derive(Debug)]
pub struct Record {
    /// Where it lives.
    pub key: Key,
    /// What was committed, byte for byte.
    pub value: Bytes,
    /// The revision that created the key; equal to `mod_revision` only for its first version.
    pub create_revision: Revision,
    /// The revision that wrote this version.
    pub mod_revision: Revision,
    /// What readers made from `value`.
    pub derived: Derived,
}

/// A shared [`Record`].
pub type Versioned = Arc<Record>;

/// A slot in which the layer above keeps what it derives from a record (its served bytes, its decoded form), so
/// that all readers share one copy and it goes when the record goes. The store never looks inside.
#[derive(Default)]
pub struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Derived {
    /// The value kept here, made by `init` the first time. `None` if another type is kept already.
    pub fn get_or_init<T: Any + Send + Sync>(&self, init: impl FnOnce() -> T) -> Option<Arc<T>> {
        self.0.get_or_init(|| Arc::new(init())).clone().downcast().ok()
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "Derived(set)" } else { "Derived(empty)" })
    }
}

/// What must hold of a key for a commit to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key's newest version was written at this revision.
    ModRevision(Revision),
}

/// What a commit does to its key.
#[derive(Clone, Debug)]
pub enum Change {
    /// Writes this value.
    Put(Bytes),
    /// Removes the key. The removal has a revision of its own.
    Delete,
}

/// Which part of a prefix to read, and as of when.
#[derive(Clone, Debug, Default)]
pub struct RangeOptions {
    /// The revision to read at; the newest if `None`. Older than the compaction: [`StoreError::Compacted`]; newer
    /// than the store: [`StoreError::Future`].
    pub at: Option<Revision>,
    /// Start after this key (it need not exist); from the beginning if `None`.
    pub after: Option<Key>,
    /// At most this many records; all if `None`. With 0, only [`Page::remaining`] is told: a count.
    pub limit: Option<usize>,
}

/// Records of one prefix in key order, all as they were at one revision.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Versioned>,
    /// The revision they were read at.
    pub revision: Revision,
    /// How many more records follow the last one at that revision; 0 on the last page.
    pub remaining: usize,
}

/// One change, as a watcher sees it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The key was written. `previous` is `None` exactly if this created the key.
    Put {
        /// The new version.
        record: Versioned,
        /// The version it replaced.
        previous: Option<Versioned>,
    },
    /// The key was removed at `revision`.
    Delete {
        /// The last version.
        previous: Versioned,
        /// The revision of the removal.
        revision: Revision,
    },
}

impl Event {
    /// The revision that this change made.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put { record, .. } => record.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The key that changed.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { record, .. } => &record.key,
            Self::Delete { previous, .. } => &previous.key,
        }
    }
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The watcher did not keep up with its bounded queue; it must list again.
    #[error("the watcher was too slow and has been cut off")]
    TooSlow,
    /// The store is shutting down or lost its backend.
    #[error("the store closed the watch")]
    Closed,
}

/// A stream of changes in revision order, none lost and none twice.
///
/// Its queue is bounded: a watcher that falls behind gets every queued event and then [`WatchError::TooSlow`].
/// Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    events: mpsc::Receiver<Event>,
    end: Arc<OnceLock<WatchError>>,
    progress: Arc<AtomicU64>,
    /// The last value of `progress` seen while the watch was known to be whole.
    reached: AtomicU64,
}

impl Watch {
    /// A watch that is fed through `events`. The store sets `end` before it drops its sender, and advances
    /// `progress` only after the events up to that revision are queued or `end` is set, so that one counter can
    /// serve all watches of a store. What `progress` says at this moment must be queued already.
    pub fn new(
        events: mpsc::Receiver<Event>,
        end: Arc<OnceLock<WatchError>>,
        progress: Arc<AtomicU64>,
    ) -> Self {
        let reached = AtomicU64::new(progress.load(Ordering::Acquire));
        Self { events, end, progress, reached }
    }

    /// Waits for the next event. Cancel-safe.
    pub async fn next(&mut self) -> Result<Event, WatchError> {
        match self.events.recv().await {
            Some(event) => Ok(event),
            None => Err(self.end.get().copied().unwrap_or(WatchError::Closed)),
        }
    }

    /// The next event if one is queued already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// A revision up to which every event is queued or taken already: read this, then drain [`Self::try_next`],
    /// and a bookmark at this revision is true.
    pub fn progress(&self) -> Revision {
        let now = self.progress.load(Ordering::Acquire);
        // A watch that was cut off misses what came after: its progress stays where it was last seen whole.
        if self.end.get().is_none() {
            self.reached.fetch_max(now, Ordering::AcqRel);
        }
        Revision(self.reached.load(Ordering::Acquire))
    }
}

/// Why an operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// `expect` did not hold; nothing was changed. Carries the newest version, `None` if the key does not exist.
    #[error("the key is not in the expected state")]
    Conflict(Option<Versioned>),
    /// The history asked for is gone.
    #[error("revision {asked} has been compacted; the oldest retained is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest revision that can still be read or watched from.
        oldest: Revision,
    },
    /// The revision asked for has not happened yet.
    #[error("revision {asked} is in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// The newest revision.
        newest: Revision,
    },
    /// There is no room for the write. Reads go on; writes succeed again when there is room.
    #[error("no space left for the store: {0}")]
    NoSpace(String),
    /// The write may or may not have happened.
    #[error("the outcome of the write is unknown: {0}")]
    Uncertain(String),
    /// The store cannot be reached or has stopped.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Stored data is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
}

/// An ordered, multi-version map. Every change gets the next revision.
pub trait Store: Send + Sync + 'static {
    /// The newest version of `key`, at least as new as every write acknowledged before the call.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>>;

    /// The records of `prefix` as they were at one revision, at least as new as every write acknowledged before
    /// the call unless `options.at` names an older one.
    fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        options: RangeOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// The only way to change anything. Durable when it returns (a store may name prefixes for which this holds only
    /// a bounded time later). Gives the new version, or for a delete the removed version with `mod_revision` set to
    /// the removal's revision. Deleting what does not exist is a [`StoreError::Conflict`]. A caller that drops the
    /// future does not know whether the change happens.
    fn commit<'a>(
        &'a self,
        key: &'a Key,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'a, Result<Versioned, StoreError>>;

    /// Every change of `prefix` after revision `after`, in order, none twice; [`StoreError::Compacted`] if that
    /// history is gone. `after` may be the current revision, not a later one.
    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> BoxFuture<'a, Result<Watch, StoreError>>;

    /// The newest revision.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// Forgets the history up to and including `through`, except what is still current: `through` is then the oldest
    /// revision to read at and to watch after. Doing so again changes nothing; a revision that has not happened yet
    /// is [`StoreError::Future`].
    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), StoreError>>;
}
