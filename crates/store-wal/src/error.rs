//! Why a store does not open. Each message says what to do where there is something to do.

use std::io;
use std::path::PathBuf;

/// Why [`crate::WalStore::open`] failed. Nothing was changed, except that a torn end may have been cut.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by process {holder}; stop it first, or use another directory", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The other process's id, or `unknown`.
        holder: String,
    },
    /// The directory or the file system does not allow writing.
    #[error("{path} cannot be written; the store needs a directory that it can write to")]
    ReadOnly {
        /// What could not be written.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The file system is full.
    #[error("there is no space left to open the store at {path}; free some space and start again")]
    NoSpace {
        /// What could not be written.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Stored data is not what was written.
    #[error(
        "{file} is damaged at byte {offset}: {reason}; restore from a backup, or move the directory away to start \
         with an empty store"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file of the log is not there.
    #[error("{file} is missing; restore from a backup, or put the file back")]
    Missing {
        /// The file.
        file: String,
    },
    /// The files were written by another version.
    #[error(
        "{file} has format version {found}, and this program reads {supported}; use the program that wrote it"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The one that can be read.
        supported: u32,
    },
    /// The operating system failed otherwise.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

impl OpenError {
    /// Sorts an error of the operating system by what the user can do about it.
    pub(crate) fn from_io(action: &'static str, path: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, source }
            }
            _ if is_no_space(&source) => Self::NoSpace { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

/// Whether a write failed for want of space, which may come back.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
