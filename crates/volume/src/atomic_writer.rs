//! Writes a set of files so that readers see either all of the old ones or all of the new ones.
//!
//! ```text
//! <volume>/..2026_01_02_03_04_05.123456789/dir/file     one directory per version
//! <volume>/..data -> ..2026_01_02_03_04_05.123456789    swapped by rename(2)
//! <volume>/dir    -> ..data/dir                         what the container opens
//! ```
//!
//! A version directory is complete before `..data` points to it, and it goes only after nothing points to it.
//! The names are upstream's: programs look for `..data` to notice a change.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::ownership::{self, FsGroup};
use crate::paths::{self, InvalidPath};
use crate::payload::{File, Payload};

const DATA_LINK: &str = "..data";
const NEW_DATA_LINK: &str = "..data_tmp";

/// Writing a volume failed; the volume still shows its old content.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A path of the payload may not be in a volume.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// The file system refused.
    #[error("{action} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The volume already held exactly this.
    Unchanged,
    /// A new version is in place.
    Updated,
}

/// Owner of one volume directory.
#[derive(Debug)]
pub struct AtomicWriter {
    target: PathBuf,
}

impl AtomicWriter {
    /// A writer for the existing directory `target`.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self { target: target.into() }
    }

    /// Makes the volume hold `payload` and nothing else. `group` is applied to the files before they show.
    pub fn write(&self, payload: &Payload, group: Option<FsGroup>) -> Result<Written, WriteError> {
        payload.keys().try_for_each(|path| paths::check(path))?;
        let old = fs::read_link(self.target.join(DATA_LINK)).ok();
        let present = old.as_ref().map(|old| files_under(&self.target.join(old))).transpose()?;
        if let (Some(old), Some(present)) = (&old, &present)
            && present.iter().eq(payload.keys())
            && self.holds(old, payload)
        {
            self.link_entries(payload)?;
            return Ok(Written::Unchanged);
        }
        let version = self.write_version(payload, group)?;
        self.publish(&version)?;
        self.link_entries(payload)?;
        self.unlink_stale(payload)?;
        if let Some(old) = old {
            let path = self.target.join(old);
            fs::remove_dir_all(&path).or_else(absent_is_fine).map_err(io_error("remove", &path))?;
        }
        Ok(Written::Updated)
    }

    fn holds(&self, version: &Path, payload: &Payload) -> bool {
        payload.iter().all(|(path, file)| {
            let at = self.target.join(version).join(path);
            fs::read(&at).is_ok_and(|data| data == file.data)
        })
    }

    fn write_version(&self, payload: &Payload, group: Option<FsGroup>) -> Result<PathBuf, WriteError> {
        let name = version_name();
        let dir = self.target.join(&name);
        fs::create_dir(&dir).map_err(io_error("create", &dir))?;
        set_mode(&dir, 0o755)?;
        let written =
            payload.iter().try_for_each(|(path, file)| write_file(&dir.join(path), file)).and_then(|()| {
                match group {
                    Some(group) => ownership::apply(&dir, group).map_err(io_error("set the owner of", &dir)),
                    None => Ok(()),
                }
            });
        if let Err(error) = written {
            if let Err(left) = fs::remove_dir_all(&dir) {
                tracing::warn!(path = %dir.display(), %left, "could not remove an unfinished volume version");
            }
            return Err(error);
        }
        Ok(name.into())
    }

    fn publish(&self, version: &Path) -> Result<(), WriteError> {
        let (new, data) = (self.target.join(NEW_DATA_LINK), self.target.join(DATA_LINK));
        fs::remove_file(&new).or_else(absent_is_fine).map_err(io_error("remove", &new))?;
        symlink(version, &new).map_err(io_error("link", &new))?;
        fs::rename(&new, &data).map_err(io_error("rename to", &data))
    }

    fn link_entries(&self, payload: &Payload) -> Result<(), WriteError> {
        for entry in top_entries(payload) {
            let link = self.target.join(entry);
            if fs::read_link(&link).is_ok() {
                continue;
            }
            let to = Path::new(DATA_LINK).join(entry);
            symlink(to, &link).map_err(io_error("link", &link))?;
        }
        Ok(())
    }

    fn unlink_stale(&self, payload: &Payload) -> Result<(), WriteError> {
        let keep: BTreeSet<&str> = top_entries(payload).collect();
        for entry in fs::read_dir(&self.target).map_err(io_error("read", &self.target))? {
            let entry = entry.map_err(io_error("read", &self.target))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let ours = fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(DATA_LINK));
            if ours && !keep.contains(name) {
                fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

fn top_entries(payload: &Payload) -> impl Iterator<Item = &str> {
    payload.keys().filter_map(|path| path.split('/').find(|part| !part.is_empty() && *part != "."))
}

fn version_name() -> String {
    let now = jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S");
    format!("..{now}.{}", rand::random::<u32>())
}

fn write_file(path: &Path, file: &File) -> Result<(), WriteError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
    }
    fs::write(path, &file.data).map_err(io_error("write", path))?;
    set_mode(path, file.mode)?;
    match file.user {
        Some(user) => chown(path, Some(user), None).map_err(io_error("set the owner of", path)),
        None => Ok(()),
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), WriteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))
}

/// The regular files below `root`, relative to it, in order.
fn files_under(root: &Path) -> Result<BTreeSet<String>, WriteError> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        let at = root.join(&dir);
        for entry in fs::read_dir(&at).map_err(io_error("read", &at))? {
            let entry = entry.map_err(io_error("read", &at))?;
            let path = dir.join(entry.file_name());
            if entry.path().is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
