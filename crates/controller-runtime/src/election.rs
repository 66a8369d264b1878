//! Leader election as a state machine: what happened goes in, what to do next comes out. Several processes run the
//! same component, and the one whose name stands in a Lease leads.
//!
//! ```text
//!            held by another                      written
//!   Candidate ──────────────▶ wait, read again      ┌──▶ wait, renew
//!       │ free or run out                           │
//!       └──────▶ claim ───── written ─────────▶ Leader ── not renewed in time, or another holds it ──▶ Lost
//! ```
//! Whether another's hold has run out is measured from when *this* process saw it renewed, never by comparing clocks
//! of two machines. A leader gives up before a candidate may take over: its deadline is shorter than the lease.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

/// By how much of the retry period candidates spread their tries at most, as client-go's `JitterFactor`.
const JITTER: f64 = 1.2;

/// How long things take in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a candidate waits after the last renewal that it saw before it takes over; whole seconds.
    pub lease: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// The pause between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    /// 15 s, 10 s and 2 s, as upstream's components.
    fn default() -> Self {
        let [lease, renew_deadline, retry] = [15, 10, 2].map(Duration::from_secs);
        Self { lease, renew_deadline, retry }
    }
}

/// Times that cannot keep two leaders apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTiming {
    /// Shorter than what the Lease can say.
    #[error("the lease duration must be at least one second")]
    LeaseTooShort,
    /// A leader would go on after another has taken over.
    #[error("the lease duration must be longer than the renew deadline")]
    DeadlineTooLong,
    /// A leader would have no second try.
    #[error("the renew deadline must be longer than 1.2 times the retry period")]
    RetryTooLong,
    /// The loop would not pause.
    #[error("the retry period must be longer than zero")]
    NoRetry,
}

impl Timing {
    /// Whether the times keep two leaders apart; client-go's rules.
    pub fn check(self) -> Result<Self, InvalidTiming> {
        if self.lease < Duration::from_secs(1) {
            return Err(InvalidTiming::LeaseTooShort);
        }
        if self.lease <= self.renew_deadline {
            return Err(InvalidTiming::DeadlineTooLong);
        }
        if self.retry.is_zero() {
            return Err(InvalidTiming::NoRetry);
        }
        if self.renew_deadline <= self.retry.mul_f64(JITTER) {
            return Err(InvalidTiming::RetryTooLong);
        }
        Ok(self)
    }
}

/// What the machine may know of the world besides events.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For waiting and for deadlines.
    pub instant: Instant,
    /// For what is written into the Lease.
    pub wall: Timestamp,
    /// A random number from 0 to 1, so that candidates do not try all at once.
    pub chance: f64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The wait is over, or the election begins.
    Due,
    /// The Lease as it is; `None` if there is none.
    Read(Option<Lease>),
    /// The Lease as the last write left it.
    Written(Lease),
    /// The last read or write failed, or took too long.
    Failed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read the Lease.
    Read,
    /// Create the Lease.
    Create(Lease),
    /// Replace the Lease, unless it has changed meanwhile.
    Replace(Lease),
    /// Wait, then say [`Event::Due`].
    WaitUntil(Instant),
}

/// We led, and must stop at once: another may lead from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader election lost")]
pub struct LeadershipLost;

/// The Lease, and when it was seen to change.
#[derive(Debug)]
struct Observed {
    lease: Lease,
    at: Instant,
}

#[derive(Debug)]
enum State {
    /// Another leads, or nobody.
    Candidate,
    /// We lead. `renewed` is when the last renewal that went well began.
    Leader { renewed: Instant, step: Step },
    /// We led, and do no more.
    Lost,
}

/// How far a leader's try has come. The first write skips the read: nobody else should have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Direct,
    AfterRead,
}

/// One process's part in an election.
#[derive(Debug)]
pub struct Election {
    namespace: String,
    name: String,
    identity: String,
    timing: Timing,
    observed: Option<Observed>,
    /// When the current try began: a hold counts from here.
    attempt: Instant,
    state: State,
}

