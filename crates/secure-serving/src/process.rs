//! The process itself in numbers, by the names that every Prometheus client library gives them.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

use crate::{Exposition, MetricKind};

/// What the kernel says of a process.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    /// Ticks after the machine's start.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Adds the `process_*` metrics; what cannot be read is left out.
pub fn collect(out: &mut Exposition) {
    let ticks_a_second = system_value(SysconfVar::CLK_TCK, 100.0);
    let page_bytes = system_value(SysconfVar::PAGE_SIZE, 4096.0);
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| parse_stat(&text)) {
        let cpu = stat.cpu_ticks as f64 / ticks_a_second;
        let help = "Total user and system CPU time spent in seconds.";
        out.family("process_cpu_seconds_total", MetricKind::Counter, help).sample(&[], cpu);
        gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", {
            stat.resident_pages as f64 * page_bytes
        });
        let help = "Virtual memory size in bytes.";
        gauge(out, "process_virtual_memory_bytes", help, stat.virtual_bytes as f64);
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text)) {
            let start = boot as f64 + stat.start_ticks as f64 / ticks_a_second;
            let help = "Start time of the process since unix epoch in seconds.";
            gauge(out, "process_start_time_seconds", help, start);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        gauge(out, "process_open_fds", "Number of open file descriptors.", open.count() as f64);
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| most_files(&text)) {
        gauge(out, "process_max_fds", "Maximum number of open file descriptors.", most as f64);
    }
}

fn gauge(out: &mut Exposition, name: &'static str, help: &str, value: f64) {
    out.family(name, MetricKind::Gauge, help).sample(&[], value);
}

fn system_value(variable: SysconfVar, default: f64) -> f64 {
    sysconf(variable).ok().flatten().map_or(default, |value| value as f64)
}

/// Of `/proc/<pid>/stat`: the name in parentheses may hold anything, so fields count from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the state, which comes first here, is number 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: number(14)? + number(15)?,
        start_ticks: number(22)?,
        virtual_bytes: number(23)?,
        resident_pages: number(24)?,
    })
}

/// When the machine started, in seconds of the epoch.
fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 9000 4096000 321 184467";
        let parsed =
            Stat { cpu_ticks: 300, start_ticks: 9000, virtual_bytes: 4_096_000, resident_pages: 321 };
        assert_eq!(parse_stat(stat), Some(parsed));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(boot_time("cpu  1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000));
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   524288   files\n";
        assert_eq!(most_files(limits), Some(1024));
    }

    #[test]
    fn this_process_is_described() {
        let mut out = Exposition::default();
        collect(&mut out);
        let text = out.into_text();
        for name in
            ["cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds", "max_fds"]
        {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name} is missing in {text}");
        }
    }
}
