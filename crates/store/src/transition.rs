//! The rule of a commit, without any store: does the expectation hold, and what becomes of the key.

use crate::contract::{Change, Derived, Event, Expect, Key, Record, Revision, StoreError, Versioned};
use std::sync::Arc;

/// What a commit does once it may happen.
#[derive(Clone, Debug)]
pub struct Transition {
    /// What watchers see.
    pub event: Event,
    /// What the caller of [`crate::Store::commit`] gets.
    pub result: Versioned,
}

impl Transition {
    /// The key's newest version afterwards; `None` if this removed it.
    pub fn current(&self) -> Option<&Versioned> {
        match &self.event {
            Event::Put { record, .. } => Some(record),
            Event::Delete { .. } => None,
        }
    }
}

/// Decides a commit at `revision` on a key whose newest version is `current`.
pub fn transition(
    key: &Key,
    current: Option<&Versioned>,
    expect: Expect,
    change: Change,
    revision: Revision,
) -> Result<Transition, StoreError> {
    let holds = match (expect, current) {
        (Expect::Absent, None) => true,
        (Expect::ModRevision(wanted), Some(version)) => version.mod_revision == wanted,
        (Expect::Absent, Some(_)) | (Expect::ModRevision(_), None) => false,
    };
    match (holds, change, current) {
        (true, Change::Put(value), previous) => {
            let create_revision = previous.map_or(revision, |version| version.create_revision);
            // The old version's key is reused, so that all versions of a key share one string.
            let key = previous.map_or(key, |version| &version.key).clone();
            let record = Arc::new(Record {
                key,
                value,
                create_revision,
                mod_revision: revision,
                derived: Derived::default(),
            });
            let event = Event::Put { record: record.clone(), previous: previous.cloned() };
            Ok(Transition { event, result: record })
        }
        (true, Change::Delete, Some(previous)) => Ok(Transition {
            result: removed(previous, revision),
            event: Event::Delete { previous: previous.clone(), revision },
        }),
        (true, Change::Delete, None) | (false, _, _) => Err(StoreError::Conflict(current.cloned())),
    }
}

/// The last version of a key as the caller of a delete gets it.
fn removed(previous: &Record, revision: Revision) -> Versioned {
    Arc::new(Record {
        key: previous.key.clone(),
        value: previous.value.clone(),
        create_revision: previous.create_revision,
        mod_revision: revision,
        derived: Derived::default(),
    })
}
