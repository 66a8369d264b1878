//! Where commits wait for the writer thread. A commit is decided, and its revision assigned, when it enters.
//!
//! The newest state of a key is what is queued for it, else what the view has; so writers of one key need not wait for
//! each other's disk write to be decided, only to be answered.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use steersman_store::{Change, Expect, Key, Revision, StoreError, Transition, Versioned, View, transition};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What [`steersman_store::Store::commit`] gives.
pub type Reply = Result<Versioned, StoreError>;

/// The most payload of one frame, unless one write alone is larger.
const BATCH_BYTES: usize = 1 << 20;

/// One commit that waits.
pub struct Entry {
    pub outcome: Outcome,
    pub reply: oneshot::Sender<Reply>,
    bytes: usize,
    /// Its share of the room in the queue.
    _room: OwnedSemaphorePermit,
}

/// What a commit came to.
pub enum Outcome {
    /// It is to be written.
    Write {
        transition: Transition,
        /// Whether it may be acknowledged before it is durable.
        lazy: bool,
    },
    /// It failed because of a write that is queued before it, and is answered when that is durable.
    Fail(StoreError),
}

/// What the writer thread is to do next.
pub enum Work {
    Batch(Vec<Entry>),
    Sync,
    Clean,
    Close,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The newest queued state of each key that is queued.
    pending: HashMap<Key, Pending>,
    /// The newest revision assigned, when something is queued.
    assigned: Option<Revision>,
    /// Why nothing more is accepted.
    refusal: Option<String>,
    closing: bool,
}

struct Pending {
    current: Option<Versioned>,
    revision: Revision,
}

/// See the module's text.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

/// A commit to decide.
pub struct Request<'a> {
    pub key: &'a Key,
    pub expect: Expect,
    pub change: Change,
    pub lazy: bool,
    pub room: OwnedSemaphorePermit,
}

impl Queue {
    /// Decides a commit and queues it. An error is the answer already.
    pub fn submit(&self, view: &View, request: Request<'_>) -> Result<oneshot::Receiver<Reply>, StoreError> {
        let Request { key, expect, change, lazy, room } = request;
        let mut state = self.state.lock();
        if let Some(reason) = &state.refusal {
            return Err(StoreError::Unavailable(reason.clone()));
        }
        let pending = state.pending.get(key);
        let depends_on_queued = pending.is_some();
        let current = pending.map_or_else(|| view.get(key), |pending| pending.current.clone());
        let revision = Revision(state.assigned.unwrap_or_else(|| view.revision()).0 + 1);
        let bytes = key.as_str().len() + if let Change::Put(value) = &change { value.len() } else { 0 };
        let outcome = match transition(key, current.as_ref(), expect, change, revision) {
            Ok(transition) => {
                let current = transition.current().cloned();
                state.pending.insert(key.clone(), Pending { current, revision });
                state.assigned = Some(revision);
                Outcome::Write { transition, lazy }
            }
            Err(error) if depends_on_queued => Outcome::Fail(error),
            Err(error) => return Err(error),
        };
        let (reply, answer) = oneshot::channel();
        state.entries.push_back(Entry { outcome, reply, bytes, _room: room });
        drop(state);
        self.wake.notify_one();
        Ok(answer)
    }

    /// Waits for something to do. `clean` says that there is cleaning to do when there is nothing else, `sync_at` when
    /// to sync at the latest.
    pub fn next(&self, sync_at: Option<Instant>, clean: bool) -> Work {
        let mut state = self.state.lock();
        loop {
            if !state.entries.is_empty() {
                return Work::Batch(take_batch(&mut state.entries));
            }
            if state.closing {
                return Work::Close;
            }
            if sync_at.is_some_and(|at| at <= Instant::now()) {
                return Work::Sync;
            }
            if clean {
                return Work::Clean;
            }
            match sync_at {
                Some(at) => {
                    self.wake.wait_until(&mut state, at);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Forgets the queued state of what has been published: the view has it now.
    pub fn settle(&self, published: Revision) {
        let mut state = self.state.lock();
        if state.assigned.is_some_and(|assigned| assigned <= published) {
            state.assigned = None;
            state.pending.clear();
        } else {
            state.pending.retain(|_, pending| pending.revision > published);
        }
    }

    /// Gives up everything that is queued, whose revisions build on one that did not happen.
    pub fn give_up(&self) -> Vec<Entry> {
        let mut state = self.state.lock();
        state.assigned = None;
        state.pending.clear();
        state.entries.drain(..).collect()
    }

    /// Accepts nothing more, for the first reason given.
    pub fn refuse(&self, reason: &str) {
        self.state.lock().refusal.get_or_insert_with(|| reason.to_owned());
    }

    /// Accepts nothing more, and lets the writer end when all is written.
    pub fn close(&self) {
        self.refuse("it has been closed");
        self.state.lock().closing = true;
        self.wake.notify_one();
    }
}

fn take_batch(entries: &mut VecDeque<Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.bytes;
        bytes <= BATCH_BYTES
    });
    let count = fits.count().max(1);
    entries.drain(..count).collect()
}
