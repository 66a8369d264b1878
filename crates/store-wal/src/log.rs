//! The log as it is written: sealed segments, oldest first, and the active one at the end.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use steersman_store::Revision;

use crate::disk::{Disk, DiskFile};
use crate::error::is_no_space;
use crate::frame;
use crate::metrics::Metrics;
use crate::segment::{self, Header};

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room; the log is as it was and can be written again later.
    #[error("{0}")]
    NoSpace(io::Error),
    /// The log must not be written any more: what is on disk is no longer known.
    #[error("{action} {path} failed: {source}")]
    Fatal { action: &'static str, path: String, source: io::Error },
}

/// A segment that is complete.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    pub id: u64,
    pub bytes: u64,
}

/// The segment that is written to.
pub struct Active {
    pub id: u64,
    pub file: Box<dyn DiskFile>,
    /// Where the next frame goes.
    pub end: u64,
    /// Up to here everything is durable.
    pub synced: u64,
    /// How long the file is.
    pub capacity: u64,
}

/// See the module's text. One thread owns it.
pub struct Log {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    sealed: VecDeque<Sealed>,
    active: Active,
    metrics: Arc<Metrics>,
}

impl Log {
    /// A log whose files are as told.
    pub fn new(
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        sealed: VecDeque<Sealed>,
        active: Active,
        metrics: Arc<Metrics>,
    ) -> Self {
        let log = Self { disk, segment_bytes, sealed, active, metrics };
        log.measure();
        log
    }

    /// Makes `frame` (see [`frame::seal`]: room for the header, then the payload) the next of the log, not yet synced.
    /// `revision` is the newest revision before it.
    pub fn append(&mut self, frame: &mut Vec<u8>, time_ms: u64, revision: Revision) -> Result<(), LogError> {
        let needed = frame::frame_bytes(frame.len() - frame::HEADER_BYTES) as u64;
        if self.active.end + needed > self.active.capacity {
            self.rotate(revision, needed)?;
        }
        frame::seal(frame, self.active.id, self.active.synced, time_ms);
        let end = self.active.end;
        match self.active.file.write_all_at(frame, end) {
            Ok(()) => {
                self.active.end += needed;
                self.measure();
                Ok(())
            }
            Err(error) if is_no_space(&error) => {
                self.discard_partial_write()?;
                Err(LogError::NoSpace(error))
            }
            Err(error) => Err(self.fatal("writing", error)),
        }
    }

    /// Makes everything appended durable. A failure is final: the kernel may have dropped the data and forgotten.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if self.is_synced() {
            return Ok(());
        }
        let start = Instant::now();
        self.active.file.sync().map_err(|error| self.fatal("syncing", error))?;
        self.metrics.fsync_micros.observe(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        self.active.synced = self.active.end;
        Ok(())
    }

    /// Whether everything appended is durable.
    pub fn is_synced(&self) -> bool {
        self.active.synced == self.active.end
    }

    /// How many bytes the files take.
    pub fn disk_bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.capacity
    }

    /// The oldest segment, if it is not the active one.
    pub fn oldest_sealed(&self) -> Option<Sealed> {
        self.sealed.front().copied()
    }

    /// Opens a segment for reading.
    pub fn open(&self, id: u64) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&segment::name(id))
    }

    /// How to name a segment to the user.
    pub fn describe(&self, id: u64) -> String {
        self.disk.describe(&segment::name(id))
    }

    /// Deletes the oldest sealed segment, which a synced record has given up.
    pub fn remove_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.sealed.front() else { return Ok(()) };
        self.disk.remove(&segment::name(oldest.id))?;
        self.sealed.pop_front();
        self.measure();
        Ok(())
    }

    /// Ends the active segment and begins a new one with room for a frame of `needed` bytes.
    fn rotate(&mut self, revision: Revision, needed: u64) -> Result<(), LogError> {
        self.sync()?;
        let header = Header {
            id: self.active.id + 1,
            base: revision,
            oldest: self.sealed.front().map_or(self.active.id, |segment| segment.id),
            previous_bytes: self.active.end,
        };
        let capacity = self.segment_bytes.max(needed + segment::HEADER_BYTES as u64);
        let next = match create(&*self.disk, &header, capacity) {
            Ok(next) => next,
            Err(error) if is_no_space(&error) => return Err(LogError::NoSpace(error)),
            Err(source) => {
                let path = self.disk.describe(&segment::name(header.id));
                return Err(LogError::Fatal { action: "creating", path, source });
            }
        };
        self.active.file.set_len(self.active.end).map_err(|error| self.fatal("cutting", error))?;
        let last = std::mem::replace(&mut self.active, next);
        self.sealed.push_back(Sealed { id: last.id, bytes: last.end });
        self.measure();
        Ok(())
    }

    /// Takes back what a failed write may have left behind the end, so that it is never read as a frame. The file ends
    /// there; the next frame goes to a new one.
    fn discard_partial_write(&mut self) -> Result<(), LogError> {
        let cut = self.active.file.set_len(self.active.end).and_then(|()| self.active.file.sync());
        cut.map_err(|error| self.fatal("cutting", error))?;
        self.active.capacity = self.active.end;
        self.active.synced = self.active.end;
        Ok(())
    }

    fn fatal(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::Fatal { action, path: self.describe(self.active.id), source }
    }

    fn measure(&self) {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.bytes).sum();
        self.metrics.set_log(sealed + self.active.end, self.disk_bytes(), self.sealed.len() as u64 + 1);
    }
}

/// Makes a segment, durably, with its header in place: it exists in full or not at all.
pub fn create(disk: &dyn Disk, header: &Header, capacity: u64) -> io::Result<Active> {
    let file = disk.create(segment::UNFINISHED, capacity)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    disk.rename(segment::UNFINISHED, &segment::name(header.id))?;
    disk.sync_names()?;
    let end = segment::HEADER_BYTES as u64;
    Ok(Active { id: header.id, file, end, synced: end, capacity })
}
