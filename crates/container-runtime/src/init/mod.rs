//! What a container's process does between being cloned by the shim and becoming the user's program.
//!
//! Everything here runs in the child, in a single-threaded process, in this order: cgroups, mounts, root, devices,
//! user, privileges, exec. No step is undone on failure: the process ends, and its mounts, which exist in its own mount
//! namespace only, end with it. The error goes to the shim as text through a pipe that closes on exec.
//!
//! Why not `libcontainer`: the container is made by direct system calls because starting one must cost a few
//! milliseconds, and because the shim must stay small. `libcontainer` starts two helper processes with message
//! channels between them, reads and writes its own state files, and attaches to cgroups by pid, which in v1 and
//! hybrid layouts waits for an RCU grace period per hierarchy. Here one clone and some eighty system calls do it, mounts are
//! made detached and moved into place, and no lookup leaves the container's root (`openat2` with `RESOLVE_IN_ROOT`).

pub mod mounts;
pub mod process;
pub mod rootfs;
pub mod users;

use std::fmt;
use std::io;

/// Why a container or process could not be started, in the words that reach the pod's status.
#[derive(Debug)]
pub struct InitError(pub String);

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an error what was being done.
pub trait During<T> {
    /// `what` names the step: "mount /proc".
    fn during(self, what: impl fmt::Display) -> Result<T, InitError>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Result<T, InitError> {
        self.map_err(|e| InitError(format!("{what}: {}", plain(&e.into()))))
    }
}

/// The text of an error as the C library has it, lower case and without Rust's "(os error N)".
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match error.raw_os_error() {
        Some(_) => text.to_lowercase(),
        None => text.to_owned(),
    }
}
