//! Which cgroup hierarchies the machine has, and making directories in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The hierarchies of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// In the order of `/proc/self/mountinfo`, each once.
    pub hierarchies: Vec<Hierarchy>,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub root: PathBuf,
    /// Controllers of a v1 hierarchy, `name=systemd` included; empty for v2.
    pub controllers: Vec<String>,
}

/// Words of a v1 mount's options that are no controllers.
const PLAIN_OPTIONS: [&str; 5] = ["rw", "ro", "xattr", "clone_children", "noprefix"];

impl Layout {
    /// Reads the layout off the machine.
    pub fn detect() -> io::Result<Self> {
        let layout = Self::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        if layout.hierarchies.is_empty() {
            return Err(io::Error::other("no cgroup file system is mounted"));
        }
        Ok(layout)
    }

    /// Reads the layout off the text of a `mountinfo` file.
    pub fn parse(mountinfo: &str) -> Self {
        let mut layout = Self::default();
        for hierarchy in mountinfo.lines().filter_map(parse_line) {
            let known = |h: &Hierarchy| h.controllers == hierarchy.controllers;
            if !layout.hierarchies.iter().any(known) {
                layout.hierarchies.push(hierarchy);
            }
        }
        layout
    }

    /// The v2 hierarchy, in v2 and hybrid layouts.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.is_v2())
    }

    /// The v1 hierarchy of a controller.
    pub fn v1(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == controller))
    }

    /// The hierarchy of a controller: v1's where it has one, else v2.
    pub fn of(&self, controller: &str) -> Option<&Hierarchy> {
        self.v1(controller).or_else(|| self.v2())
    }

    /// The hierarchy that says which processes belong together.
    pub fn tracker(&self) -> Option<&Hierarchy> {
        self.v2().or_else(|| self.v1("pids")).or(self.hierarchies.first())
    }

    /// Whether v2 has the controllers (not so in hybrid).
    pub fn is_unified(&self) -> bool {
        self.hierarchies.iter().all(Hierarchy::is_v2)
    }
}

impl Hierarchy {
    /// Whether this is the v2 tree.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether this v1 hierarchy has the controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The directory of the cgroup `path`.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Makes `path` and what leads to it, and appends what was missing to `made`.
    pub fn create(&self, path: &str, made: &mut Vec<PathBuf>) -> io::Result<()> {
        let mut directory = self.root.clone();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            if self.is_v2() {
                delegate_controllers(&directory);
            }
            directory.push(part);
            match fs::create_dir(&directory) {
                Ok(()) => made.push(directory.clone()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(super::context(e, "make", &directory)),
            }
            if self.has("cpuset") {
                inherit_cpuset(&directory)?;
            }
        }
        Ok(())
    }
}

/// Turns on for the children of a v2 cgroup every controller it has. A cgroup that holds processes refuses; then
/// its children go without, which shows when a limit is set.
fn delegate_controllers(directory: &Path) {
    let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    let (available, enabled) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
    for controller in available.split_whitespace() {
        if !enabled.split_whitespace().any(|e| e == controller) {
            // One by one: a controller that cannot be turned on must not hold up the others.
            let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

/// A new v1 cpuset is empty and takes no process until it is given CPUs and memory nodes.
fn inherit_cpuset(directory: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        if !fs::read_to_string(&own)?.trim().is_empty() {
            continue;
        }
        if let Some(parent) = directory.parent() {
            fs::write(&own, fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// `36 35 98:0 /root /mount/point options - type source super,options` (proc(5)).
fn parse_line(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let root = PathBuf::from(mount.split(' ').nth(4)?);
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    match kind {
        "cgroup2" => Some(Hierarchy { root, controllers: Vec::new() }),
        "cgroup" => {
            let options = filesystem.nth(1)?;
            let is_controller = |o: &&str| !PLAIN_OPTIONS.contains(o) && !o.starts_with("release_agent");
            let controllers: Vec<_> = options.split(',').filter(is_controller).map(str::to_owned).collect();
            (!controllers.is_empty()).then_some(Hierarchy { root, controllers })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
35 30 0:28 / /other/memory rw,relatime - cgroup cgroup rw,memory";

    #[test]
    fn a_hybrid_layout_has_each_hierarchy_once() {
        let layout = Layout::parse(HYBRID);
        assert_eq!(layout.hierarchies.len(), 4);
        assert!(!layout.is_unified());
        assert_eq!(layout.v1("cpuacct").unwrap().root, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(layout.of("memory").unwrap().root, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(layout.of("pids").unwrap().root, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(layout.v1("name=systemd").unwrap().root, Path::new("/sys/fs/cgroup/systemd"));
        assert_eq!(layout.tracker().unwrap().directory("/a/b"), Path::new("/sys/fs/cgroup/unified/a/b"));
    }

    #[test]
    fn a_pure_v2_layout_is_unified() {
        let layout = Layout::parse("25 20 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate");
        assert!(layout.is_unified());
        assert_eq!(layout.of("memory").unwrap().root, Path::new("/sys/fs/cgroup"));
    }
}
