//! `steersman up`: the whole single-node cluster in one process.

mod addons;
mod control_plane;
mod detach;
pub mod node;
mod progress;

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use steersman_pki::{Renewable, keep_renewed};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::data_dir::DataDir;
use control_plane::ControlPlane;
use progress::Progress;

/// How long the parts may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    pub settings: Settings,
    /// Return when the cluster is ready; it goes on in the background.
    #[arg(long)]
    pub detach: bool,
    /// Deploy a small web page to look at.
    #[arg(long)]
    pub demo: bool,
}

/// Runs the cluster until it is told to stop, or starts it in the background.
pub fn main(arguments: &Arguments) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "steersman up must run as root: it makes namespaces, mounts and cgroups; try: sudo steersman up"
        );
    }
    let data_dir = DataDir::new(&arguments.settings.data_dir.data_dir)?;
    data_dir.create()?;
    if arguments.detach {
        return detach::start(&data_dir);
    }
    let _lock = data_dir.lock()?;
    start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("could not start the async runtime")?.block_on(run(arguments, &data_dir))
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STEERSMAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let to_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(to_terminal)
        .with_writer(std::io::stderr)
        .init();
}

/// The parts that run, and what ends them.
pub struct Parts {
    tasks: JoinSet<(&'static str, Result<()>)>,
    pub stop: CancellationToken,
    /// Certificates in use, to be renewed when they are due.
    pub renewables: Vec<Renewable>,
}

impl Parts {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), stop: CancellationToken::new(), renewables: Vec::new() }
    }

    /// Runs `part` until it ends; if it ends before it is told to, the whole goes down.
    pub fn spawn(&mut self, name: &'static str, part: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, part.await) });
    }

    /// Waits for the first part to end.
    async fn first_end(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            None => Ok(()),
            Some(Ok((name, Ok(())))) => bail!("the {name} ended"),
            Some(Ok((name, Err(error)))) => Err(error.context(format!("the {name} failed"))),
            Some(Err(panic)) => Err(panic).context("a part panicked"),
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!("some parts did not end in time");
        }
    }
}

async fn run(arguments: &Arguments, data_dir: &DataDir) -> Result<()> {
    let mut progress = Progress::new();
    let mut parts = Parts::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let started = tokio::select! {
        started = start(arguments, data_dir, &mut parts, &mut progress) => started,
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop while starting")),
        _ = interrupt.recv() => Err(anyhow::anyhow!("told to stop while starting")),
    };
    let outcome = match started {
        Ok(plane) => {
            let ended = tokio::select! {
                ended = parts.first_end() => ended,
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
            };
            progress.stopping();
            parts.end().await;
            plane.close().await;
            return ended;
        }
        Err(error) => Err(error),
    };
    parts.end().await;
    outcome
}

async fn start(
    arguments: &Arguments,
    data_dir: &DataDir,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<ControlPlane> {
    let settings = &arguments.settings;
    let plane = ControlPlane::start(settings, data_dir, parts, progress).await?;
    let images = node::start(settings, data_dir, &plane, parts, progress).await?;
    let (pki, renewables, stop) =
        (plane.pki.clone(), std::mem::take(&mut parts.renewables), parts.stop.clone());
    parts.spawn("certificate renewal", async move {
        keep_renewed(pki, renewables, stop).await;
        Ok(())
    });
    if arguments.demo {
        let client = steersman_client::in_process(plane.server.handler(), control_plane::administrator());
        crate::demo::deploy(client, images).await?;
        progress.ready("demo", format!("http://{}:30080", settings.node_ip()));
    }
    progress.all_ready(&data_dir.admin_kubeconfig());
    Ok(plane)
}
