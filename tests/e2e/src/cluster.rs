//! A cluster from the real binary, in a directory of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::api::Api;
use crate::command::{self, Output};
use crate::kubectl::Kubectl;
use crate::wait;

/// Short, since paths of sockets below it may have 107 bytes only.
const DIRECTORY: &str = "steersman-e2e-";
/// A build without optimizations on a busy machine is slow to start.
const START_TIMEOUT: Duration = Duration::from_secs(150);
const LINES_OF_LOG: usize = 60;

/// The binary that is tested.
pub fn program() -> Result<PathBuf> {
    let path =
        std::env::var_os("STEERSMAN").context("set STEERSMAN to the binary to test (`make e2e` does)")?;
    let path = PathBuf::from(path);
    if !path.is_file() {
        bail!("there is no binary {} (STEERSMAN)", path.display());
    }
    Ok(path)
}

/// Runs `steersman` to its end.
pub fn steersman(arguments: &[&str]) -> Result<Output> {
    command::run(Command::new(program()?).args(arguments), b"", START_TIMEOUT)
}

/// A port of the loopback that nobody uses now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Takes away what an interrupted run has left.
pub fn remove_left_over() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DIRECTORY)) {
            let data = path.join("data");
            steersman(&["down", "--purge", "--data-dir", &data.to_string_lossy()])?.success()?;
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// A directory for a cluster; nothing runs yet.
pub struct Cluster {
    directory: TempDir,
    port: u16,
}

impl Cluster {
    /// A place for a cluster.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix(DIRECTORY).tempdir()?;
        Ok(Self { directory, port: free_port()? })
    }

    /// A cluster that is up.
    pub fn start() -> Result<Self> {
        let cluster = Self::new()?;
        cluster.up(&[])?.success()?;
        Ok(cluster)
    }

    /// `steersman up --detach`, with more arguments.
    pub fn up(&self, more: &[&str]) -> Result<Output> {
        let port = self.port.to_string();
        let data = self.data_dir();
        let mut arguments = vec!["up", "--detach", "--api-port", &port, "--data-dir"];
        let data = data.to_string_lossy();
        arguments.push(&data);
        arguments.extend(more);
        steersman(&arguments)
    }

    /// `steersman down`, with more arguments.
    pub fn down(&self, more: &[&str]) -> Result<Output> {
        let data = self.data_dir();
        let data = data.to_string_lossy();
        let mut arguments = vec!["down", "--data-dir", &data];
        arguments.extend(more);
        steersman(&arguments)
    }

    /// Kills the process with no warning, and waits until it is gone.
    pub fn kill(&self) -> Result<()> {
        let pid = self.pid()?;
        command::signal_process(pid, "KILL")?;
        wait::until("the killed process is gone", wait::SOON, || Ok(is_gone(pid).then_some(())))
    }

    /// The process that runs the cluster.
    pub fn pid(&self) -> Result<u32> {
        let path = self.data_dir().join("steersman.pid");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        text.trim().parse().with_context(|| format!("{} holds {text:?}", path.display()))
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory beside its data, for a test's files.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The port of its API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The machine's newest kubectl as the cluster's administrator.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Kubectl::new(Kubectl::newest()?, &self.data_dir().join("admin.kubeconfig"), self.scratch())
    }

    /// Its API as the administrator, without kubectl between.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.data_dir().join("admin.kubeconfig"), self.scratch())
    }

    /// What helps to understand a failure: pods, events, the end of the log.
    pub fn state(&self) -> String {
        let mut out = String::new();
        let shown = [
            vec!["get", "pods", "--all-namespaces", "--output=wide"],
            vec!["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
        ];
        for arguments in shown {
            let printed = self.kubectl().and_then(|kubectl| kubectl.run(&arguments));
            let text = printed.map_or_else(|e| format!("{e:#}"), |o| last_lines(&(o.stdout + &o.stderr)));
            out += &format!("--- kubectl {}\n{text}\n", arguments.join(" "));
        }
        let log = std::fs::read_to_string(self.data_dir().join("steersman.log"));
        out + "--- log\n" + &log.map_or_else(|e| e.to_string(), |text| last_lines(&text))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.data_dir().exists() {
            return;
        }
        if let Err(error) = self.down(&["--purge"]).and_then(Output::success) {
            eprintln!("could not take the cluster down: {error:#}");
        }
    }
}

/// Gone, or only waiting for its parent: the last thread has ended, so that its files and locks are closed.
fn is_gone(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let dead = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    dead && std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() <= 1)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_OF_LOG)..].join("\n")
}