impl Election {
    /// The part of `identity` in the election by the Lease `namespace/name`. Begins as a candidate; the first event is
    /// [`Event::Due`].
    pub fn new(namespace: &str, name: &str, identity: &str, timing: Timing, now: Instant) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
            observed: None,
            attempt: now,
            state: State::Candidate,
        }
    }

    /// Whether we lead.
    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader { .. })
    }

    /// Who holds the Lease as far as is known; empty if nobody does.
    pub fn holder(&self) -> &str {
        self.lease().map_or("", holder_of)
    }

    /// The Lease as it was last seen.
    pub fn lease(&self) -> Option<&Lease> {
        self.observed.as_ref().map(|observed| &observed.lease)
    }

    /// When a leader's last renewal that went well began.
    pub fn renewed(&self) -> Option<Instant> {
        match self.state {
            State::Leader { renewed, .. } => Some(renewed),
            State::Candidate | State::Lost => None,
        }
    }

    /// When a leader must have renewed; a call to the API that takes longer is a failed one.
    pub fn deadline(&self) -> Option<Instant> {
        self.renewed().map(|renewed| renewed + self.timing.renew_deadline)
    }

    /// Takes one event, moves the state, and says what to do next.
    pub fn handle(&mut self, event: Event, now: Moment) -> Result<Effect, LeadershipLost> {
        if self.deadline().is_some_and(|deadline| now.instant >= deadline) {
            self.state = State::Lost;
        }
        if matches!(self.state, State::Lost) {
            return Err(LeadershipLost);
        }
        Ok(match event {
            Event::Due => self.begin(now),
            Event::Read(None) => self.claim(None, now),
            Event::Read(Some(lease)) => return self.judge(lease, now),
            Event::Written(lease) => self.lead(lease, now),
            Event::Failed => self.retry(now),
        })
    }

    /// The Lease as one who leads no more leaves it, so that the next need not wait; `None` if another holds `current`.
    pub fn release(&self, current: &Lease, now: Timestamp) -> Option<Lease> {
        if holder_of(current) != self.identity {
            return None;
        }
        let mut lease = current.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.acquire_time = Some(MicroTime(now));
        spec.renew_time = Some(MicroTime(now));
        Some(lease)
    }

    fn begin(&mut self, now: Moment) -> Effect {
        self.attempt = now.instant;
        let known = self.lease().cloned();
        match &mut self.state {
            State::Leader { step, .. } => {
                *step = Step::Direct;
                self.claim(known, now)
            }
            State::Candidate | State::Lost => Effect::Read,
        }
    }

    /// Decides by the Lease as it was read whether it is ours to write.
    fn judge(&mut self, lease: Lease, now: Moment) -> Result<Effect, LeadershipLost> {
        if self.lease() != Some(&lease) {
            self.observed = Some(Observed { lease: lease.clone(), at: now.instant });
        }
        let free = ["", &self.identity].contains(&holder_of(&lease)) || !self.is_held(now.instant);
        if free {
            return Ok(self.claim(Some(lease), now));
        }
        if self.is_leader() {
            self.state = State::Lost;
            return Err(LeadershipLost);
        }
        Ok(self.retry(now))
    }

    /// Whether the holder has shown itself within the time that it asked for.
    fn is_held(&self, now: Instant) -> bool {
        self.observed.as_ref().is_some_and(|Observed { lease, at }| {
            let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or(0);
            *at + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) > now
        })
    }

    fn claim(&self, current: Option<Lease>, now: Moment) -> Effect {
        let (create, mut lease) = (current.is_none(), current.unwrap_or_else(|| self.no_lease()));
        let ours = holder_of(&lease) == self.identity;
        let spec = lease.spec.get_or_insert_default();
        if !ours {
            spec.acquire_time = Some(MicroTime(now.wall));
            let before = spec.lease_transitions.unwrap_or(0);
            spec.lease_transitions = Some(if create { 0 } else { before.saturating_add(1) });
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(i32::try_from(self.timing.lease.as_secs()).unwrap_or(i32::MAX));
        spec.renew_time = Some(MicroTime(now.wall));
        if create { Effect::Create(lease) } else { Effect::Replace(lease) }
    }

    fn no_lease(&self) -> Lease {
        let metadata = ObjectMeta {
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(LeaseSpec::default()) }
    }

    fn lead(&mut self, lease: Lease, now: Moment) -> Effect {
        self.observed = Some(Observed { lease, at: now.instant });
        // An answer so late that another may take over soon is no ground to begin on.
        if now.instant >= self.attempt + self.timing.renew_deadline {
            return self.begin(now);
        }
        self.state = State::Leader { renewed: self.attempt, step: Step::Direct };
        Effect::WaitUntil(now.instant + self.timing.retry)
    }

    /// After a failure, or while another leads.
    fn retry(&mut self, now: Moment) -> Effect {
        match &mut self.state {
            // Something changed the Lease, or the answer was lost: look, then try once more.
            State::Leader { step: step @ Step::Direct, .. } => {
                *step = Step::AfterRead;
                Effect::Read
            }
            State::Leader { renewed, .. } => {
                let deadline = *renewed + self.timing.renew_deadline;
                Effect::WaitUntil((now.instant + self.timing.retry).min(deadline))
            }
            State::Candidate | State::Lost => {
                let pause = self.timing.retry.mul_f64(1.0 + JITTER * now.chance);
                Effect::WaitUntil(now.instant + pause)
            }
        }
    }
}

/// The holder that a Lease names; empty if none.
fn holder_of(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("")
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
