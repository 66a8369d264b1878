//! Network namespaces, pinned by a bind mount so that they live without a process in them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Why a namespace could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {what} the network namespace {path}")]
pub struct NetnsError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl NetnsError {
    fn new(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { what, path: path.to_owned(), source }
    }
}

/// Makes a namespace and pins it at `path`.
pub fn create_netns(path: &Path) -> Result<(), NetnsError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(NetnsError::new("create", path))?;
    }
    File::create(path).map_err(NetnsError::new("create", path))?;
    let target = path.to_owned();
    let pin = move || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let own = Path::new("/proc/thread-self/ns/net");
        mount(Some(own), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        Ok(())
    };
    on_thread(pin).map_err(NetnsError::new("create", path))
}

/// Unpins the namespace; it ends with the last process in it. Nothing happens if there is none.
pub fn delete_netns(path: &Path) -> Result<(), NetnsError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
        Err(error) => return Err(NetnsError::new("unpin", path)(error.into())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NetnsError::new("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Runs `work` on a thread of its own inside the namespace, and waits for it.
pub fn inside<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NetnsError> {
    let namespace = File::open(path).map_err(NetnsError::new("open", path))?;
    let entered = move || -> io::Result<T> {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    };
    on_thread(entered).map_err(NetnsError::new("enter", path))
}

/// A thread that changes its namespace must not be used for anything else, so each has its own.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = std::thread::Builder::new().name("netns".to_owned()).spawn(work)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
}
