//! What the view holds: the versions of every key, and the recent events in order.
//!
//! The two belong together: a superseded version is kept exactly as long as the event that superseded it, so the
//! history is also the list of what compaction may forget, oldest first.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::contract::{Event, Key, Prefix, Revision, StoreError, Versioned};

/// What an event costs beside its key and value: the record, its places in the map and in the history.
const EVENT_OVERHEAD_BYTES: usize = 256;

/// The versions of one key that can still be read.
#[derive(Default)]
pub(super) struct Chain {
    /// `None` if the key does not exist now.
    current: Option<Versioned>,
    /// Superseded versions, oldest first. Boxed: nearly every key has none.
    #[expect(clippy::box_collection, reason = "eight bytes in each of many chains instead of 32")]
    older: Option<Box<VecDeque<Superseded>>>,
}

struct Superseded {
    version: Versioned,
    /// The revision that replaced or removed it.
    by: Revision,
}

impl Chain {
    fn at(&self, revision: Revision) -> Option<&Versioned> {
        if let Some(current) = self.current.as_ref().filter(|version| version.mod_revision <= revision) {
            return Some(current);
        }
        let older = self.older.as_ref()?;
        // The first that was not yet superseded at that time is the one, if it existed already.
        let next = older.partition_point(|old| old.by <= revision);
        older.get(next).map(|old| &old.version).filter(|version| version.mod_revision <= revision)
    }

    fn supersede(&mut self, next: Option<Versioned>, by: Revision) {
        if let Some(version) = std::mem::replace(&mut self.current, next) {
            self.older.get_or_insert_default().push_back(Superseded { version, by });
        }
    }

    /// Forgets what was superseded at or before `through`. `true` if nothing is left of the key.
    fn forget(&mut self, through: Revision) -> bool {
        if let Some(older) = &mut self.older {
            while older.front().is_some_and(|old| old.by <= through) {
                older.pop_front();
            }
            if older.is_empty() {
                self.older = None;
            }
        }
        self.current.is_none() && self.older.is_none()
    }
}

pub(super) struct State {
    keys: BTreeMap<Key, Chain>,
    /// Every event after `trimmed`.
    history: VecDeque<Event>,
    history_bytes: usize,
    /// The newest revision.
    pub(super) revision: Revision,
    /// The oldest revision that may be read or watched from.
    pub(super) floor: Revision,
    /// What has been forgotten in fact; behind `floor` while a reader still needs it.
    trimmed: Revision,
}

impl State {
    pub(super) fn new() -> Self {
        let first = Revision(1);
        Self {
            keys: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            revision: first,
            floor: first,
            trimmed: first,
        }
    }

    pub(super) fn current(&self, key: &str) -> Option<&Versioned> {
        self.keys.get(key)?.current.as_ref()
    }

    pub(super) fn apply(&mut self, event: Event) {
        let revision = event.revision();
        let next = match &event {
            Event::Put { record, .. } => Some(record.clone()),
            Event::Delete { .. } => None,
        };
        if let Some(chain) = self.keys.get_mut(event.key()) {
            chain.supersede(next, revision);
        } else if next.is_some() {
            self.keys.insert(event.key().clone(), Chain { current: next, older: None });
        }
        self.revision = self.revision.max(revision);
        self.history_bytes += weight(&event);
        self.history.push_back(event);
    }

    /// Takes in a version that is current and whose event is not known. `false` if the key exists already.
    pub(super) fn load(&mut self, record: Versioned) -> bool {
        let chain = self.keys.entry(record.key.clone()).or_default();
        let absent = chain.current.is_none();
        if absent {
            self.revision = self.revision.max(record.mod_revision);
            chain.current = Some(record);
        }
        absent
    }

    /// Says that nothing before `revision` can be told: it becomes the newest revision if it is newer, and the
    /// oldest that can be read.
    pub(super) fn skip_to(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
        self.floor = self.floor.max(revision);
    }

    pub(super) fn readable(&self, asked: Revision) -> Result<(), StoreError> {
        if asked > self.revision {
            return Err(StoreError::Future { asked, newest: self.revision });
        }
        if asked < self.floor {
            return Err(StoreError::Compacted { asked, oldest: self.floor });
        }
        Ok(())
    }

    /// Raises the floor so that no more than this much history counts.
    pub(super) fn bound_history(&mut self, events: usize, bytes: usize) {
        let (mut excess_events, mut excess_bytes) =
            (self.history.len().saturating_sub(events), self.history_bytes.saturating_sub(bytes));
        for event in &self.history {
            if excess_events == 0 && excess_bytes == 0 {
                break;
            }
            excess_events = excess_events.saturating_sub(1);
            excess_bytes = excess_bytes.saturating_sub(weight(event));
            self.floor = self.floor.max(event.revision());
        }
    }

    /// Forgets what is below the floor and not needed by a reader at `pinned` or later, at most `most` events of it.
    /// Gives what was forgotten, to be dropped when the lock is no longer held. Complete when less than `most`.
    pub(super) fn trim(&mut self, pinned: Option<Revision>, most: usize) -> Vec<Event> {
        let through = self.floor.min(pinned.unwrap_or(self.floor));
        let mut forgotten = Vec::new();
        while forgotten.len() < most
            && let Some(event) = self.history.pop_front_if(|event| event.revision() <= through)
        {
            self.trimmed = event.revision();
            self.history_bytes -= weight(&event);
            if self.keys.get_mut(event.key()).is_some_and(|chain| chain.forget(self.trimmed)) {
                self.keys.remove(event.key());
            }
            forgotten.push(event);
        }
        if forgotten.len() < most {
            self.trimmed = self.trimmed.max(through);
        }
        forgotten
    }

    pub(super) fn has_garbage(&self) -> bool {
        self.trimmed < self.floor
    }

    /// Collects the events of `prefix` after `after`, looking at no more than `most` events. Gives the revision up to
    /// which this is complete.
    pub(super) fn events_after(
        &self,
        prefix: &Prefix,
        after: Revision,
        most: usize,
        into: &mut Vec<Event>,
    ) -> Revision {
        let start = self.history.partition_point(|event| event.revision() <= after);
        let mut reached = after;
        for (looked, event) in self.history.range(start..).enumerate() {
            // All events of one revision belong together.
            if looked >= most && event.revision() > reached {
                return reached;
            }
            reached = event.revision();
            if prefix.contains(event.key()) {
                into.push(event.clone());
            }
        }
        self.revision.max(after)
    }

    /// The keys of `prefix` after `after`, in order.
    pub(super) fn chains<'a>(
        &'a self,
        prefix: &'a Prefix,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Chain)> {
        let start = match after {
            Some(key) if key >= prefix.as_str() => Bound::Excluded(key),
            _ => Bound::Included(prefix.as_str()),
        };
        self.keys.range::<str, _>((start, Bound::Unbounded)).take_while(|(key, _)| prefix.contains(key))
    }
}

/// The version of a key at a revision that is not below the floor.
pub(super) fn version_at(chain: &Chain, revision: Revision) -> Option<&Versioned> {
    chain.at(revision)
}

fn weight(event: &Event) -> usize {
    let value = match event {
        Event::Put { record, .. } => record.value.len(),
        Event::Delete { .. } => 0,
    };
    value + event.key().as_str().len() + EVENT_OVERHEAD_BYTES
}
