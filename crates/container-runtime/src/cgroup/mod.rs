//! Control groups in all three layouts: v2, v1, and hybrid (v1 controllers beside an empty v2 tree).
//!
//! A [`Layout`] lists the hierarchies of the machine; a [`Cgroup`] is one path in all of them. Limits, counters and
//! removal are tables over the hierarchies, so the layouts share every line that need not differ.
//! In hybrid layouts a container is also in the v2 tree, for `cgroup.kill`.

mod devices;
mod layout;
mod limits;
mod stats;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use devices::{Access, DeviceRule, default_device_rules};
pub use layout::{Hierarchy, Layout};
pub use stats::Stats;

/// Limits of a cgroup; `None` leaves what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative CPU weight on the v1 scale (2 to 262144).
    pub cpu_shares: Option<u64>,
    /// CPU quota in microseconds per period; -1 is no limit.
    pub cpu_quota_us: Option<i64>,
    /// CPU period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// CPUs that may be used, as a list such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes that may be used.
    pub cpuset_mems: Option<String>,
    /// Memory in bytes; -1 is no limit.
    pub memory_limit_bytes: Option<i64>,
    /// Memory plus swap in bytes; -1 is no limit.
    pub memory_swap_limit_bytes: Option<i64>,
    /// Number of processes; -1 is no limit.
    pub pids_limit: Option<i64>,
    /// Huge pages: size name such as `2MB`, and bytes.
    pub hugepages: Vec<(String, u64)>,
    /// cgroup v2 files written as they are.
    pub unified: Vec<(String, String)>,
}

/// One path in every hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup<'a> {
    layout: &'a Layout,
    path: &'a str,
}

impl<'a> Cgroup<'a> {
    /// The cgroup `path` (starting with `/`) of `layout`; nothing is touched yet.
    pub fn new(layout: &'a Layout, path: &'a str) -> Self {
        Self { layout, path }
    }

    /// Makes the directories that are missing and returns them, outermost first.
    pub fn create(&self) -> io::Result<Vec<PathBuf>> {
        let mut made = Vec::new();
        for hierarchy in &self.layout.hierarchies {
            hierarchy.create(self.path, &mut made)?;
        }
        Ok(made)
    }

    /// Sets limits. A controller that the machine lacks is passed over, as every runtime does.
    pub fn apply(&self, resources: &Resources) -> io::Result<()> {
        for hierarchy in &self.layout.hierarchies {
            limits::apply(hierarchy, &hierarchy.directory(self.path), resources)?;
        }
        Ok(())
    }

    /// Restricts device access to `rules`; an empty list allows everything.
    pub fn apply_device_rules(&self, rules: &[DeviceRule]) -> io::Result<()> {
        if rules.is_empty() {
            return Ok(());
        }
        devices::apply(self.layout, self.path, rules)
    }

    /// Moves the calling process in. It must have one thread.
    ///
    /// Writing `0` into `tasks` moves "the calling thread" and so spares the global lock (and the RCU grace period)
    /// that moving a process by number takes. In v2 use [`Cgroup::v2_directory`] with `CLONE_INTO_CGROUP`.
    pub fn join_v1(&self) -> io::Result<()> {
        for hierarchy in self.layout.hierarchies.iter().filter(|h| !h.is_v2()) {
            let file = hierarchy.directory(self.path).join("tasks");
            fs::write(&file, "0").map_err(|e| context(e, "join", &file))?;
        }
        Ok(())
    }

    /// Moves process `pid` in, in every hierarchy.
    pub fn adopt(&self, pid: u32) -> io::Result<()> {
        for hierarchy in &self.layout.hierarchies {
            let file = hierarchy.directory(self.path).join("cgroup.procs");
            fs::write(&file, pid.to_string()).map_err(|e| context(e, "join", &file))?;
        }
        Ok(())
    }

    /// The open directory in the v2 tree, where there is one.
    pub fn v2_directory(&self) -> io::Result<Option<OwnedFd>> {
        let Some(v2) = self.layout.v2() else { return Ok(None) };
        fs::File::open(v2.directory(self.path)).map(|f| Some(f.into()))
    }

    /// Pids of all processes in it, by the hierarchy that tracks them best.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let Some(hierarchy) = self.layout.tracker() else { return Ok(Vec::new()) };
        match fs::read_to_string(hierarchy.directory(self.path).join("cgroup.procs")) {
            Ok(text) => Ok(text.lines().filter_map(|l| l.parse().ok()).collect()),
            Err(e) if is_gone(&e) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// Kills every process in it: `cgroup.kill` where the kernel has it, else signal by signal.
    /// Returns whether any process was there. Processes that fork faster than they die need another call.
    pub fn kill(&self) -> io::Result<bool> {
        let pids = self.processes()?;
        if pids.is_empty() {
            return Ok(false);
        }
        if let Some(v2) = self.layout.v2()
            && fs::write(v2.directory(self.path).join("cgroup.kill"), "1").is_ok()
        {
            return Ok(true);
        }
        for pid in pids {
            match crate::sys::kill(pid, libc::SIGKILL) {
                Err(e) if e.raw_os_error() != Some(libc::ESRCH) => return Err(e),
                _ => {}
            }
        }
        Ok(true)
    }

    /// How often the kernel killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.layout.hierarchies.iter().map(|h| stats::oom_kills(h, &h.directory(self.path))).sum()
    }

    /// Current use; `None` when the cgroup does not exist.
    pub fn stats(&self) -> io::Result<Option<Stats>> {
        stats::read(self.layout, self.path)
    }

    /// Removes it and its children everywhere. It must be empty of processes; what is gone already is fine.
    pub fn remove(&self) -> io::Result<()> {
        for hierarchy in &self.layout.hierarchies {
            remove_tree(&hierarchy.directory(self.path))?;
        }
        Ok(())
    }
}

/// Removes a cgroup directory with its children, innermost first.
fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if is_gone(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(e) if !is_gone(&e) => Err(context(e, "remove", directory)),
        _ => Ok(()),
    }
}

/// Whether the error says that a cgroup does not exist (any more).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn context(error: io::Error, action: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("could not {action} {}: {error}", path.display()))
}
