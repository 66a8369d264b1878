//! Leader election in action: carries out what [`Election`] decides, and runs the work of the one that leads.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::election::{Effect, Election, Event, LeadershipLost, Moment, Timing};
use crate::{EventRecorder, EventSource, EventType, EventWriter, ObjectRef};

const EVENT_REASON: &str = "LeaderElection";
/// How long the last events may take at the end.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Which election this process takes part in.
#[derive(Clone, Debug)]
pub struct LeaderElectionConfig {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are: different for each process.
    pub identity: String,
    /// How long things take.
    pub timing: Timing,
}

/// A holder identity as upstream's components have it: the host's name and something that no other process has.
pub fn holder_identity(host: &str) -> String {
    format!("{host}_{}", uuid::Uuid::new_v4())
}

/// How the election stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderStatus {
    /// Who leads as far as is known; empty if nobody does.
    pub holder: String,
    /// Since when our own hold counts; `None` if we do not lead.
    pub renewed: Option<Instant>,
}

impl LeaderStatus {
    /// Whether we lead.
    pub fn is_leader(&self) -> bool {
        self.renewed.is_some()
    }
}

/// Takes part in an election.
pub struct LeaderElector {
    leases: Api<Lease>,
    name: String,
    identity: String,
    election: Election,
    call_limit: Duration,
    status: watch::Sender<LeaderStatus>,
    recorder: EventRecorder,
}

/// Writes what an elector reports.
pub struct LeaderEvents(EventWriter);

impl LeaderElector {
    /// Takes part through `client`; `source` reports when leadership changes.
    pub fn new(client: Client, config: LeaderElectionConfig, source: EventSource) -> (Self, LeaderEvents) {
        let LeaderElectionConfig { namespace, name, identity, timing } = config;
        let (recorder, events) = EventRecorder::new(client.clone(), source);
        let elector = Self {
            leases: Api::namespaced(client, &namespace),
            election: Election::new(&namespace, &name, &identity, timing, Instant::now()),
            name,
            identity,
            // A try that fails leaves time for another one.
            call_limit: timing.renew_deadline / 2,
            status: watch::Sender::default(),
            recorder,
        };
        (elector, LeaderEvents(events))
    }

    /// How the election stands, as it changes.
    pub fn status(&self) -> watch::Receiver<LeaderStatus> {
        self.status.subscribe()
    }

    /// Waits until this process leads, then runs `work` until it ends, which it must do soon after its token is
    /// cancelled. Gives what the work gave; `None` if `stop` came before. If leadership is lost, the work is dropped
    /// where it stands, and the process should end. At an orderly end the Lease is given back.
    pub async fn run<W: Future>(
        mut self,
        events: LeaderEvents,
        stop: CancellationToken,
        work: impl FnOnce(CancellationToken) -> W,
    ) -> Result<Option<W::Output>, LeadershipLost> {
        let last = CancellationToken::new();
        let mut writing = pin!(events.0.run(last.clone()));
        let outcome = tokio::select! {
            outcome = self.take_part(stop, work) => outcome,
            // Events are written until `last` is cancelled, which is below.
            () = &mut writing => Ok(None),
        };
        last.cancel();
        if tokio::time::timeout(LAST_EVENTS, writing).await.is_err() {
            tracing::debug!("the last events of the election were not written in time");
        }
        outcome
    }

    async fn take_part<W: Future>(
        &mut self,
        stop: CancellationToken,
        work: impl FnOnce(CancellationToken) -> W,
    ) -> Result<Option<W::Output>, LeadershipLost> {
        let mut effect = self.decide(Event::Due)?;
        while !self.election.is_leader() {
            let event = tokio::select! {
                () = stop.cancelled() => {
                    self.release().await;
                    return Ok(None);
                }
                // A write that is dropped may have been done: that is why the Lease is looked at in `release`.
                event = self.carry_out(effect) => event,
            };
            effect = self.decide(event)?;
        }
        self.report("became leader");
        let mut working = pin!(work(stop.child_token()));
        loop {
            let event = tokio::select! {
                output = &mut working => {
                    self.release().await;
                    return Ok(Some(output));
                }
                event = self.carry_out(effect) => event,
            };
            effect = match self.decide(event) {
                Ok(effect) => effect,
                Err(lost) => {
                    self.report("stopped leading");
                    return Err(lost);
                }
            };
        }
    }

    fn decide(&mut self, event: Event) -> Result<Effect, LeadershipLost> {
        let now = Moment { instant: Instant::now(), wall: Timestamp::now(), chance: rand::random() };
        let before = self.election.holder().to_owned();
        let decided = self.election.handle(event, now);
        if before != self.election.holder() {
            tracing::info!(lease = %self.name, leader = self.election.holder(), "a new leader");
        }
        let holder = self.election.holder().to_owned();
        self.status.send_replace(LeaderStatus { holder, renewed: self.election.renewed() });
        decided
    }

    async fn carry_out(&self, effect: Effect) -> Event {
        if let Effect::WaitUntil(due) = effect {
            tokio::time::sleep_until(due).await;
            return Event::Due;
        }
        let limit = Instant::now() + self.call_limit;
        let limit = self.election.deadline().map_or(limit, |deadline| deadline.min(limit));
        match tokio::time::timeout_at(limit, self.call(effect)).await {
            Ok(Ok(event)) => event,
            // Another was faster; that is what an election is.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Event::Failed,
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, %error, "the Lease was not read or written, trying again");
                Event::Failed
            }
            Err(_) => {
                tracing::warn!(lease = %self.name, "the API did not answer in time, trying again");
                Event::Failed
            }
        }
    }

    async fn call(&self, effect: Effect) -> Result<Event, kube::Error> {
        let params = PostParams::default();
        match effect {
            Effect::WaitUntil(_) => Ok(Event::Due),
            Effect::Read => self.leases.get_opt(&self.name).await.map(Event::Read),
            Effect::Create(lease) => self.leases.create(&params, &lease).await.map(Event::Written),
            Effect::Replace(lease) => {
                self.leases.replace(&self.name, &params, &lease).await.map(Event::Written)
            }
        }
    }

    fn report(&self, what: &str) {
        if let Some(lease) = self.election.lease() {
            let message = format!("{} {what}", self.identity);
            self.recorder.event(&ObjectRef::of(lease), EventType::Normal, EVENT_REASON, message);
        }
    }

    /// Gives the Lease back if it is ours. The next leader only waits longer if that fails.
    async fn release(&self) {
        let give_back = async {
            let Some(lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            match self.election.release(&lease, Timestamp::now()) {
                None => Ok(()),
                Some(free) => self.leases.replace(&self.name, &PostParams::default(), &free).await.map(drop),
            }
        };
        match tokio::time::timeout(self.call_limit, give_back).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(lease = %self.name, %error, "the Lease was not given back"),
            Err(_) => tracing::warn!(lease = %self.name, "the Lease was not given back in time"),
        }
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
