//! Opening: finds the segments that count, checks every byte of them, fills the view, and makes the end writable.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use steersman_store::{Retention, Revision, View};

use crate::disk::Disk;
use crate::error::OpenError;
use crate::frame::{self, Parsed};
use crate::log::{self, Active, Log, LogError, Sealed};
use crate::metrics::Metrics;
use crate::options::{LazyWrites, WalOptions};
use crate::record::Record;
use crate::replay::Replay;
use crate::segment::{self, BadHeader, Header};
use crate::writer::milliseconds;

/// How far the revision jumps when lazily durable writes may have been lost, so that none of their revisions is ever
/// given to something else. More than can be outstanding.
const LOST_REVISIONS: u64 = LazyWrites::MAX_COUNT * 2;

/// A segment read into memory.
struct Segment {
    id: u64,
    header: Header,
    bytes: Vec<u8>,
}

/// Where the frames of a segment end.
enum End {
    /// Only zeros follow.
    Clean(u64),
    /// An interrupted write follows, which is to be cut off.
    Torn(u64),
}

impl End {
    fn offset(&self) -> u64 {
        match self {
            Self::Clean(offset) | Self::Torn(offset) => *offset,
        }
    }
}

/// Fills `view` from the files of `disk` and gives the log to go on with.
pub fn recover(
    disk: Arc<dyn Disk>,
    options: &WalOptions,
    view: &View,
    retention: &mut Retention,
    metrics: &Arc<Metrics>,
) -> Result<Log, OpenError> {
    let (sealed, active, revision) = match segments(&*disk)?.last() {
        None => (VecDeque::new(), begin(&*disk, options, 1, view.revision(), 1, 0)?, view.revision()),
        Some(last) => {
            let last = read(&*disk, *last)?;
            let ids = required(&*disk, &last)?;
            let mut replay = Replay { view, retention, metrics, boot: None, closed: false };
            let (sealed, end) = replay_all(&*disk, &ids, last, &mut replay)?;
            let revision = next_revision(&*disk, &replay);
            let (sealed, active) = make_writable(&*disk, options, sealed, end, view.revision())?;
            (sealed, active, revision)
        }
    };
    let mut log = Log::new(disk.clone(), options.segment_bytes, sealed, active, metrics.clone());
    mark_opened(&*disk, &mut log, options, view.revision(), revision)?;
    skip_ahead(view, revision);
    Ok(log)
}

fn failed(disk: &dyn Disk, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    let path = disk.describe(name);
    move |source| OpenError::from_io(action, path, source)
}

fn damaged(disk: &dyn Disk, id: u64, offset: u64, reason: impl Into<String>) -> OpenError {
    OpenError::Damaged { file: disk.describe(&segment::name(id)), offset, reason: reason.into() }
}

/// The numbers of all segments there are. What was being made when a process ended is removed.
fn segments(disk: &dyn Disk) -> Result<BTreeSet<u64>, OpenError> {
    let names = disk.list().map_err(failed(disk, "list", ""))?;
    if names.iter().any(|name| name == segment::UNFINISHED) {
        disk.remove(segment::UNFINISHED).map_err(failed(disk, "remove", segment::UNFINISHED))?;
    }
    Ok(names.iter().filter_map(|name| segment::id(name)).collect())
}

fn read(disk: &dyn Disk, id: u64) -> Result<Segment, OpenError> {
    let name = segment::name(id);
    let bytes = (|| -> io::Result<Vec<u8>> {
        let file = disk.open(&name)?;
        let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    })()
    .map_err(failed(disk, "read", &name))?;
    match Header::decode(&bytes) {
        Ok(header) if header.id == id => Ok(Segment { id, header, bytes }),
        Ok(header) => Err(damaged(disk, id, 0, format!("it is segment {} under another name", header.id))),
        Err(BadHeader::Damaged) => Err(damaged(disk, id, 0, "its header is not what was written")),
        Err(BadHeader::Version(found)) => {
            Err(OpenError::Version { file: disk.describe(&name), found, supported: segment::VERSION })
        }
    }
}

/// The segments that count, given the last one: those that were given up are deleted, and none may be missing.
fn required(disk: &dyn Disk, last: &Segment) -> Result<Vec<u64>, OpenError> {
    let mut oldest = last.header.oldest;
    walk(disk, last, true, |payload, _| {
        let mut rest = payload;
        while let Some(record) = Record::decode(&mut rest) {
            if let Record::Retire { oldest: kept } = record {
                oldest = kept;
            }
        }
        Ok(())
    })?;
    let found = segments(disk)?;
    for id in found.range(..oldest) {
        let name = segment::name(*id);
        disk.remove(&name).map_err(failed(disk, "remove", &name))?;
    }
    match (oldest..=last.id).find(|id| !found.contains(id)) {
        Some(id) => Err(OpenError::Missing { file: disk.describe(&segment::name(id)) }),
        None => Ok((oldest..=last.id).collect()),
    }
}

/// Calls `each` with every frame's payload and time.
fn walk(
    disk: &dyn Disk,
    segment: &Segment,
    is_last: bool,
    mut each: impl FnMut(&[u8], u64) -> Result<(), String>,
) -> Result<End, OpenError> {
    let mut offset = segment::HEADER_BYTES;
    loop {
        match frame::parse(&segment.bytes, segment.id, offset) {
            Parsed::Frame(frame) => {
                each(frame.payload, frame.time_ms)
                    .map_err(|reason| damaged(disk, segment.id, offset as u64, reason))?;
                offset = frame.next;
            }
            Parsed::End => return Ok(End::Clean(offset as u64)),
            Parsed::Bad if is_last && frame::may_be_torn(&segment.bytes, segment.id, offset) => {
                return Ok(End::Torn(offset as u64));
            }
            Parsed::Bad => {
                return Err(damaged(
                    disk,
                    segment.id,
                    offset as u64,
                    "its checksum does not fit what it holds",
                ));
            }
        }
    }
}

