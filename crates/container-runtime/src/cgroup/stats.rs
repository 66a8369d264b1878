//! Counters of a cgroup.

use std::fs;
use std::io;
use std::path::Path;

use super::{Hierarchy, Layout};

/// What a cgroup uses now. A counter that the machine does not keep is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time since it was made, in nanoseconds.
    pub cpu_nanoseconds: Option<u64>,
    /// Memory in use, page cache included.
    pub memory_bytes: Option<u64>,
    /// Memory that cannot be dropped under pressure: use less inactive page cache.
    pub working_set_bytes: Option<u64>,
    /// The limit, when there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Anonymous memory.
    pub rss_bytes: Option<u64>,
    /// Page faults.
    pub page_faults: Option<u64>,
    /// Page faults that needed I/O.
    pub major_page_faults: Option<u64>,
    /// Swap in use.
    pub swap_bytes: Option<u64>,
    /// Swap limit, when there is one.
    pub swap_limit_bytes: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
}

/// v1 spells "no limit" as a huge number.
const UNLIMITED_V1: u64 = 1 << 60;

pub(super) fn read(layout: &Layout, path: &str) -> io::Result<Option<Stats>> {
    let exists = layout.tracker().is_some_and(|h| h.directory(path).is_dir());
    if !exists {
        return Ok(None);
    }
    let directory = |controller| layout.of(controller).map(|h| (h.is_v2(), h.directory(path)));
    let mut stats = Stats::default();
    match directory("cpuacct") {
        Some((false, dir)) => stats.cpu_nanoseconds = number(&dir.join("cpuacct.usage")),
        Some((true, dir)) => {
            stats.cpu_nanoseconds = field(&text(&dir.join("cpu.stat")), "usage_usec").map(|us| us * 1000);
        }
        None => {}
    }
    match directory("memory") {
        Some((false, dir)) => memory_v1(&dir, &mut stats),
        Some((true, dir)) => memory_v2(&dir, &mut stats),
        None => {}
    }
    stats.pids = directory("pids").and_then(|(_, dir)| number(&dir.join("pids.current")));
    Ok(Some(stats))
}

fn memory_v1(dir: &Path, stats: &mut Stats) {
    let detail = text(&dir.join("memory.stat"));
    let limit = |file: &str| number(&dir.join(file)).filter(|v| *v < UNLIMITED_V1);
    stats.memory_bytes = number(&dir.join("memory.usage_in_bytes"));
    stats.working_set_bytes = working_set(stats.memory_bytes, field(&detail, "total_inactive_file"));
    stats.memory_limit_bytes = limit("memory.limit_in_bytes");
    stats.rss_bytes = field(&detail, "total_rss");
    stats.page_faults = field(&detail, "total_pgfault");
    stats.major_page_faults = field(&detail, "total_pgmajfault");
    stats.swap_bytes = field(&detail, "total_swap");
    stats.swap_limit_bytes = limit("memory.memsw.limit_in_bytes")
        .map(|both| both.saturating_sub(stats.memory_limit_bytes.unwrap_or_default()));
}

fn memory_v2(dir: &Path, stats: &mut Stats) {
    let detail = text(&dir.join("memory.stat"));
    stats.memory_bytes = number(&dir.join("memory.current"));
    stats.working_set_bytes = working_set(stats.memory_bytes, field(&detail, "inactive_file"));
    stats.memory_limit_bytes = number(&dir.join("memory.max"));
    stats.rss_bytes = field(&detail, "anon");
    stats.page_faults = field(&detail, "pgfault");
    stats.major_page_faults = field(&detail, "pgmajfault");
    stats.swap_bytes = number(&dir.join("memory.swap.current"));
    stats.swap_limit_bytes = number(&dir.join("memory.swap.max"));
}

fn working_set(usage: Option<u64>, inactive_file: Option<u64>) -> Option<u64> {
    usage.map(|u| u.saturating_sub(inactive_file.unwrap_or_default()))
}

/// The count of kills for want of memory that `hierarchy` keeps; 0 when it keeps none.
pub(super) fn oom_kills(hierarchy: &Hierarchy, directory: &Path) -> u64 {
    let file = match hierarchy {
        h if h.is_v2() => "memory.events",
        h if h.has("memory") => "memory.oom_control",
        _ => return 0,
    };
    field(&text(&directory.join(file)), "oom_kill").unwrap_or_default()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &Path) -> Option<u64> {
    text(path).trim().parse().ok()
}

/// The number after `name` in lines of the form `name number`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "under"), None);
    }

    #[test]
    fn the_working_set_leaves_out_inactive_cache() {
        assert_eq!(working_set(Some(10), Some(4)), Some(6));
        assert_eq!(working_set(Some(1), Some(4)), Some(0));
        assert_eq!(working_set(None, Some(4)), None);
    }
}
