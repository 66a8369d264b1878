//! The parts that a command runs, and their common end: when one ends, or the process is told to stop, all do.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use steersman_pki::{ClusterPki, Renewable, keep_renewed};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the parts may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What runs, and what ends it.
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

    /// Keeps the certificates renewed that are among the renewables by now.
    pub fn renew_certificates(&mut self, pki: Arc<ClusterPki>) {
        let (renewables, stop) = (std::mem::take(&mut self.renewables), self.stop.clone());
        self.spawn("certificate renewal", async move {
            keep_renewed(pki, renewables, stop).await;
            Ok(())
        });
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

/// Runs what `start` starts until a part ends or the process is told to stop; then `farewell` is called, the parts
/// end, and `close` puts away what they stood on. `log` is the filter of the log where the environment names none.
pub fn run<T>(
    log: &str,
    start: impl AsyncFnOnce(&mut Parts) -> Result<T>,
    farewell: impl FnOnce(),
    close: impl AsyncFnOnce(T),
) -> Result<()> {
    start_log(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("could not start the async runtime")?.block_on(async {
        let mut parts = Parts::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let started = tokio::select! {
            started = start(&mut parts) => started,
            _ = terminate.recv() => Err(anyhow!("told to stop while starting")),
            _ = interrupt.recv() => Err(anyhow!("told to stop while starting")),
        };
        let running = match started {
            Ok(running) => running,
            Err(error) => {
                parts.end().await;
                return Err(error);
            }
        };
        let ended = tokio::select! {
            ended = parts.first_end() => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        farewell();
        parts.end().await;
        close(running).await;
        ended
    })
}

fn start_log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STEERSMAN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(filter));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
