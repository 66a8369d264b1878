//! The thread that writes: takes what has queued up, makes it durable with one sync, publishes it, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use steersman_store::{Event, Retention, StoreError, Versioned, View};
use tokio::sync::oneshot;

use crate::cleaner::{Cleaner, Surroundings};
use crate::frame;
use crate::log::{Log, LogError};
use crate::metrics::Metrics;
use crate::options::WalOptions;
use crate::queue::{Entry, Outcome, Queue, Reply, Work};
use crate::record::{Record, Version};
use crate::replay::count_live;

/// How much of the oldest segment is looked at in one turn while nobody waits.
const IDLE_TURN_BYTES: u64 = 256 << 10;
/// The same after a batch, at least and at most. The most bounds how long a writer may have to wait for it.
const TURN_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 20;
/// How much more is cleaned than is written. A pass gains nothing while it meets what lives, and must have passed
/// that before the log has grown by a quarter of it.
const TURN_PER_WRITTEN: u64 = 4;

/// What the writer and the store's handles share.
pub struct Shared {
    pub queue: Queue,
    pub view: View,
    pub metrics: Arc<Metrics>,
    pub options: WalOptions,
}

/// See the module's text.
pub struct Writer {
    shared: Arc<Shared>,
    log: Log,
    retention: Retention,
    cleaner: Cleaner,
    lazy: Unsynced,
}

/// What has been acknowledged and is not durable.
#[derive(Default)]
struct Unsynced {
    since: Option<Instant>,
    bytes: u64,
    count: u64,
}

/// The writes of a batch on their way, apart from those who wait for them.
#[derive(Default)]
struct Writes {
    events: Vec<Event>,
    answers: Vec<(oneshot::Sender<Reply>, Result<Versioned, StoreError>)>,
    /// How many need not be durable.
    lazy: u64,
    frame: Vec<u8>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, log: Log, retention: Retention) -> Self {
        Self { shared, log, retention, cleaner: Cleaner::default(), lazy: Unsynced::default() }
    }

    /// Runs until the store is closed, or until the log cannot be written any more.
    pub fn run(mut self) {
        let _refuse = RefuseWhenGone(self.shared.clone());
        loop {
            let work = self.shared.queue.next(self.sync_at(), self.cleaner_wants_turn());
            let outcome = match work {
                Work::Batch(entries) => self.batch(entries),
                Work::Sync => self.log.sync(),
                Work::Clean => self.clean(IDLE_TURN_BYTES),
                Work::Close => return self.finish(),
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "the store accepts no more writes");
                return self.shared.queue.refuse(&stopped(&error));
            }
            if self.log.is_synced() {
                self.lazy = Unsynced::default();
            }
        }
    }

    fn batch(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let writes = collect(entries);
        let written = writes.frame.len() as u64;
        let count = writes.events.len() as u64;
        let Writes { events, answers, lazy, frame } = writes;
        if count > 0
            && let Err(error) = self.write(frame, count, lazy)
        {
            return self.answer_failure(answers, error);
        }
        self.publish(&events);
        for (reply, answer) in answers {
            // Whoever has stopped waiting does not want to know.
            let _ = reply.send(answer);
        }
        self.cleaner.retry();
        if self.cleaner_wants_turn() {
            self.clean((written * TURN_PER_WRITTEN).clamp(*TURN_BYTES.start(), *TURN_BYTES.end()))?;
        }
        Ok(())
    }

    /// Writes a frame of `count` writes, of which `lazy` may be acknowledged without being durable.
    fn write(&mut self, mut frame: Vec<u8>, count: u64, lazy: u64) -> Result<(), LogError> {
        self.shared.metrics.batch_writes.observe(count);
        self.log.append(&mut frame, self.time_ms(), self.shared.view.revision())?;
        if lazy < count {
            return self.log.sync();
        }
        let limits = &self.shared.options.lazy;
        let since = *self.lazy.since.get_or_insert_with(Instant::now);
        self.lazy.bytes += frame.len() as u64;
        self.lazy.count += count;
        let due = self.lazy.bytes >= limits.max_bytes
            || self.lazy.count >= crate::options::LazyWrites::MAX_COUNT
            || since.elapsed() >= limits.max_delay;
        if due { self.log.sync() } else { Ok(()) }
    }

    fn publish(&mut self, events: &[Event]) {
        let Shared { queue, view, metrics, options } = &*self.shared;
        for event in events {
            count_live(metrics, event);
        }
        view.publish(events);
        queue.settle(view.revision());
        if let Some(through) = self.retention.observe((options.clock)(), view.revision()) {
            view.compact(through).expect("a revision that was the newest is not in the future");
        }
    }

    /// Tells those whose writes failed, and those who queued up behind them.
    fn answer_failure(
        &self,
        answers: Vec<(oneshot::Sender<Reply>, Result<Versioned, StoreError>)>,
        error: LogError,
    ) -> Result<(), LogError> {
        let (own, behind) = match &error {
            LogError::NoSpace(cause) => {
                let failure = StoreError::NoSpace(cause.to_string());
                (failure.clone(), failure)
            }
            LogError::Fatal { .. } => {
                // First, so that nobody can still queue up.
                self.shared.queue.refuse(&stopped(&error));
                (StoreError::Uncertain(error.to_string()), StoreError::Unavailable(stopped(&error)))
            }
        };
        let queued = self.shared.queue.give_up();
        for (reply, _) in answers {
            let _ = reply.send(Err(own.clone()));
        }
        for entry in queued {
            let _ = entry.reply.send(Err(behind.clone()));
        }
        match error {
            LogError::NoSpace(_) => Ok(()),
            fatal @ LogError::Fatal { .. } => Err(fatal),
        }
    }

    fn clean(&mut self, budget: u64) -> Result<(), LogError> {
        let time_ms = self.time_ms();
        let around = Surroundings {
            log: &mut self.log,
            view: &self.shared.view,
            metrics: &self.shared.metrics,
            time_ms,
        };
        self.cleaner.turn(around, budget)
    }

    fn cleaner_wants_turn(&self) -> bool {
        self.cleaner.wants_turn(&self.log, &self.shared.metrics, self.shared.options.slack_bytes)
    }

    /// Makes everything durable and says so, so that the next start need not wonder.
    fn finish(mut self) {
        let mut frame = vec![0; frame::HEADER_BYTES];
        Record::Closed.encode(&mut frame);
        let time_ms = self.time_ms();
        let closed = self
            .log
            .sync()
            .and_then(|()| self.log.append(&mut frame, time_ms, self.shared.view.revision()))
            .and_then(|()| self.log.sync());
        if let Err(error) = closed {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }

    fn sync_at(&self) -> Option<Instant> {
        self.lazy.since.map(|since| since + self.shared.options.lazy.max_delay)
    }

    fn time_ms(&self) -> u64 {
        milliseconds((self.shared.options.clock)())
    }
}

