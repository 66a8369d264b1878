//! What a container is made of, as the runtime tells its shim: plain data with every decision taken.
//!
//! The runtime builds a [`ContainerSpec`] from the CRI request and the image (see [`crate::plan`]); the shim and
//! the container's first process carry it out without asking anything again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{DeviceRule, Resources};

/// Everything needed to start one container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The container's id, also the name of its cgroup.
    pub id: String,
    /// Where the root file system comes from.
    pub rootfs: RootFs,
    /// Whether the container may write to its root file system.
    pub readonly_rootfs: bool,
    /// Mounts, in the order in which they are made.
    pub mounts: Vec<Mount>,
    /// Device nodes beyond the standard ones.
    pub devices: Vec<Device>,
    /// Paths hidden from the container.
    pub masked_paths: Vec<String>,
    /// Paths the container may only read.
    pub readonly_paths: Vec<String>,
    /// Whose processes the container sees.
    pub pid_namespace: PidNamespace,
    /// Cgroup path below the root of each hierarchy, starting with `/`.
    pub cgroup_path: String,
    /// Limits set on the cgroup before the first process runs.
    pub resources: Resources,
    /// Device access; empty allows everything.
    pub device_rules: Vec<DeviceRule>,
    /// The container's main process.
    pub process: Process,
    /// What happens to its input and output.
    pub io: ContainerIo,
    /// File in which the shim keeps the container's state.
    pub state_file: PathBuf,
}

/// Where a root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RootFs {
    /// A directory, bound as it is.
    Directory(PathBuf),
    /// An overlay; `lower` runs from the topmost layer to the base.
    Overlay {
        /// Read-only layers.
        lower: Vec<PathBuf>,
        /// What the container writes.
        upper: PathBuf,
        /// Scratch directory on the file system of `upper`.
        work: PathBuf,
    },
}

/// One mount inside a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container.
    pub target: String,
    /// What is mounted there.
    pub source: MountSource,
    /// Whether it is read-only.
    pub readonly: bool,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MountSource {
    /// A file or directory of the host with what is mounted below it.
    Bind {
        /// Path on the host.
        path: PathBuf,
        /// How mounts made later travel between host and container.
        propagation: Propagation,
        /// Whether `readonly` also covers mounts below.
        recursive_readonly: bool,
    },
    /// A new file system instance of a kind such as `proc` or `tmpfs`.
    New {
        /// File system type.
        kind: String,
        /// `key=value` or flag options.
        options: Vec<String>,
        /// `MOUNT_ATTR_*` bits.
        attributes: u32,
    },
    /// The container's own cgroups, read-only unless privileged.
    Cgroup,
    /// The standard device directory.
    Dev,
}

/// How mount events travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From host to container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// A device node to make in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Absolute path in the container.
    pub target: String,
    /// Device of the host whose numbers and mode are taken.
    pub source: PathBuf,
}

/// Whose processes a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PidNamespace {
    /// Only its own.
    Own,
    /// Those of the pod.
    Pod,
    /// Those of the node.
    Node,
    /// Those of another container, by id.
    Container(String),
}

/// A process in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`; bytes that are no UTF-8 cannot come through the Kubernetes API.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: String,
    /// Who it runs as.
    pub user: User,
    /// Capabilities by bit.
    pub capabilities: Capabilities,
    /// Whether it may never gain privileges.
    pub no_new_privileges: bool,
    /// System call filter.
    pub seccomp: Seccomp,
    /// AppArmor profile, if any.
    pub apparmor: Option<String>,
    /// SELinux label, if any.
    pub selinux: Option<String>,
    /// Out-of-memory score; `None` inherits nothing and means 0.
    pub oom_score_adj: Option<i32>,
    /// Whether it gets a terminal.
    pub terminal: bool,
}

/// Who a process runs as, before the container's `/etc/passwd` and `/etc/group` are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `name`, `uid`, `name:group` or `uid:gid`, as images write it; empty is root.
    pub name: String,
    /// Overrides the group that `name` gives.
    pub gid: Option<u32>,
    /// Further groups.
    pub supplemental: Vec<u32>,
    /// Leaves out the groups that `/etc/group` of the image lists for the user.
    pub strict: bool,
}

/// Who a process turned out to run as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All supplemental groups.
    pub groups: Vec<u32>,
    /// Home directory, for `HOME`.
    pub home: String,
}

/// Capability sets as bit masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Bounding, permitted and effective set.
    pub bounding: u64,
    /// Ambient (and inheritable) set.
    pub ambient: u64,
}

/// The system call filter of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Seccomp {
    /// None.
    Unconfined,
    /// The built-in profile.
    RuntimeDefault,
    /// A profile file of the node in the OCI form.
    Localhost(PathBuf),
}

/// What happens to a container's input and output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerIo {
    /// Log file in CRI form; `None` throws output away.
    pub log_file: Option<PathBuf>,
    /// Whether standard input stays open for an attach.
    pub stdin: bool,
    /// Whether standard input ends with the first attach.
    pub stdin_once: bool,
}

/// What the shim knows about a container; also the content of its state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRun {
    /// Pid of the main process on the host, while it runs.
    pub pid: Option<i32>,
    /// When it started, in nanoseconds since the epoch.
    pub started_at: i64,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Who it runs as.
    pub identity: Identity,
}

/// The end of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, or 128 plus the signal number.
    pub code: i32,
    /// When, in nanoseconds since the epoch.
    pub finished_at: i64,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Set when it never ran: why.
    pub start_error: Option<String>,
}
