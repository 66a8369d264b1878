//! Takes away everything a runtime made: for `down`, and for tests.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;

use crate::cgroup::{Cgroup, Layout};
use crate::config::RuntimeConfig;
use crate::record::{self, ContainerRecord, SandboxRecord};

/// How long killed processes may take to disappear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills all containers and shims of the runtime that `config` describes, unmounts what it mounted, and removes its
/// cgroups and its run directory. The runtime itself must not be running. State on disk stays; whoever purges data
/// removes it. Networks must have been detached before, since that is the network's business.
///
/// Blocking. Goes on after an error and returns the first one; calling it again carries on.
pub fn teardown(config: &RuntimeConfig) -> io::Result<()> {
    let layout = Layout::detect()?;
    let containers: Vec<ContainerRecord> =
        record::load_all(&config.state_dir.join("containers"), record::CONTAINER_FILE)?;
    let sandboxes: Vec<SandboxRecord> =
        record::load_all(&config.state_dir.join("sandboxes"), record::SANDBOX_FILE)?;
    let mut outcome = Ok(());
    // Shims first: they would report and record deaths that are not the containers' own.
    outcome = outcome.and(empty_and_remove(&layout, &config.shim_cgroup()));
    for container in &containers {
        outcome = outcome.and(empty_and_remove(&layout, &container.spec.cgroup_path));
    }
    for sandbox in &sandboxes {
        outcome = outcome.and(remove_made_cgroups(&sandbox.made_cgroups));
    }
    outcome = outcome.and(empty_and_remove(&layout, &config.cgroup_root));
    outcome = outcome.and(unmount_below(&config.run_dir));
    outcome.and(match fs::remove_dir_all(&config.run_dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    })
}

/// The pods that [`teardown`] would leave attached to a network: for whoever detaches them first.
pub fn attached_sandboxes(config: &RuntimeConfig) -> io::Result<Vec<SandboxRecord>> {
    let all: Vec<SandboxRecord> =
        record::load_all(&config.state_dir.join("sandboxes"), record::SANDBOX_FILE)?;
    Ok(all.into_iter().filter(|s| s.network_attached).collect())
}

/// Kills every process of a cgroup and removes it; blocking.
pub(crate) fn empty_and_remove(layout: &Layout, path: &str) -> io::Result<()> {
    let group = Cgroup::new(layout, path);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let busy = group.kill()?;
        match group.remove() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            // Dying processes hold it for some milliseconds; nothing tells when the last one is gone.
            Err(_) => pause(if busy { 10 } else { 2 }),
        }
    }
}

/// Removes cgroups made for a pod, innermost first. One that somebody else uses by now stays.
pub(crate) fn remove_made_cgroups(made: &[PathBuf]) -> io::Result<()> {
    for directory in made.iter().rev() {
        match fs::remove_dir(directory) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Unmounts everything at and below `directory`, the last mounted first.
pub fn unmount_below(directory: &Path) -> io::Result<()> {
    for mount in mounts_below(directory)?.iter().rev() {
        match rustix::mount::unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Mount points at and below `directory`, in the order in which they were mounted.
pub(crate) fn mounts_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    Ok(points.filter(|point| point.starts_with(directory)).collect())
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let (bytes, mut out) = (field.as_bytes(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
        match digits.filter(|_| bytes[at] == b'\\').and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

fn pause(milliseconds: i64) {
    let time = rustix::time::Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_may_hold_blanks() {
        assert_eq!(unescape(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape("/plain"), Path::new("/plain"));
    }
}
