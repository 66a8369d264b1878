//! One probe of one container, in time.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Kind;
use super::check::{self, Answer, Target};
use super::counter::Counter;
use super::pace::Pace;

/// What a probe tells the worker of its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The container it asked.
    pub container_id: String,
    /// Name of that container.
    pub container: String,
    /// What the probe is for.
    pub kind: Kind,
    /// What it heard.
    pub answer: Answer,
    /// The verdict this brought, if any.
    pub verdict: Option<bool>,
}

/// Everything one probe needs.
pub struct ProbeTask {
    /// What it is for.
    pub kind: Kind,
    /// How to ask.
    pub probe: Probe,
    /// The container in the specification.
    pub container: Container,
    /// Where the container is.
    pub target: Target,
    /// How long ago the container was started.
    pub age: Duration,
    /// Where reports go; waits when the worker is behind.
    pub reports: mpsc::Sender<Report>,
}

impl ProbeTask {
    /// Probes until `stop`, or until the verdict that ends the need: a startup success, a startup or liveness
    /// failure (the container will be replaced, and its successor has probes of its own).
    pub async fn run(self, stop: CancellationToken) {
        let mut counter = Counter::new(&self.probe);
        let period = check::seconds(self.probe.period_seconds, 10);
        let mut pace = Pace::new(period, self.kind != Kind::Liveness);
        let initial = u64::try_from(self.probe.initial_delay_seconds.unwrap_or(0)).unwrap_or(0);
        let mut due = Instant::now() + Duration::from_secs(initial).saturating_sub(self.age);
        // A container that does not answer the moment it is started is not ready anyway: nothing to report.
        let mut counts = self.kind != Kind::Readiness;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            let asked = Instant::now();
            // Dropping a probe half-way is harmless: nobody needs its answer any more.
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = check::ask(&self.target, &self.container, &self.probe) => answer,
            };
            let success = matches!(answer, Answer::Success | Answer::Warning(_));
            let in_vain = !success && !counts;
            let next = pace.next(success);
            (due, counts) = (asked + next.wait, next.counts);
            if in_vain {
                continue;
            }
            let verdict = match &answer {
                Answer::Success | Answer::Warning(_) => counter.observe(true),
                Answer::Failure(_) => counter.observe(false),
                Answer::Unknown(_) => None,
            };
            if !self.report(answer, verdict, &stop).await || self.is_final(verdict) {
                return;
            }
        }
    }

    fn is_final(&self, verdict: Option<bool>) -> bool {
        match (self.kind, verdict) {
            (_, None) | (Kind::Readiness, _) | (Kind::Liveness, Some(true)) => false,
            (Kind::Startup, Some(_)) | (Kind::Liveness, Some(false)) => true,
        }
    }

    async fn report(&self, answer: Answer, verdict: Option<bool>, stop: &CancellationToken) -> bool {
        let report = Report {
            container_id: self.target.container_id.clone(),
            container: self.container.name.clone(),
            kind: self.kind,
            answer,
            verdict,
        };
        tokio::select! {
            () = stop.cancelled() => false,
            sent = self.reports.send(report) => sent.is_ok(),
        }
    }
}
