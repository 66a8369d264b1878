//! One worker per pod: a task that owns everything the kubelet remembers of it.
//!
//! ```text
//! Active ──▶ Ending (hooks, signals, grace) ──▶ Ended (volumes, cgroup, API object) ──▶ gone
//!    ▲  │
//!    └──┘ each step: look at the runtime, plan, act, report
//! ```
//! A step is level-triggered: whatever wakes the worker (the API, the runtime, a probe, a pull, an object, a timer),
//! it looks at the runtime again and decides from what it sees. So a kubelet that restarts carries on where it was.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::pod::PodExt;
use crate::probe::task::Report;
use crate::probe::{Kind, Results};
use crate::shared::Shared;
use crate::status::Waiting;
use crate::view::PodView;
use crate::volumes::tokens::Tokens;

mod end;
mod files;
mod hooks;
mod image;
mod kill;
mod mounts;
mod probes;
mod report;
mod start;
mod sync;

/// Reports of probes that may wait for the worker; a probe waits when there are more.
const REPORTS: usize = 32;

/// What is wanted of a pod.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The pod as the API has it.
    pub pod: Arc<Pod>,
    /// The API has it no more.
    pub removed: bool,
}

/// Where the pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Active,
    Ending,
    Ended,
    Gone,
}

/// A step could not be finished; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("the container runtime failed: {0}")]
    Runtime(#[from] tonic::Status),
    #[error("could not {action}: {source}")]
    Io { action: &'static str, source: std::io::Error },
    #[error("the API refused: {0}")]
    Api(#[from] kube::Error),
}

/// A pull that came to its end.
struct PullDone {
    image: String,
    /// The container that it was pulled for.
    asker: Container,
    outcome: Result<crate::images::Pulled, tonic::Status>,
}

/// The worker of one pod.
pub(crate) struct PodWorker {
    shared: Arc<Shared>,
    desired: watch::Receiver<Desired>,
    wake: Arc<Notify>,
    pod: Arc<Pod>,
    removed: bool,
    life: Life,
    view: PodView,
    status: PodStatus,
    /// Whether this worker has looked at the runtime before.
    seen: bool,
    failed: Option<Waiting>,
    waiting: HashMap<String, Waiting>,
    messages: HashMap<String, String>,
    probes: Results,
    probe_stops: HashMap<(String, Kind), CancellationToken>,
    probe_tasks: JoinSet<()>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    crashes: Backoff,
    pull_backoff: Backoff,
    pulls: JoinSet<PullDone>,
    /// Images on their way, and the names of the containers that wait for them.
    pulling: HashMap<String, HashSet<String>>,
    /// Containers whose wait for a pull is over, with what was pulled for them.
    pulled: HashMap<String, Option<String>>,
    pull_errors: HashMap<String, String>,
    tokens: Tokens,
    /// Volumes that have been in place, by name.
    mounted: HashMap<String, std::path::PathBuf>,
    kills: JoinSet<()>,
    kill_grace: Option<Duration>,
    retries: Backoff,
    deleted: bool,
    due: Option<Instant>,
}

impl PodWorker {
    /// A worker for the pod that `desired` has now. Whoever notifies `wake` makes it look again.
    pub(crate) fn new(shared: Arc<Shared>, mut desired: watch::Receiver<Desired>, wake: Arc<Notify>) -> Self {
        let Desired { pod, removed } = desired.borrow_and_update().clone();
        Self {
            shared,
            desired,
            wake,
            status: pod.status_or_default(),
            pod,
            removed,
            life: Life::Active,
            view: PodView::default(),
            seen: false,
            failed: None,
            waiting: HashMap::new(),
            messages: HashMap::new(),
            probes: Results::default(),
            probe_stops: HashMap::new(),
            probe_tasks: JoinSet::new(),
            reports: mpsc::channel(REPORTS),
            crashes: Backoff::default(),
            pull_backoff: Backoff::default(),
            pulls: JoinSet::new(),
            pulling: HashMap::new(),
            pulled: HashMap::new(),
            pull_errors: HashMap::new(),
            tokens: Tokens::default(),
            mounted: HashMap::new(),
            kills: JoinSet::new(),
            kill_grace: None,
            retries: Backoff::new(Duration::from_millis(500), Duration::from_secs(120)),
            deleted: false,
            due: None,
        }
    }

    /// Works until the pod is gone or `stop` is cancelled. Stopping leaves its containers running.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> String {
        let uid = self.pod.uid().to_owned();
        while self.life != Life::Gone {
            self.due = self.tokens.next_renewal();
            match Box::pin(self.step()).await {
                Ok(()) => {}
                Err(error) => self.try_again_later(&error),
            }
            if self.life == Life::Gone || !self.wait(&stop).await {
                break;
            }
        }
        for token in self.probe_stops.values() {
            token.cancel();
        }
        self.probe_tasks.shutdown().await;
        self.pulls.shutdown().await;
        uid
    }

    /// Looks, decides, acts.
    async fn step(&mut self) -> Result<(), StepError> {
        self.view = self.shared.runtime.pod_view(self.pod.uid()).await?;
        self.read_messages().await;
        if !self.seen {
            self.seen = true;
            self.remember();
        }
        if self.life == Life::Active && self.must_end() {
            self.life = Life::Ending;
        }
        if self.life == Life::Active {
            Box::pin(self.sync()).await?;
        }
        if self.life == Life::Ending {
            self.end().await?;
        }
        if self.life == Life::Ended {
            self.clean_up().await?;
        }
        Ok(())
    }

    fn must_end(&self) -> bool {
        let terminal = matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        self.removed || self.pod.is_deleting() || self.failed.is_some() || terminal
    }

    /// Waits for a reason to look again; false when it is time to stop.
    async fn wait(&mut self, stop: &CancellationToken) -> bool {
        loop {
            let again = tokio::select! {
                () = stop.cancelled() => return false,
                changed = self.desired.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    let Desired { pod, removed } = self.desired.borrow_and_update().clone();
                    let matters = self.matters(&pod, removed);
                    (self.pod, self.removed) = (pod, removed);
                    matters
                }
                () = self.wake.notified() => true,
                Some(report) = self.reports.1.recv() => self.heard(report),
                Some(done) = self.pulls.join_next() => self.pull_ended(done),
                Some(_) = self.kills.join_next() => true,
                Some(_) = self.probe_tasks.join_next() => false,
                () = sleep_until(self.due) => true,
            };
            if again {
                return true;
            }
        }
    }

    /// Whether a change of the object asks for anything. The kubelet's own status does not.
    fn matters(&self, pod: &Pod, removed: bool) -> bool {
        let conditions = |pod: &Pod| pod.status.as_ref().and_then(|status| status.conditions.clone());
        removed != self.removed
            || pod.spec != self.pod.spec
            || pod.metadata.deletion_timestamp != self.pod.metadata.deletion_timestamp
            || pod.metadata.deletion_grace_period_seconds != self.pod.metadata.deletion_grace_period_seconds
            || pod.metadata.labels != self.pod.metadata.labels
            || pod.metadata.annotations != self.pod.metadata.annotations
            || pod.metadata.generation != self.pod.metadata.generation
            || (pod.spec().readiness_gates.is_some() && conditions(pod) != conditions(&self.pod))
    }

    /// Looks again at `at`, or sooner if that was wanted already.
    fn look_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn try_again_later(&mut self, error: &StepError) {
        let delay = self.retry_delay("step");
        tracing::warn!(pod = %self.pod.long_name(), %error, ?delay, "pod step failed, trying again");
        self.look_at(Instant::now() + delay);
    }

    /// The next delay for something that failed: doubled each time.
    fn retry_delay(&mut self, what: &str) -> Duration {
        self.retries.next(what, now());
        self.retries.delay(what)
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Nanoseconds of Unix time.
pub(crate) fn now() -> crate::backoff::Nanos {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
