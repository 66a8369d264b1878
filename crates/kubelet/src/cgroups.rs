//! The cgroups of pods: one for each below `kubepods`, with the pod's limits. Containers nest in it, which is the
//! runtime's work.
//!
//! Version 1 keeps a tree per controller, version 2 one tree for all. Where both are mounted (hybrid), the
//! controllers are those of version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::resources::{Amounts, QUOTA_PERIOD, cpu_quota, cpu_shares};

/// The cgroup file system of this machine.
#[derive(Debug, Clone)]
pub struct Cgroups {
    mount: PathBuf,
    unified: bool,
}

/// Controllers of version 1 that get a pod's cgroup.
const V1_CONTROLLERS: [&str; 10] =
    ["cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio", "hugetlb", "systemd"];
/// Controllers of version 2 that pods use.
const V2_CONTROLLERS: [&str; 5] = ["cpuset", "cpu", "io", "memory", "pids"];

impl Cgroups {
    /// Looks at what is mounted at `mount`, normally `/sys/fs/cgroup`.
    pub fn detect(mount: impl Into<PathBuf>) -> Self {
        let mount = mount.into();
        let unified = mount.join("cgroup.controllers").exists();
        Self { mount, unified }
    }

    /// Whether it is version 2.
    pub fn is_unified(&self) -> bool {
        self.unified
    }

    /// Makes the cgroup `path` with these limits; sets them anew where it exists.
    pub fn apply(&self, path: &str, amounts: Amounts) -> io::Result<()> {
        let relative = path.trim_start_matches('/');
        if self.unified { self.apply_v2(relative, amounts) } else { self.apply_v1(relative, amounts) }
    }

    /// Removes the cgroup `path` and what is left below it. One that still has processes stays, as an error.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let relative = path.trim_start_matches('/');
        self.trees().iter().try_for_each(|tree| remove_tree(&tree.join(relative)))
    }

    /// Names of the pod cgroups below `kubepods` of `root`, as paths that [`Self::remove`] takes.
    pub fn pods(&self, root: &str) -> Vec<String> {
        let root = root.trim_matches('/');
        let mut found = std::collections::BTreeSet::new();
        for tree in self.trees() {
            for class in ["kubepods", "kubepods/burstable", "kubepods/besteffort"] {
                let relative = Path::new(root).join(class);
                let Ok(entries) = fs::read_dir(tree.join(&relative)) else { continue };
                let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                let pods = names.filter(|name| name.starts_with("pod"));
                found.extend(pods.map(|name| format!("/{}", relative.join(name).display())));
            }
        }
        found.into_iter().collect()
    }

    fn trees(&self) -> Vec<PathBuf> {
        if self.unified {
            return vec![self.mount.clone()];
        }
        let mut trees: Vec<PathBuf> = Vec::new();
        for controller in V1_CONTROLLERS {
            // cpu and cpuacct are often one tree under two names.
            if let Ok(tree) = fs::canonicalize(self.mount.join(controller))
                && !trees.contains(&tree)
            {
                trees.push(tree);
            }
        }
        trees
    }

    fn apply_v1(&self, relative: &str, amounts: Amounts) -> io::Result<()> {
        for tree in self.trees() {
            fs::create_dir_all(tree.join(relative))?;
            inherit_cpuset(&tree, relative)?;
        }
        let set = |controller: &str, file: &str, value: i64| {
            write_if_there(&self.mount.join(controller).join(relative).join(file), &value.to_string())
        };
        set("cpu", "cpu.shares", cpu_shares(amounts.cpu_request.or(amounts.cpu_limit).unwrap_or(0)))?;
        set("cpu", "cpu.cfs_period_us", QUOTA_PERIOD)?;
        set("cpu", "cpu.cfs_quota_us", amounts.cpu_limit.map_or(-1, cpu_quota))?;
        set("memory", "memory.limit_in_bytes", amounts.memory_limit.unwrap_or(-1))
    }

    fn apply_v2(&self, relative: &str, amounts: Amounts) -> io::Result<()> {
        let mut at = self.mount.clone();
        for part in Path::new(relative).components() {
            enable_controllers(&at)?;
            at.push(part);
            match fs::create_dir(&at) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let shares = cpu_shares(amounts.cpu_request.or(amounts.cpu_limit).unwrap_or(0));
        write_if_there(&at.join("cpu.weight"), &cpu_weight(shares).to_string())?;
        let quota = amounts.cpu_limit.map_or("max".to_owned(), |milli| cpu_quota(milli).to_string());
        write_if_there(&at.join("cpu.max"), &format!("{quota} {QUOTA_PERIOD}"))?;
        let memory = amounts.memory_limit.map_or("max".to_owned(), |bytes| bytes.to_string());
        write_if_there(&at.join("memory.max"), &memory)
    }
}

/// Shares of version 1 as a weight of version 2, which runs from 1 to 10,000 with 100 as its middle.
fn cpu_weight(shares: i64) -> i64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10_f64.powf(exponent).ceil() as i64).clamp(1, 10_000)
}

fn enable_controllers(dir: &Path) -> io::Result<()> {
    let available = fs::read_to_string(dir.join("cgroup.controllers"))?;
    for controller in V2_CONTROLLERS {
        if available.split_whitespace().any(|name| name == controller) {
            fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// A new cpuset of version 1 is empty, and nothing can run in it until it has CPUs and memory nodes.
fn inherit_cpuset(tree: &Path, relative: &str) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut at = tree.to_owned();
        if !at.join(file).exists() {
            return Ok(());
        }
        let mut value = fs::read_to_string(at.join(file))?;
        for part in Path::new(relative).components() {
            at.push(part);
            let own = fs::read_to_string(at.join(file))?;
            if own.trim().is_empty() {
                fs::write(at.join(file), value.trim())?;
            } else {
                value = own;
            }
        }
    }
    Ok(())
}

fn write_if_there(file: &Path, value: &str) -> io::Result<()> {
    match fs::write(file, value) {
        // A kernel without this controller cannot limit it.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            tracing::debug!(file = %file.display(), %error, "cgroup limit not set");
            Ok(())
        }
        done => done,
    }
}

/// Directories of a cgroup go one by one: the files in them cannot be removed, and go with them.
fn remove_tree(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_match_the_kernels_middle_and_ends() {
        for (shares, weight) in [(2, 1), (1024, 100), (262_144, 10_000)] {
            let got = cpu_weight(shares);
            assert!((got - weight).abs() <= weight / 50, "{shares}: {got}");
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn a_pods_cgroup_has_its_limits_and_goes_away() {
        let cgroups = Cgroups::detect("/sys/fs/cgroup");
        let root = format!("/steersman-test-{}", std::process::id());
        let path = format!("{root}/kubepods/burstable/podx");
        let amounts = Amounts { cpu_limit: Some(500), memory_limit: Some(64 << 20), ..Amounts::default() };
        cgroups.apply(&path, amounts).unwrap();
        let memory = if cgroups.is_unified() {
            cgroups.mount.join(&path[1..]).join("memory.max")
        } else {
            cgroups.mount.join("memory").join(&path[1..]).join("memory.limit_in_bytes")
        };
        assert_eq!(fs::read_to_string(memory).unwrap().trim(), (64 << 20).to_string());
        assert_eq!(cgroups.pods(&root), std::slice::from_ref(&path));
        cgroups.remove(&root).unwrap();
        assert!(cgroups.pods(&root).is_empty());
    }
}
