//! Fills a view from the records of the log, in order.
//!
//! Cleaning leaves gaps: what had been superseded may be gone. The current data is always complete; the history is
//! told only from where it is.

use std::sync::Arc;
use std::time::Duration;

use steersman_store::{Derived, Event, Key, Record as Stored, Retention, Revision, Versioned, View};

use crate::metrics::Metrics;
use crate::record::{Record, Version, version_bytes};

/// A record that cannot follow those before it.
#[derive(Debug)]
pub struct Contradiction(pub String);

/// See the module's text.
pub struct Replay<'a> {
    pub view: &'a View,
    pub retention: &'a mut Retention,
    pub metrics: &'a Metrics,
    /// The run of the machine in which the store was last opened.
    pub boot: Option<[u8; 16]>,
    /// Whether it was closed since.
    pub closed: bool,
}

impl Replay<'_> {
    /// Takes in the records of one frame.
    pub fn frame(&mut self, mut payload: &[u8], time_ms: u64) -> Result<(), Contradiction> {
        while !payload.is_empty() {
            let record = Record::decode(&mut payload).ok_or_else(|| {
                Contradiction("its checksum is right but its content makes no sense".to_owned())
            })?;
            self.record(record)?;
        }
        let due = self.retention.observe(Duration::from_millis(time_ms), self.view.revision());
        if let Some(through) = due {
            self.view.compact(through).map_err(|error| Contradiction(error.to_string()))?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), Contradiction> {
        match record {
            Record::Put(version) => self.put(&version),
            Record::Delete { revision, key } => self.delete(revision, key),
            Record::Copy(version) => {
                self.load(&version);
                Ok(())
            }
            Record::Retire { .. } => Ok(()),
            Record::Opened { boot, revision } => {
                if revision > self.view.revision() {
                    self.view.skip_to(revision);
                }
                (self.boot, self.closed) = (Some(boot), false);
                Ok(())
            }
            Record::Closed => {
                self.closed = true;
                Ok(())
            }
        }
    }

    fn put(&mut self, version: &Version<'_>) -> Result<(), Contradiction> {
        self.go_on_at(version.revision)?;
        let previous = self.view.find(version.key);
        let created = previous.as_ref().map_or(version.created, |previous| previous.create_revision);
        if created != version.created {
            return Err(Contradiction(format!(
                "revision {} of {} says that the key was created at {}, but it was at {created}",
                version.revision, version.key, version.created
            )));
        }
        if previous.is_none() && version.created != version.revision {
            // The version before is gone, so what this replaced cannot be told.
            self.load(version);
            self.view.skip_to(version.revision);
            return Ok(());
        }
        let record = stored(version, previous.as_ref());
        self.publish(Event::Put { record, previous });
        Ok(())
    }

    fn delete(&mut self, revision: Revision, key: &str) -> Result<(), Contradiction> {
        self.go_on_at(revision)?;
        match self.view.find(key) {
            Some(previous) => self.publish(Event::Delete { previous, revision }),
            None => self.view.skip_to(revision),
        }
        Ok(())
    }

    fn go_on_at(&self, revision: Revision) -> Result<(), Contradiction> {
        let newest = self.view.revision();
        if revision <= newest {
            return Err(Contradiction(format!("revision {revision} follows revision {newest}")));
        }
        if revision.0 > newest.0 + 1 {
            self.view.skip_to(Revision(revision.0 - 1));
        }
        Ok(())
    }

    fn load(&self, version: &Version<'_>) {
        if self.view.load(stored(version, None)) {
            self.metrics.add_live(version_bytes(version.key, version.value));
        }
    }

    fn publish(&self, event: Event) {
        count_live(self.metrics, &event);
        self.view.publish(&[event]);
    }
}

/// Keeps the count of the bytes that are needed.
pub fn count_live(metrics: &Metrics, event: &Event) {
    let bytes = |record: &Stored| version_bytes(record.key.as_str(), &record.value);
    let (added, removed) = match event {
        Event::Put { record, previous } => (Some(record), previous.as_ref()),
        Event::Delete { previous, .. } => (None, Some(previous)),
    };
    metrics.add_live(added.map_or(0, |record| bytes(record)));
    metrics.remove_live(removed.map_or(0, |record| bytes(record)));
}

fn stored(version: &Version<'_>, previous: Option<&Versioned>) -> Versioned {
    Arc::new(Stored {
        key: previous.map_or_else(|| Key::new(version.key), |previous| previous.key.clone()),
        value: version.owned_value(),
        create_revision: version.created,
        mod_revision: version.revision,
        derived: Derived::default(),
    })
}
