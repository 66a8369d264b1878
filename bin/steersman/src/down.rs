//! `steersman down`: stops a cluster and removes what it made of the machine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use steersman_container_runtime::{RuntimeConfig, teardown};

use crate::components::{proxy, runtime};
use crate::data_dir::DataDir;
use crate::settings::DataDirArgument;

/// How long the cluster's process may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Remove the data too.
    #[arg(long)]
    purge: bool,
}

/// Stops the process, then containers, mounts, cgroups, namespaces, links and rules. Calling it again carries on
/// where an error stopped it.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("down")?;
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    if !data_dir.path().is_dir() {
        bail!("there is no cluster at {}", data_dir.path().display());
    }
    stop_process(&data_dir)?;
    let _lock = data_dir.lock()?;
    let config = RuntimeConfig::for_data_dir(data_dir.path());
    teardown::teardown(&config).context("could not remove the containers")?;
    println!("containers are stopped");
    teardown::unmount_below(data_dir.path())
        .with_context(|| format!("could not unmount below {}", data_dir.path().display()))?;
    // A server without a node has no network; it may be that of another's node.
    if data_dir.addresses().is_dir() {
        proxy::tear_down()?;
        runtime::tear_down_network(&data_dir)?; // with it goes the directory, by which an interrupted end is seen
        println!("network is removed");
    }
    remove_state(&data_dir)?;
    if arguments.purge {
        std::fs::remove_dir_all(data_dir.path())
            .with_context(|| format!("could not remove {}", data_dir.path().display()))?;
        println!("data in {} is removed", data_dir.path().display());
    }
    Ok(())
}

/// Asks the process to end, and kills it if it does not.
fn stop_process(data_dir: &DataDir) -> Result<()> {
    let Some(pid) = data_dir.running()? else { return Ok(()) };
    let deadline = Instant::now() + STOP_TIMEOUT;
    kill(pid, Signal::SIGTERM).with_context(|| format!("could not stop process {pid}"))?;
    while data_dir.running()?.is_some() {
        if Instant::now() > deadline {
            println!("process {pid} does not end; killing it");
            kill(pid, Signal::SIGKILL).with_context(|| format!("could not kill process {pid}"))?;
            while data_dir.running()?.is_some() {
                pause();
            }
            break;
        }
        pause();
    }
    println!("the cluster is stopped");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the end of a process that is no child can only be looked for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// What described containers that are gone now. The rest of the data (store, keys, images) stays.
fn remove_state(data_dir: &DataDir) -> Result<()> {
    let config = RuntimeConfig::for_data_dir(data_dir.path());
    for path in [config.state_dir, data_dir.kubelet(), data_dir.images().join("containers")] {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("could not remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
