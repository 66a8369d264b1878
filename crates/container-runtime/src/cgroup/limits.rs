//! Limits as files to write: a pure table for each layout, then the writing.

use std::fs;
use std::io;
use std::path::Path;

use super::{Hierarchy, Resources};

/// One file to write: controller, file name, content.
type Setting = (&'static str, String, String);

/// Writes the limits that belong to `hierarchy` into `directory`.
pub(super) fn apply(hierarchy: &Hierarchy, directory: &Path, resources: &Resources) -> io::Result<()> {
    if hierarchy.is_v2() {
        for (controller, file, value) in settings_v2(resources) {
            // In hybrid layouts the controller is elsewhere and the file does not exist.
            write_if_present(directory, controller, &file, &value)?;
        }
        return Ok(());
    }
    for (controller, file, value) in settings_v1(resources) {
        if hierarchy.has(controller) {
            write_if_present(directory, controller, &file, &value)?;
        }
    }
    if hierarchy.has("memory") {
        apply_memory_v1(directory, resources)?;
    }
    Ok(())
}

fn settings_v1(resources: &Resources) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut set = |controller, file: &str, value: Option<String>| {
        out.extend(value.map(|v| (controller, file.to_owned(), v)));
    };
    set("cpu", "cpu.shares", resources.cpu_shares.map(|v| v.max(2).to_string()));
    set("cpu", "cpu.cfs_period_us", resources.cpu_period_us.map(|v| v.to_string()));
    set("cpu", "cpu.cfs_quota_us", resources.cpu_quota_us.map(|v| v.to_string()));
    set("cpuset", "cpuset.cpus", resources.cpuset_cpus.clone());
    set("cpuset", "cpuset.mems", resources.cpuset_mems.clone());
    set("pids", "pids.max", resources.pids_limit.map(max_or));
    for (size, bytes) in &resources.hugepages {
        set("hugetlb", &format!("hugetlb.{size}.limit_in_bytes"), Some(bytes.to_string()));
    }
    out
}

fn settings_v2(resources: &Resources) -> Vec<Setting> {
    let mut out = Vec::new();
    let mut set = |controller, file: &str, value: Option<String>| {
        out.extend(value.map(|v| (controller, file.to_owned(), v)));
    };
    set("cpu", "cpu.weight", resources.cpu_shares.map(|v| weight_of_shares(v).to_string()));
    set("cpu", "cpu.max", cpu_max(resources));
    set("cpuset", "cpuset.cpus", resources.cpuset_cpus.clone());
    set("cpuset", "cpuset.mems", resources.cpuset_mems.clone());
    set("memory", "memory.max", resources.memory_limit_bytes.map(max_or));
    set("memory", "memory.swap.max", swap_max(resources));
    set("pids", "pids.max", resources.pids_limit.map(max_or));
    for (size, bytes) in &resources.hugepages {
        set("hugetlb", &format!("hugetlb.{size}.max"), Some(bytes.to_string()));
    }
    for (file, value) in &resources.unified {
        set("unified", file, Some(value.clone()));
    }
    out
}

fn max_or(value: i64) -> String {
    if value < 0 { "max".into() } else { value.to_string() }
}

/// CPU shares (2 to 262144) on the v2 weight scale (1 to 10000), in equal proportion, as KEP-2254 sets it.
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

fn cpu_max(resources: &Resources) -> Option<String> {
    let period = resources.cpu_period_us.unwrap_or(100_000);
    match resources.cpu_quota_us {
        Some(quota) if quota > 0 => Some(format!("{quota} {period}")),
        Some(_) => Some(format!("max {period}")),
        None => resources.cpu_period_us.map(|p| format!("max {p}")),
    }
}

/// v2 counts swap alone, CRI (after v1) memory and swap together.
fn swap_max(resources: &Resources) -> Option<String> {
    let (memory, both) = (resources.memory_limit_bytes?, resources.memory_swap_limit_bytes?);
    Some(if both < 0 { "max".into() } else { (both - memory.max(0)).max(0).to_string() })
}

/// v1 refuses a memory limit above the limit of memory and swap, so the order depends on what is there now.
fn apply_memory_v1(directory: &Path, resources: &Resources) -> io::Result<()> {
    let write = |file: &str, value: Option<i64>| match value {
        Some(v) => write_if_present(directory, "memory", file, &v.to_string()),
        None => Ok(()),
    };
    let limit = || write("memory.limit_in_bytes", resources.memory_limit_bytes);
    let both = || write("memory.memsw.limit_in_bytes", resources.memory_swap_limit_bytes);
    match limit() {
        Ok(()) => both(),
        Err(_) => both().and_then(|()| limit()),
    }
}

fn write_if_present(directory: &Path, controller: &str, file: &str, value: &str) -> io::Result<()> {
    let path = directory.join(file);
    match fs::write(&path, value) {
        // A missing file means that the kernel lacks the controller or the feature.
        Err(e) if e.kind() == io::ErrorKind::NotFound && controller != "unified" => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !path.exists() => Ok(()),
        Err(e) => Err(super::context(e, &format!("write {value:?} to"), &path)),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Resources {
        Resources {
            cpu_shares: Some(512),
            cpu_quota_us: Some(50_000),
            cpu_period_us: Some(100_000),
            memory_limit_bytes: Some(64 << 20),
            memory_swap_limit_bytes: Some(96 << 20),
            pids_limit: Some(-1),
            hugepages: vec![("2MB".into(), 4 << 20)],
            unified: vec![("memory.oom.group".into(), "1".into())],
            ..Default::default()
        }
    }

    fn lines(settings: Vec<Setting>) -> Vec<String> {
        settings.into_iter().map(|(_, file, value)| format!("{file}={value}")).collect()
    }

    #[test]
    fn limits_become_files() {
        assert_eq!(
            lines(settings_v2(&sample())),
            [
                "cpu.weight=20",
                "cpu.max=50000 100000",
                "memory.max=67108864",
                "memory.swap.max=33554432",
                "pids.max=max",
                "hugetlb.2MB.max=4194304",
                "memory.oom.group=1",
            ]
        );
        assert_eq!(
            lines(settings_v1(&sample())),
            [
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "pids.max=max",
                "hugetlb.2MB.limit_in_bytes=4194304",
            ]
        );
    }

    #[test]
    fn shares_and_weights_share_their_ends() {
        for (shares, weight) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn nothing_asked_writes_nothing() {
        assert!(settings_v1(&Resources::default()).is_empty());
        assert!(settings_v2(&Resources::default()).is_empty());
    }
}
