//! What a cluster could leave behind on a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cluster, command, wait};

/// Folders in which programs keep state under their own name.
const STATE_FOLDERS: [&str; 4] = ["/run", "/var/lib", "/var/log", "/run/netns"];

/// The things of each sort that are there.
#[derive(Clone, Debug)]
pub struct Snapshot(BTreeMap<&'static str, BTreeSet<String>>);

impl Snapshot {
    /// What is there now.
    pub fn take() -> Result<Self> {
        Ok(Self(BTreeMap::from([
            ("mounts", mounts()?),
            ("links", links()?),
            ("routes", lines("ip", &["-oneline", "route", "show", "table", "all"])?),
            ("rules", lines("ip", &["rule"])?),
            ("tables", lines("nft", &["list", "tables"])?),
            ("network namespaces", network_namespaces()?),
            ("cgroups", cgroups()?),
            ("state folders", state_folders()?),
            ("processes", processes()?),
        ])))
    }

    /// Everything that is there now and was not `before`, and the other way round, one a line.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (sort, now) in &self.0 {
            let then = &before.0[sort];
            out.extend(now.difference(then).map(|thing| format!("{sort}: new: {thing}")));
            out.extend(then.difference(now).map(|thing| format!("{sort}: gone: {thing}")));
        }
        out
    }
}

/// Mount point and type of each mount.
fn mounts() -> Result<BTreeSet<String>> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        Some(format!("{} ({})", place.split(' ').nth(4)?, kind.split(' ').next()?))
    };
    table.lines().map(|line| mount(line).with_context(|| line.to_owned())).collect()
}

fn links() -> Result<BTreeSet<String>> {
    let names = std::fs::read_dir("/sys/class/net")?;
    names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Those that a process is in, and those with a name (which are files of [`STATE_FOLDERS`]).
fn network_namespaces() -> Result<BTreeSet<String>> {
    Ok(each_process(|process| {
        let link = std::fs::read_link(process.join("ns/net")).ok()?;
        Some(link.to_string_lossy().into_owned())
    })?
    .collect())
}

/// Processes of the tested program: the cluster itself and the shims of pods.
fn processes() -> Result<BTreeSet<String>> {
    let program = cluster::program()?.canonicalize()?;
    Ok(each_process(|process| {
        let of_ours = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
        of_ours.then(|| process.display().to_string())
    })?
    .collect())
}

fn each_process(look: impl Fn(&Path) -> Option<String>) -> Result<impl Iterator<Item = String>> {
    let all = std::fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(all.filter(|path| path.join("ns").exists()).filter_map(move |path| look(&path)))
}

/// Every cgroup but systemd's, which come and go with its services.
fn cgroups() -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    let mut left = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(folder) = left.pop() {
        // A cgroup may go while it is read.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let systemd = path.extension().is_some_and(|e| e == "service" || e == "scope" || e == "slice");
            if (!systemd || is_kubernetes(&path)) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                out.insert(path.display().to_string());
                left.push(path);
            }
        }
    }
    Ok(out)
}

fn is_kubernetes(path: &Path) -> bool {
    path.to_string_lossy().contains("kubepods")
}

fn state_folders() -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for folder in STATE_FOLDERS {
        // Not every machine has each of them.
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry?;
            if folder == "/run/netns" || entry.file_type()?.is_dir() {
                out.insert(entry.path().display().to_string());
            }
        }
    }
    Ok(out)
}

fn lines(program: &str, arguments: &[&str]) -> Result<BTreeSet<String>> {
    let printed = command::run(Command::new(program).args(arguments), b"", wait::SOON)?.success()?;
    Ok(printed.lines().map(|line| line.trim().to_owned()).collect())
}
