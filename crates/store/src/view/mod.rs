//! The in-memory multi-version view of a log of revisions: what every store serves its reads and watches from.
//!
//! A store feeds it with events in revision order ([`View::publish`]); the view is also the watch cache, there is no
//! second copy. Versions are shared (`Arc`) between the map, the history, readers and watchers. Because old versions
//! stay readable, a long list needs no consistent snapshot of the map: it reads in steps at one revision and lets
//! writers through in between.

mod hub;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::contract::{Event, Key, Page, Prefix, RangeOptions, Revision, StoreError, Versioned, Watch};
use hub::Hub;
use state::{State, version_at};

/// How many keys or events are looked at before others get the lock: some tens of microseconds.
const STEP: usize = 1024;

/// What bounds the memory of a [`View`] beside the live data.
#[derive(Clone, Debug)]
pub struct ViewLimits {
    /// The most events kept as history.
    pub history_events: usize,
    /// The most bytes that those events may hold.
    pub history_bytes: usize,
    /// How many events a watcher may be behind before it is cut off.
    pub watch_queue: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self { history_events: 100_000, history_bytes: 64 << 20, watch_queue: 8192 }
    }
}

/// See the module's text.
pub struct View {
    /// Taken before `state`, held while events are published or a watch begins: that makes the boundary between
    /// history and live events exact. Plain reads never take it.
    hub: Mutex<Hub>,
    state: RwLock<State>,
    /// The revisions that long reads are at, and how many of them. Added to only under `state`'s lock.
    pins: Mutex<BTreeMap<Revision, usize>>,
    /// Up to here every watcher has what concerns it.
    progress: Arc<AtomicU64>,
    limits: ViewLimits,
}

impl View {
    /// An empty view at revision 1.
    pub fn new(limits: ViewLimits) -> Self {
        Self {
            hub: Mutex::default(),
            state: RwLock::new(State::new()),
            pins: Mutex::default(),
            progress: Arc::new(AtomicU64::new(1)),
            limits,
        }
    }

    /// Makes changes visible to readers, all at once, and then to watchers. The events must follow the newest
    /// revision in order, and `previous` must be what [`Self::get`] gave. When this returns, both have them.
    pub fn publish(&self, events: &[Event]) {
        let mut hub = self.hub.lock();
        let mut state = self.state.write();
        for event in events {
            state.apply(event.clone());
        }
        state.bound_history(self.limits.history_events, self.limits.history_bytes);
        let forgotten = state.trim(self.oldest_pin(), events.len() + STEP);
        let revision = state.revision;
        drop(state);
        for event in events {
            hub.send(event);
        }
        self.progress.store(revision.0, Ordering::Release);
        drop(hub);
        drop(forgotten);
    }

    /// Takes in a version that is current and whose event is not known, as when reading a snapshot. Its revision may
    /// be older than what is here already; a key that exists already is left as it is. Nobody is told: only for
    /// filling a view before it is served, and followed by [`Self::skip_to`].
    pub fn load(&self, record: Versioned) -> bool {
        self.state.write().load(record)
    }

    /// Advances to `revision` without an event (an empty revision, a progress notification). Watchers stay.
    pub fn advance(&self, revision: Revision) {
        let _hub = self.hub.lock();
        let mut state = self.state.write();
        state.revision = state.revision.max(revision);
        self.progress.store(state.revision.0, Ordering::Release);
    }

    /// Advances to `revision` and forgets what was before, as nobody could tell it truly.
    pub fn skip_to(&self, revision: Revision) {
        let hub = self.hub.lock();
        let mut state = self.state.write();
        state.skip_to(revision);
        self.progress.store(state.revision.0, Ordering::Release);
        drop(state);
        drop(hub);
        self.collect_garbage();
    }

    /// The newest revision.
    pub fn revision(&self) -> Revision {
        self.state.read().revision
    }

    /// The oldest revision that can be read or watched from.
    pub fn oldest(&self) -> Revision {
        self.state.read().floor
    }

    /// The newest version of `key`.
    pub fn get(&self, key: &Key) -> Option<Versioned> {
        self.find(key.as_str())
    }

    /// The same by the text of the key.
    pub fn find(&self, key: &str) -> Option<Versioned> {
        self.state.read().current(key).cloned()
    }

