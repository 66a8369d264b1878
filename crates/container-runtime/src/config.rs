//! Where the runtime keeps things and how it starts shims.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Configuration of one runtime. Two runtimes on one machine differ in every path.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// What must survive a reboot: what sandboxes and containers are.
    pub state_dir: PathBuf,
    /// What must not: sockets, namespaces, mounts. Keep it short, since a socket's path has at most 108 bytes.
    pub run_dir: PathBuf,
    /// Program and arguments that start a shim; the configuration file's path is appended.
    pub shim_command: Vec<OsString>,
    /// Parent of the cgroups that are the runtime's own (shims, and pods without a parent of their own).
    pub cgroup_root: String,
    /// Version that `Version` reports.
    pub version: String,
}

impl RuntimeConfig {
    /// The configuration that goes with a data directory: state below it, the rest below `/run/steersman`.
    pub fn for_data_dir(data_dir: &Path) -> Self {
        let name = instance_name(data_dir);
        Self {
            state_dir: data_dir.join("runtime"),
            run_dir: Path::new("/run/steersman").join(&name),
            shim_command: vec!["/proc/self/exe".into(), crate::shim::SUBCOMMAND.into()],
            cgroup_root: format!("/steersman-{name}"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    pub(crate) fn sandbox_dir(&self, id: &str) -> PathBuf {
        self.state_dir.join("sandboxes").join(id)
    }

    pub(crate) fn container_dir(&self, id: &str) -> PathBuf {
        self.state_dir.join("containers").join(id)
    }

    pub(crate) fn sandbox_run_dir(&self, id: &str) -> PathBuf {
        self.run_dir.join("sandboxes").join(id)
    }

    pub(crate) fn shim_socket(&self, id: &str) -> PathBuf {
        self.sandbox_run_dir(id).join("shim")
    }

    pub(crate) fn network_namespace(&self, id: &str) -> PathBuf {
        self.sandbox_run_dir(id).join("net")
    }

    pub(crate) fn shared_memory(&self, id: &str) -> PathBuf {
        self.sandbox_run_dir(id).join("shm")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.run_dir.join("root")
    }

    pub(crate) fn shim_cgroup(&self) -> String {
        format!("{}/shims", self.cgroup_root)
    }

    /// Cgroup of a pod for which the request names none.
    pub(crate) fn own_pod_cgroup(&self, sandbox: &str) -> String {
        format!("{}/pods/{sandbox}", self.cgroup_root)
    }
}

/// A short name that differs for different data directories: the start of the path's digest.
pub fn instance_name(data_dir: &Path) -> String {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;
    hex::encode(&Sha256::digest(data_dir.as_os_str().as_bytes())[..4])
}