/// A time as frames carry it.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn stopped(error: &LogError) -> String {
    format!("it accepts no more writes since {error}; what was acknowledged is safe, restart it to go on")
}

fn collect(entries: Vec<Entry>) -> Writes {
    let mut writes = Writes { frame: vec![0; frame::HEADER_BYTES], ..Writes::default() };
    for Entry { outcome, reply, .. } in entries {
        match outcome {
            Outcome::Write { transition, lazy } => {
                encode(&transition.event, &mut writes.frame);
                writes.lazy += u64::from(lazy);
                writes.events.push(transition.event);
                writes.answers.push((reply, Ok(transition.result)));
            }
            Outcome::Fail(error) => writes.answers.push((reply, Err(error))),
        }
    }
    writes
}

fn encode(event: &Event, frame: &mut Vec<u8>) {
    let record = match event {
        Event::Put { record, .. } => Record::Put(Version {
            revision: record.mod_revision,
            created: record.create_revision,
            key: record.key.as_str(),
            value: &record.value,
        }),
        Event::Delete { previous, revision } => {
            Record::Delete { revision: *revision, key: previous.key.as_str() }
        }
    };
    record.encode(frame);
}

/// Whatever ends the thread, nobody waits for it afterwards.
struct RefuseWhenGone(Arc<Shared>);

impl Drop for RefuseWhenGone {
    fn drop(&mut self) {
        self.0.queue.refuse("its writer has stopped");
        for entry in self.0.queue.give_up() {
            let _ = entry.reply.send(Err(StoreError::Unavailable("its writer has stopped".to_owned())));
        }
    }
}
