//! The process that stands behind one pod: holds its namespaces, its containers' output, and their exit codes.
//!
//! The runtime starts the same binary anew as `shim`; the shim leaves the runtime's process tree, session and cgroup, and
//! from then on lives until told to end. It has one thread and one `poll` loop, answers on a unix socket (see
//! [`wire`]), writes log files itself, and records in each container's state file what became of it. So the runtime may
//! be killed and replaced at any time, and finds everything again.
//!
//! It decides nothing: what to start comes as a finished [`ContainerSpec`](crate::spec::ContainerSpec).

mod container;
mod launch;
pub mod log;
mod server;
mod setup;
pub mod wire;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::{self, SingleThread};

/// The first argument with which the binary becomes a shim.
pub const SUBCOMMAND: &str = "shim";

/// What a started shim writes once it listens.
pub const READY: &str = "ready";

/// What a shim is told when it starts, in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// The sandbox it stands for.
    pub sandbox: String,
    /// Where it listens.
    pub socket: PathBuf,
    /// Where a new network namespace is pinned; `None` stays in the host's.
    pub network_namespace: Option<PathBuf>,
    /// Whether it gets an IPC namespace of its own.
    pub ipc_namespace: bool,
    /// Host name in a UTS namespace of its own; `None` stays in the host's.
    pub hostname: Option<String>,
    /// Whether containers share a pid namespace, which then needs a process to reap in it.
    pub shared_pids: bool,
    /// Kernel parameters of the namespaces: dotted name and value.
    pub sysctls: Vec<(String, String)>,
    /// Cgroup of the shim itself.
    pub cgroup: String,
    /// Empty directory on a mount that nothing propagates from, where root file systems are put together.
    pub staging: PathBuf,
}

/// Runs a shim; `args` are those after `shim`: the path of its configuration. Returns the exit code.
///
/// Must be called before anything starts a thread. On standard output it writes one line, [`READY`] or the reason why
/// not, and then lets go of it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let Some(path) = args.into_iter().next() else {
        wire::tell(io::stderr(), "usage: shim CONFIG");
        return 2;
    };
    match run(Path::new(&path)) {
        Ok(()) => 0,
        Err(error) => {
            wire::tell(io::stdout(), &error.to_string());
            1
        }
    }
}

fn run(path: &Path) -> io::Result<()> {
    sys::thrifty_heap();
    let alone = SingleThread::witness()?;
    sys::close_inherited(&alone);
    let config: ShimConfig = serde_json::from_slice(&fs::read(path)?)?;
    rustix::process::setsid()?;
    sys::detach_from_parent(&alone)?;
    let mut server = setup::prepare(config, alone)?;
    wire::tell(io::stdout(), READY);
    setup::leave_stdio()?;
    sys::trim_heap();
    server.run()
}

/// Nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
