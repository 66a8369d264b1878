//! A level's seats, shared by the requests that have them and those that wait. The lock is held for one step of the pure
//! state machine, never across an await; grants are handed out after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::flow_control::demand::Smoothed;
use crate::flow_control::queues::{Grant, Mode, Offer, Reason, Seats, Ticket};
use crate::wire::info::RequestInfo;

/// One who waits.
#[derive(Debug)]
pub struct Waiting {
    /// The schema's.
    pub counts: Arc<Counts>,
    /// What tells its flow from others.
    pub distinguisher: String,
    /// When it came.
    pub arrived: Timestamp,
    /// What it asks.
    pub info: RequestInfo,
    /// Who asks.
    pub user: String,
    /// Where its permit goes.
    pub sender: oneshot::Sender<Permit>,
}

/// What one schema's requests do.
#[derive(Debug)]
pub struct Counts {
    /// The schema.
    pub schema: String,
    /// Its level.
    pub level: String,
    /// Requests that ran.
    pub dispatched: AtomicU64,
    /// Requests that run.
    pub executing: AtomicI64,
    /// Their seats.
    pub executing_seats: AtomicI64,
    /// Requests that wait.
    pub waiting: AtomicI64,
    rejected: [AtomicU64; Reason::ALL.len()],
}

impl Counts {
    /// Nothing yet.
    pub fn new(schema: &str, level: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            level: level.to_owned(),
            dispatched: AtomicU64::new(0),
            executing: AtomicI64::new(0),
            executing_seats: AtomicI64::new(0),
            waiting: AtomicI64::new(0),
            rejected: Default::default(),
        }
    }

    /// A request was turned away.
    pub fn rejected(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were turned away for that reason.
    pub fn rejections(&self, reason: Reason) -> u64 {
        self.rejected[reason as usize].load(Ordering::Relaxed)
    }
}

/// A level's seats.
pub struct LevelSeats {
    seats: Mutex<Seats<Waiting>>,
    origin: Instant,
}

/// What a request gets at once.
pub enum Offered<'a> {
    /// Seats.
    Permit(Permit),
    /// A place in line.
    Wait(Place<'a>),
    /// Nothing.
    Reject(Reason),
}

impl LevelSeats {
    /// All free; times are told since `origin`.
    pub fn new(mode: Mode, limit: u32, origin: Instant) -> Self {
        Self { seats: Mutex::new(Seats::new(mode, limit)), origin }
    }

    /// A request comes; see [`Seats::offer`].
    pub fn offer<'a>(
        self: &'a Arc<Self>,
        width: u32,
        counts: &'a Arc<Counts>,
        hash: impl FnOnce() -> u64,
        who: impl FnOnce(oneshot::Sender<Permit>) -> Waiting,
    ) -> Offered<'a> {
        let now = self.origin.elapsed();
        let mut receiver = None;
        let who = || {
            let (sender, ours) = oneshot::channel();
            receiver = Some(ours);
            who(sender)
        };
        let offer = self.seats.lock().offer(width, now, hash, who);
        match offer {
            Offer::Run(grant) => Offered::Permit(Permit::new(self, counts, grant)),
            Offer::Reject(reason) => Offered::Reject(reason),
            Offer::Wait(ticket) => {
                counts.waiting.fetch_add(1, Ordering::Relaxed);
                let receiver = receiver.expect("who waits was asked for");
                let place = Place { level: self, counts, ticket, receiver, why: Reason::Cancelled };
                self.dispatch();
                Offered::Wait(place)
            }
        }
    }

    /// See [`Seats::reconfigure`].
    pub fn reconfigure(self: &Arc<Self>, mode: Mode) {
        self.seats.lock().reconfigure(mode);
        self.dispatch();
    }

    /// See [`Seats::set_limit`].
    pub fn set_limit(self: &Arc<Self>, limit: u32) {
        self.seats.lock().set_limit(limit);
        self.dispatch();
    }

    /// See [`Seats::limit`].
    pub fn limit(&self) -> u32 {
        self.seats.lock().limit()
    }

    /// See [`Seats::end_period`].
    pub fn end_period(&self, before: Smoothed) -> Smoothed {
        let now = self.origin.elapsed();
        self.seats.lock().end_period(now, before)
    }

    /// Looks at the seats for a moment.
    pub fn with<R>(&self, look: impl FnOnce(&Seats<Waiting>) -> R) -> R {
        look(&self.seats.lock())
    }

    fn dispatch(self: &Arc<Self>) {
        let now = self.origin.elapsed();
        let chosen = self.seats.lock().dispatch(now);
        for (waiting, grant) in chosen {
            let permit = Permit::new(self, &waiting.counts, grant);
            // Who has just left does not take it: dropped, it goes to the next one.
            let _ = waiting.sender.send(permit);
        }
    }
}

/// Seats taken; dropping gives them back.
#[derive(Debug)]
pub struct Permit {
    level: Arc<LevelSeats>,
    counts: Arc<Counts>,
    grant: Grant,
}

impl std::fmt::Debug for LevelSeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LevelSeats").finish_non_exhaustive()
    }
}

impl Permit {
    fn new(level: &Arc<LevelSeats>, counts: &Arc<Counts>, grant: Grant) -> Self {
        counts.dispatched.fetch_add(1, Ordering::Relaxed);
        counts.executing.fetch_add(1, Ordering::Relaxed);
        counts.executing_seats.fetch_add(i64::from(grant.seats()), Ordering::Relaxed);
        Self { level: level.clone(), counts: counts.clone(), grant }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.executing.fetch_sub(1, Ordering::Relaxed);
        self.counts.executing_seats.fetch_sub(i64::from(self.grant.seats()), Ordering::Relaxed);
        let now = self.level.origin.elapsed();
        let mut seats = self.level.seats.lock();
        seats.finish(&self.grant, now);
        let waiting = seats.waiting() > 0;
        drop(seats);
        if waiting {
            self.level.dispatch();
        }
    }
}

/// A place in line; dropping leaves it.
pub struct Place<'a> {
    level: &'a Arc<LevelSeats>,
    counts: &'a Arc<Counts>,
    ticket: Ticket,
    receiver: oneshot::Receiver<Permit>,
    /// Why it is left.
    why: Reason,
}

impl Place<'_> {
    /// Waits for seats, for that long, and as long as the client is there.
    pub async fn wait(
        mut self,
        longest: Duration,
        gone: Option<&CancellationToken>,
    ) -> Result<Permit, Reason> {
        let left = async {
            match gone {
                Some(gone) => gone.cancelled().await,
                None => std::future::pending().await,
            }
        };
        // Losing the timers is fine, and a permit that has been sent stays in the channel.
        self.why = tokio::select! {
            biased;
            permit = &mut self.receiver => return permit.map_err(|_| Reason::Cancelled),
            () = left => Reason::Cancelled,
            () = tokio::time::sleep(longest) => Reason::TimeOut,
        };
        match self.receiver.try_recv() {
            Ok(permit) => Ok(permit),
            Err(_) => Err(self.why),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        let now = self.level.origin.elapsed();
        let left = self.level.seats.lock().leave(self.ticket, self.why, now);
        if left {
            self.level.dispatch();
        }
    }
}
