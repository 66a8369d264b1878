//! Gives disk space back: copies what still lives in the oldest segment to the end of the log, then deletes it.
//!
//! Cleaning from the oldest end has two good properties. A removal's record can be dropped as soon as its segment is
//! the oldest, because nothing older is left that it would have to hide. And every pass over the log finds everything
//! that has died, so while there is much dead data, cleaning always gains.

use std::io;
use std::sync::atomic::Ordering;

use steersman_store::{Revision, View};

use crate::disk::DiskFile;
use crate::frame;
use crate::log::{Log, LogError};
use crate::metrics::Metrics;
use crate::record::{Record, Version, version_bytes};
use crate::segment;

/// The oldest segment, partly read.
struct Reading {
    id: u64,
    file: Box<dyn DiskFile>,
    offset: u64,
    bytes: u64,
}

/// Where cleaning is. The writer thread gives it its turns.
#[derive(Default)]
pub struct Cleaner {
    reading: Option<Reading>,
    /// It failed, for want of space or because of damage; nothing is tried until [`Cleaner::retry`].
    blocked: bool,
    /// Data that it must not drop cannot be read: it never goes on.
    damaged: bool,
}

/// What cleaning works on.
pub struct Surroundings<'a> {
    pub log: &'a mut Log,
    pub view: &'a View,
    pub metrics: &'a Metrics,
    pub time_ms: u64,
}

/// Whether the log has grown enough to clean it: early enough that it stays below twice the live data plus `slack`
/// although a pass may meet what lives first.
pub fn is_due(disk_bytes: u64, live_bytes: u64, slack_bytes: u64) -> bool {
    disk_bytes > live_bytes + live_bytes / 2 + slack_bytes / 2
}

impl Cleaner {
    /// Whether a turn would do something.
    pub fn wants_turn(&self, log: &Log, metrics: &Metrics, slack_bytes: u64) -> bool {
        !self.blocked
            && !self.damaged
            && log.oldest_sealed().is_some()
            && is_due(log.disk_bytes(), metrics.live_bytes(), slack_bytes)
    }

    /// Lets it try again after a failure: something has been written since.
    pub fn retry(&mut self) {
        self.blocked = false;
    }

    /// Looks at about `budget` bytes of the oldest segment. Everything appended must have been published. Only what
    /// makes the log unusable is an error.
    pub fn turn(&mut self, around: Surroundings<'_>, budget: u64) -> Result<(), LogError> {
        match self.try_turn(around, budget) {
            Err(LogError::NoSpace(error)) => {
                tracing::warn!(%error, "there is no space to clean the log");
                self.blocked = true;
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn try_turn(&mut self, around: Surroundings<'_>, budget: u64) -> Result<(), LogError> {
        let Surroundings { log, view, metrics, time_ms } = around;
        let Some(reading) = self.reading(log) else { return Ok(()) };
        let mut copies = vec![0; frame::HEADER_BYTES];
        let mut offset = reading.offset;
        let end = reading.bytes.min(offset + budget);
        while offset < end {
            match copy_frame(reading, offset, view, &mut copies) {
                Ok(bytes) => offset += bytes,
                Err(error) => {
                    let file = log.describe(reading.id);
                    tracing::error!(file, offset, %error, "the log cannot be cleaned; restore from a backup");
                    self.damaged = true;
                    return Ok(());
                }
            }
        }
        if copies.len() > frame::HEADER_BYTES {
            log.append(&mut copies, time_ms, view.revision())?;
            metrics.copied_bytes.fetch_add(copies.len() as u64, Ordering::Relaxed);
        }
        reading.offset = offset;
        if offset >= reading.bytes {
            let id = reading.id;
            self.reading = None;
            self.retire(log, id, time_ms, view.revision())?;
        }
        Ok(())
    }

    fn reading(&mut self, log: &Log) -> Option<&mut Reading> {
        if self.reading.is_none() {
            let oldest = log.oldest_sealed()?;
            match log.open(oldest.id) {
                Ok(file) => {
                    let offset = segment::HEADER_BYTES as u64;
                    self.reading = Some(Reading { id: oldest.id, file, offset, bytes: oldest.bytes });
                }
                Err(error) => {
                    tracing::error!(file = log.describe(oldest.id), %error, "the log cannot be cleaned");
                    self.blocked = true;
                }
            }
        }
        self.reading.as_mut()
    }

    /// Gives up a segment of which nothing is needed: durably on record first, then in fact.
    fn retire(&mut self, log: &mut Log, id: u64, time_ms: u64, revision: Revision) -> Result<(), LogError> {
        let mut buffer = vec![0; frame::HEADER_BYTES];
        Record::Retire { oldest: id + 1 }.encode(&mut buffer);
        log.append(&mut buffer, time_ms, revision)?;
        log.sync()?;
        if let Err(error) = log.remove_oldest() {
            tracing::error!(file = log.describe(id), %error, "could not remove a segment that is not needed");
            self.blocked = true;
        }
        Ok(())
    }
}

/// Appends the living versions of one frame to `copies`; gives the frame's length.
fn copy_frame(reading: &Reading, offset: u64, view: &View, copies: &mut Vec<u8>) -> io::Result<u64> {
    let mut header = [0; frame::HEADER_BYTES];
    reading.file.read_exact_at(&mut header, offset)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is not what was written");
    let header = frame::Header::parse(&header, reading.id).ok_or_else(damaged)?;
    let mut payload = vec![0; header.payload_bytes];
    reading.file.read_exact_at(&mut payload, offset + frame::HEADER_BYTES as u64)?;
    if !header.matches(&payload) {
        return Err(damaged());
    }
    let mut rest = &payload[..];
    while !rest.is_empty() {
        let record = Record::decode(&mut rest).ok_or_else(damaged)?;
        if let Record::Put(version) | Record::Copy(version) = record
            && lives(view, &version)
        {
            copies.reserve(usize::try_from(version_bytes(version.key, version.value)).unwrap_or(0));
            Record::Copy(version).encode(copies);
        }
    }
    Ok(header.frame_bytes() as u64)
}

fn lives(view: &View, version: &Version<'_>) -> bool {
    view.find(version.key).is_some_and(|current| current.mod_revision == version.revision)
}
