//! The disk of this machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

use super::{Disk, DiskFile};
use crate::error::OpenError;

const LOCK: &str = "lock";

/// A directory that this process alone has open.
pub struct RealDisk {
    dir: PathBuf,
    /// Holds the names; for syncing them.
    handle: File,
    /// Locked until dropped.
    _lock: File,
}

impl RealDisk {
    /// Makes the directory if needed and locks it against other processes.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |action| {
            let path = dir.display().to_string();
            move |source| OpenError::from_io(action, path, source)
        };
        make_durable_dir(dir).map_err(failed("create"))?;
        let handle = File::open(dir).map_err(failed("open"))?;
        let lock = lock(dir).map_err(failed("lock"))?;
        let Some(lock) = lock else {
            return Err(OpenError::Locked { dir: dir.to_owned(), holder: holder(dir) });
        };
        Ok(Self { dir: dir.to_owned(), handle, _lock: lock })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Makes a directory and those above it, so that their names outlast a power failure too.
fn make_durable_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for made in missing {
        // The parent of a relative path of one part is where we are.
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Takes the lock and leaves our process id in it; `None` if somebody else has it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let mut file = options().create(true).truncate(false).open(dir.join(LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    file.set_len(0)?;
    // The id only serves another process's error message; a full disk must not keep the store from opening.
    match writeln!(file, "{}", std::process::id()) {
        Err(error) if !crate::error::is_no_space(&error) => Err(error),
        _ => Ok(Some(file)),
    }
}

fn holder(dir: &Path) -> String {
    let mut text = String::new();
    let read = File::open(dir.join(LOCK)).and_then(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(options().open(self.path(name))?))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = options().create(true).truncate(true).open(self.path(name))?;
        match fallocate(&file, FallocateFlags::empty(), 0, len) {
            Ok(()) => {}
            // Not every file system can reserve space; the log then finds out when it writes.
            Err(Errno::OPNOTSUPP) => file.set_len(len)?,
            Err(error) => {
                fs::remove_file(self.path(name))?;
                return Err(error.into());
            }
        }
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
    }

    fn describe(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}
