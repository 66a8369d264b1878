//! The store as others see it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::FutureExt;
use parking_lot::Mutex;
use steersman_store::{
    BoxFuture, Change, Expect, Key, Page, Prefix, RangeOptions, Retention, Revision, Store, StoreError,
    Versioned, View, Watch,
};
use tokio::sync::{Semaphore, oneshot};

use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::metrics::{Metrics, WalMetrics};
use crate::options::WalOptions;
use crate::queue::{Queue, Request};
use crate::recover::recover;
use crate::writer::{Shared, Writer};

/// How much may wait to be written, in units of [`ROOM_UNIT`]; whoever comes then waits for room.
const ROOM: u32 = 64 << 10;
/// One kibibyte; a small write takes one.
const ROOM_UNIT: usize = 1 << 10;

/// A store in the files of one directory. Dropping it closes it, which waits for what is being written.
pub struct WalStore {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Told when the writer thread has ended.
    ended: tokio::sync::Mutex<oneshot::Receiver<()>>,
}

impl WalStore {
    /// Opens the store in `dir`, which is made if it does not exist, or starts an empty one. Reads all of the data, so
    /// call it where blocking is fine.
    pub fn open(dir: impl AsRef<Path>, options: WalOptions) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk::open(dir.as_ref())?), options)
    }

    /// The same on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, options: WalOptions) -> Result<Self, OpenError> {
        let view = View::new(options.limits.clone());
        let mut retention = Retention::new(options.keep);
        let metrics = Arc::new(Metrics::default());
        let place = disk.describe("");
        let log = recover(disk, &options, &view, &mut retention, &metrics)?;
        let shared = Arc::new(Shared { queue: Queue::default(), view, metrics, options });
        let writer = Writer::new(shared.clone(), log, retention);
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            // Dropped when the thread ends, in whatever way.
            let _end = end;
            writer.run();
        });
        let thread =
            thread.map_err(|source| OpenError::Io { action: "start the writer for", path: place, source })?;
        let room = Arc::new(Semaphore::new(ROOM as usize));
        Ok(Self { shared, room, writer: Mutex::new(Some(thread)), ended: tokio::sync::Mutex::new(ended) })
    }

    /// Refuses further writes, waits until everything accepted is durable, ends all watches, and lets go of the
    /// directory. Reads go on. Closing again is fine.
    pub async fn close(&self) {
        self.shared.queue.close();
        {
            let mut ended = self.ended.lock().await;
            if !ended.is_terminated() {
                let _always_an_error: Result<(), _> = (&mut *ended).await;
            }
        }
        self.join();
    }

    /// What the store counts about itself.
    pub fn metrics(&self) -> WalMetrics {
        self.shared.metrics.snapshot()
    }

    /// The view that serves all reads.
    pub fn view(&self) -> &View {
        &self.shared.view
    }

    fn join(&self) {
        let thread = self.writer.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the store panicked");
        }
        self.shared.view.close();
    }

    async fn write(&self, key: &Key, expect: Expect, change: Change) -> Result<Versioned, StoreError> {
        let bytes = key.as_str().len() + if let Change::Put(value) = &change { value.len() } else { 0 };
        let units = u32::try_from(bytes / ROOM_UNIT + 1).unwrap_or(ROOM).min(ROOM);
        let room = self.room.clone().acquire_many_owned(units).await;
        let room = room.map_err(|_| StoreError::Unavailable("it has been closed".to_owned()))?;
        let lazy = self.shared.options.lazy.covers(key);
        let request = Request { key, expect, change, lazy, room };
        let answer = self.shared.queue.submit(&self.shared.view, request)?;
        answer.await.unwrap_or_else(|_| {
            Err(StoreError::Uncertain("the store stopped while it was being written".to_owned()))
        })
    }
}

impl Drop for WalStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.join();
    }
}

impl Store for WalStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        async move { Ok(self.shared.view.get(key)) }.boxed()
    }

    fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        options: RangeOptions,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        async move { self.shared.view.range(prefix, &options) }.boxed()
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'a, Result<Versioned, StoreError>> {
        self.write(key, expect, change).boxed()
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> BoxFuture<'a, Result<Watch, StoreError>> {
        async move { self.shared.view.watch(prefix, after) }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { Ok(self.shared.view.revision()) }.boxed()
    }

    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.shared.view.compact(through) }.boxed()
    }
}