/// Replays the segments in order. Gives them with their lengths (the last included) and how the last one ends.
fn replay_all(
    disk: &dyn Disk,
    ids: &[u64],
    last: Segment,
    replay: &mut Replay<'_>,
) -> Result<(VecDeque<Sealed>, End), OpenError> {
    let mut done: VecDeque<Sealed> = VecDeque::new();
    let mut end = End::Clean(0);
    let last_id = last.id;
    let mut last = Some(last);
    for id in ids {
        let segment = match last.take_if(|last| last.id == *id) {
            Some(last) => last,
            None => read(disk, *id)?,
        };
        check_follows(disk, &segment.header, done.back(), replay.view.revision())?;
        skip_ahead(replay.view, segment.header.base);
        end = walk(disk, &segment, *id == last_id, |payload, time_ms| {
            replay.frame(payload, time_ms).map_err(|contradiction| contradiction.0)
        })?;
        if *id != last_id && segment.bytes.len() as u64 > end.offset() {
            cut(disk, *id, end.offset())?;
        }
        done.push_back(Sealed { id: *id, bytes: end.offset() });
    }
    Ok((done, end))
}

/// Gives back what a segment has reserved and will not use, which a process that was ended had no time for.
fn cut(disk: &dyn Disk, id: u64, end: u64) -> Result<(), OpenError> {
    let name = segment::name(id);
    disk.open(&name).and_then(|file| file.set_len(end)).map_err(failed(disk, "cut", &name))
}

/// Goes to a later revision, before which nothing can be told; the history stays if this is no later one.
fn skip_ahead(view: &View, revision: Revision) {
    if revision > view.revision() {
        view.skip_to(revision);
    }
}

/// Checks that a segment goes on where the one before it ended: a file cut short at a frame's end is found here.
fn check_follows(
    disk: &dyn Disk,
    header: &Header,
    previous: Option<&Sealed>,
    revision: Revision,
) -> Result<(), OpenError> {
    match previous {
        Some(previous) if previous.bytes != header.previous_bytes || revision != header.base => Err(damaged(
            disk,
            previous.id,
            previous.bytes,
            format!(
                "it ends here at revision {revision}, but was written up to byte {} and revision {}",
                header.previous_bytes, header.base
            ),
        )),
        _ => Ok(()),
    }
}

/// Where the store goes on. Unless it was closed, or only its process ended and the kernel still has what it wrote,
/// lazily durable writes may be missing.
fn next_revision(disk: &dyn Disk, replay: &Replay<'_>) -> Revision {
    let newest = replay.view.revision();
    let same_run = replay.boot.is_some() && replay.boot == disk.boot_id();
    if replay.closed || same_run { newest } else { Revision(newest.0 + LOST_REVISIONS) }
}

/// Takes the last segment as the active one, or begins another after it if its end is torn.
fn make_writable(
    disk: &dyn Disk,
    options: &WalOptions,
    mut sealed: VecDeque<Sealed>,
    end: End,
    revision: Revision,
) -> Result<(VecDeque<Sealed>, Active), OpenError> {
    let last = *sealed.back().expect("there is at least the last segment");
    let oldest = sealed.front().map_or(last.id, |segment| segment.id);
    let name = segment::name(last.id);
    let file = disk.open(&name).map_err(failed(disk, "open", &name))?;
    match end {
        End::Clean(end) => {
            // What an ended process made and did not sync becomes durable before anything is built on it.
            file.sync().and_then(|()| disk.sync_names()).map_err(failed(disk, "sync", &name))?;
            let capacity = file.size().map_err(failed(disk, "open", &name))?;
            sealed.pop_back();
            Ok((sealed, Active { id: last.id, file, end, synced: end, capacity }))
        }
        End::Torn(end) => {
            tracing::warn!(file = disk.describe(&name), offset = end, "cut off an interrupted write");
            file.set_len(end).and_then(|()| file.sync()).map_err(failed(disk, "cut", &name))?;
            let active = begin(disk, options, last.id + 1, revision, oldest, end)?;
            Ok((sealed, active))
        }
    }
}

fn begin(
    disk: &dyn Disk,
    options: &WalOptions,
    id: u64,
    base: Revision,
    oldest: u64,
    previous_bytes: u64,
) -> Result<Active, OpenError> {
    let header = Header { id, base, oldest, previous_bytes };
    log::create(disk, &header, options.segment_bytes).map_err(failed(disk, "create", &segment::name(id)))
}

/// Leaves a durable note of who goes on and where, before anybody is served.
fn mark_opened(
    disk: &dyn Disk,
    log: &mut Log,
    options: &WalOptions,
    newest: Revision,
    revision: Revision,
) -> Result<(), OpenError> {
    let mut buffer = vec![0; frame::HEADER_BYTES];
    let boot = disk.boot_id().unwrap_or_default();
    Record::Opened { boot, revision }.encode(&mut buffer);
    let time_ms = milliseconds((options.clock)());
    let marked = log.append(&mut buffer, time_ms, newest).and_then(|()| log.sync());
    marked.map_err(|error| match error {
        LogError::NoSpace(source) => OpenError::NoSpace { path: disk.describe(""), source },
        LogError::Fatal { action: _, path, source } => OpenError::from_io("write", path, source),
    })
}
