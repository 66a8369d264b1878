//! A disk in memory that can lose, tear and refuse what a real one can.
//!
//! It keeps apart what is durable and what is only written. After a power failure every unsynced write is there,
//! gone, or there in part, sector by sector, and so is every change of names; after the death of the process alone
//! everything written is there.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::Rng;
use rand::rngs::StdRng;
use steersman_store_wal::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What is to go wrong. Steps are changes: creations, writes, cuts, syncs, renames, removals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The machine stops in this step; nothing works from then on.
    pub stop_at: Option<u64>,
    /// The first sync from this step on fails, and drops what it was to make durable.
    pub fail_sync_from: Option<u64>,
    /// The first write from this step on finds no space when half of it is done.
    pub fail_write_from: Option<u64>,
    /// How many bytes all files may have.
    pub capacity: Option<usize>,
}

#[derive(Clone, Default)]
struct Contents {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// What leads from `durable` to `written`.
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

type Inode = usize;

#[derive(Clone)]
enum NameChange {
    Link(String, Inode),
    Rename(String, String, Inode),
    Unlink(String),
}

#[derive(Default)]
struct State {
    inodes: Vec<Contents>,
    names: BTreeMap<String, Inode>,
    durable_names: BTreeMap<String, Inode>,
    unsynced_names: Vec<NameChange>,
    faults: Faults,
    steps: u64,
    stopped: bool,
    boot: u8,
    peak: usize,
}

#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

pub struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => {
            bytes.resize(bytes.len().max(offset + data.len()), 0);
            bytes[*offset..offset + data.len()].copy_from_slice(data);
        }
        Change::Length(length) => bytes.resize(*length, 0),
    }
}

/// A change as it is after a power failure: each sector of it there or not.
fn tear(bytes: &mut Vec<u8>, change: &Change, rng: &mut StdRng) {
    match change {
        Change::Write(offset, data) => {
            let mut start = 0;
            while start < data.len() {
                let end = data.len().min(start + SECTOR - (offset + start) % SECTOR);
                if rng.random() {
                    apply(bytes, &Change::Write(offset + start, data[start..end].to_vec()));
                }
                start = end;
            }
        }
        Change::Length(_) if rng.random() => apply(bytes, change),
        Change::Length(_) => {}
    }
}

fn rename(names: &mut BTreeMap<String, Inode>, change: &NameChange) {
    match change {
        NameChange::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename(from, to, inode) => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
        NameChange::Unlink(name) => {
            names.remove(name);
        }
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        self.steps += 1;
        if self.faults.stop_at == Some(self.steps) {
            self.stopped = true;
        }
        Ok(())
    }

    /// The end of a step, in which the machine may have stopped although the change was under way.
    fn done(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other("the machine has stopped")) } else { Ok(()) }
    }

    fn used(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].written.len()).sum()
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        self.step()?;
        rename(&mut self.names, &change);
        self.unsynced_names.push(change);
        self.done()
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test thread panics while it holds the disk")
    }

    pub fn with(faults: Faults) -> Self {
        let disk = Self::default();
        disk.set_faults(faults);
        disk
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    pub fn steps(&self) -> u64 {
        self.state().steps
    }

    /// The most bytes that all files ever had, since the last call.
    pub fn take_peak(&self) -> usize {
        let mut state = self.state();
        let used = state.used();
        std::mem::replace(&mut state.peak, used)
    }

    /// The disk after the power came back.
    pub fn after_power_failure(&self, rng: &mut StdRng) -> Self {
        let state = self.state();
        let inodes = state.inodes.iter().map(|contents| {
            let mut bytes = contents.durable.clone();
            contents.unsynced.iter().for_each(|change| tear(&mut bytes, change, rng));
            Contents { written: bytes.clone(), durable: bytes, unsynced: Vec::new() }
        });
        let inodes = inodes.collect();
        let mut names = state.durable_names.clone();
        for change in &state.unsynced_names {
            if rng.random() {
                rename(&mut names, change);
            }
        }
        let (durable_names, boot) = (names.clone(), state.boot + 1);
        Self(Arc::new(Mutex::new(State { inodes, names, durable_names, boot, ..State::default() })))
    }

    /// The disk after the process was killed: the machine goes on.
    pub fn after_kill(&self) -> Self {
        let state = self.state();
        Self(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            unsynced_names: state.unsynced_names.clone(),
            boot: state.boot,
            ..State::default()
        })))
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[name]].written.clone()
    }

    /// Changes a file behind everybody's back.
    pub fn damage(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[name];
        damage(&mut state.inodes[inode].written);
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.state().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let len = usize::try_from(len).unwrap();
        let mut state = self.state();
        if state.faults.capacity.is_some_and(|capacity| state.used() + len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Contents { written: vec![0; len], durable: vec![0; len], unsynced: Vec::new() });
        state.change_names(NameChange::Link(name.to_owned(), inode))?;
        state.peak = state.peak.max(state.used());
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(NameChange::Unlink(name.to_owned()))
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.done()?;
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        Some([self.state().boot; 16])
    }

    fn describe(&self, name: &str) -> String {
        format!("/sim/{name}")
    }
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        let contents = &mut state.inodes[self.inode];
        apply(&mut contents.written, &change);
        contents.unsynced.push(change);
        state.done()
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].written.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.inodes[self.inode].written.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let full = {
            let mut state = self.disk.state();
            let steps = state.steps;
            state.faults.fail_write_from.take_if(|from| *from <= steps).is_some()
        };
        if full {
            self.change(Change::Write(offset, data[..data.len() / 2].to_vec()))?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(Change::Write(offset, data.to_vec()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.done()?;
        let steps = state.steps;
        let fails = state.faults.fail_sync_from.take_if(|from| *from <= steps).is_some();
        let contents = &mut state.inodes[self.inode];
        contents.unsynced.clear();
        if fails {
            // As Linux does it: the pages count as clean, what was in them is not on disk, and the next sync succeeds.
            contents.written = contents.durable.clone();
            return Err(io::Error::other("input/output error"));
        }
        contents.durable = contents.written.clone();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).unwrap()))
    }
}