    /// See [`crate::Store::range`].
    pub fn range(&self, prefix: &Prefix, options: &RangeOptions) -> Result<Page, StoreError> {
        let mut scan = Scan::new(options);
        let pin = {
            let state = self.state.read();
            let revision = options.at.unwrap_or(state.revision);
            state.readable(revision)?;
            scan.revision = revision;
            if scan.step(&state, prefix) {
                return Ok(scan.into_page());
            }
            self.pin(revision)
        };
        while !scan.step(&self.state.read(), prefix) {}
        drop(pin);
        Ok(scan.into_page())
    }

    /// See [`crate::Store::watch`]. History is queued in addition to the bounded queue.
    pub fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        let mut events = Vec::new();
        let mut reached = after;
        // Most of the history is collected while others go on; only the end of it is taken under the lock.
        loop {
            let state = self.state.read();
            state.readable(reached)?;
            let before = reached;
            reached = state.events_after(prefix, reached, STEP, &mut events);
            if reached == state.revision || reached == before {
                break;
            }
        }
        let mut hub = self.hub.lock();
        if hub.closed {
            return Err(StoreError::Unavailable("it has been closed".to_owned()));
        }
        let state = self.state.read();
        state.readable(reached)?;
        state.events_after(prefix, reached, usize::MAX, &mut events);
        drop(state);
        let (sender, receiver) = mpsc::channel(events.len() + self.limits.watch_queue);
        for event in events {
            sender.try_send(event).expect("the queue has room for the history");
        }
        let end = Arc::default();
        hub.add(prefix, sender, Arc::clone(&end));
        Ok(Watch::new(receiver, end, Arc::clone(&self.progress)))
    }

    /// See [`crate::Store::compact`].
    pub fn compact(&self, through: Revision) -> Result<(), StoreError> {
        {
            let mut state = self.state.write();
            if through > state.revision {
                return Err(StoreError::Future { asked: through, newest: state.revision });
            }
            state.floor = state.floor.max(through);
        }
        self.collect_garbage();
        Ok(())
    }

    /// Ends every watch with [`crate::WatchError::Closed`] and refuses new ones. Reads go on.
    pub fn close(&self) {
        self.hub.lock().close();
    }

    fn collect_garbage(&self) {
        while self.state.write().trim(self.oldest_pin(), STEP).len() == STEP {}
    }

    fn oldest_pin(&self) -> Option<Revision> {
        self.pins.lock().first_key_value().map(|(revision, _)| *revision)
    }

    fn pin(&self, revision: Revision) -> Pin<'_> {
        *self.pins.lock().entry(revision).or_default() += 1;
        Pin { view: self, revision }
    }
}

/// Keeps what is readable at a revision until dropped, whatever is compacted meanwhile.
struct Pin<'a> {
    view: &'a View,
    revision: Revision,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut pins = self.view.pins.lock();
        let count = pins.get_mut(&self.revision).expect("a pin is counted until it is dropped");
        *count -= 1;
        if *count == 0 {
            pins.remove(&self.revision);
        }
        drop(pins);
        if self.view.state.read().has_garbage() {
            self.view.collect_garbage();
        }
    }
}

/// A range read under way.
struct Scan {
    revision: Revision,
    after: Option<Key>,
    limit: usize,
    records: Vec<Versioned>,
    remaining: usize,
}

impl Scan {
    fn new(options: &RangeOptions) -> Self {
        Self {
            revision: Revision::default(),
            after: options.after.clone(),
            limit: options.limit.unwrap_or(usize::MAX),
            records: Vec::new(),
            remaining: 0,
        }
    }

    /// Looks at some keys; `true` when there are no more.
    fn step(&mut self, state: &State, prefix: &Prefix) -> bool {
        let after = self.after.take();
        let mut chains = state.chains(prefix, after.as_ref().map(Key::as_str));
        let mut last = None;
        for (key, chain) in chains.by_ref().take(STEP) {
            last = Some(key);
            match version_at(chain, self.revision) {
                Some(version) if self.records.len() < self.limit => self.records.push(version.clone()),
                Some(_) => self.remaining += 1,
                None => {}
            }
        }
        self.after = last.cloned();
        self.after.is_none() || chains.next().is_none()
    }

    fn into_page(self) -> Page {
        Page { records: self.records, revision: self.revision, remaining: self.remaining }
    }
}

#[cfg(test)]
mod tests;
