//! The work queue: one worker per key, merged repeats, back-off per key.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a key that fails again and again waits: `first`, doubled each time, at most `most`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Default for Backoff {
    /// 5 ms to 1,000 s, as client-go's default controller rate limiter.
    fn default() -> Self {
        Self { first: Duration::from_millis(5), most: Duration::from_secs(1000) }
    }
}

impl Backoff {
    /// The wait after `failures` earlier failures.
    pub fn delay(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(self.most)
    }
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Keys that wait to be worked on now.
    pub depth: usize,
    /// Keys that are being worked on.
    pub working: usize,
    /// How often a key was put up for work; merged repeats do not count.
    pub added: u64,
    /// How often a key was put back after a failure.
    pub retried: u64,
}

/// Keys that wait to be worked on. A key is in it at most once; a key that is being worked on and is added again is
/// handed out again after `done`. Its size is bounded by the number of distinct keys.
pub struct WorkQueue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    backoff: Backoff,
}

struct State<T> {
    ready: VecDeque<T>,
    /// Keys that are to be worked on: those in `ready`, and those in `working` that came again.
    dirty: HashSet<T>,
    working: HashSet<T>,
    /// Keys that become ready at a time; the number keeps equal times apart.
    later: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    sequence: u64,
    failures: HashMap<T, u32>,
    added: u64,
    retried: u64,
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    /// An empty queue with this back-off.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            working: HashSet::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            sequence: 0,
            failures: HashMap::new(),
            added: 0,
            retried: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), backoff }
    }

    /// Asks for `key` to be worked on.
    pub fn add(&self, key: T) {
        if self.state.lock().add(key) {
            self.changed.notify_one();
        }
    }

    /// Asks for `key` to be worked on after `delay`. The earliest of several such wishes counts.
    pub fn add_after(&self, key: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state.lock().add_at(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// Asks for `key` again after its back-off, which grows with each call until [`Self::forget`].
    pub fn add_rate_limited(&self, key: T) {
        let delay = {
            let mut state = self.state.lock();
            state.retried += 1;
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            self.backoff.delay(*failures - 1)
        };
        self.add_after(key, delay);
    }

    /// Ends the back-off of `key`: it has succeeded.
    pub fn forget(&self, key: &T) {
        self.state.lock().failures.remove(key);
    }

    /// How often `key` has failed since it last succeeded.
    pub fn failures(&self, key: &T) -> u32 {
        self.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// How many keys wait to be worked on now.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the queue stands.
    pub fn figures(&self) -> QueueFigures {
        let state = self.state.lock();
        QueueFigures {
            depth: state.ready.len(),
            working: state.working.len(),
            added: state.added,
            retried: state.retried,
        }
    }

    /// Takes the next key; `None` once `stop` is cancelled. Call [`Self::done`] with it afterwards. Cancel-safe.
    pub async fn get(&self, stop: &CancellationToken) -> Option<T> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let notified = self.changed.notified();
            let (next, due) = self.state.lock().take(Instant::now());
            if next.is_some() {
                return next;
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = notified => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// The work on `key` is over; if it was added meanwhile it becomes ready again.
    pub fn done(&self, key: &T) {
        if self.state.lock().done(key) {
            self.changed.notify_one();
        }
    }
}

/// Waits until `due`, or for ever.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    /// Whether a key became ready.
    fn add(&mut self, key: T) -> bool {
        if !self.dirty.insert(key.clone()) || self.working.contains(&key) {
            return false;
        }
        self.added += 1;
        self.ready.push_back(key);
        true
    }

    fn add_at(&mut self, key: T, at: Instant) {
        if let Some(earlier) = self.due.get(&key) {
            if earlier.0 <= at {
                return;
            }
            self.later.remove(earlier);
        }
        self.sequence += 1;
        self.due.insert(key.clone(), (at, self.sequence));
        self.later.insert((at, self.sequence), key);
    }

    /// The next key, or else when the next one becomes due.
    fn take(&mut self, now: Instant) -> (Option<T>, Option<Instant>) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
        let Some(key) = self.ready.pop_front() else {
            return (None, self.later.keys().next().map(|(at, _)| *at));
        };
        self.dirty.remove(&key);
        self.working.insert(key.clone());
        (Some(key), None)
    }

    /// Whether the key is ready again.
    fn done(&mut self, key: &T) -> bool {
        self.working.remove(key);
        let again = self.dirty.contains(key);
        if again {
            self.ready.push_back(key.clone());
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_has_one_worker_and_repeats_merge() {
        let (queue, stop) = (WorkQueue::default(), CancellationToken::new());
        queue.add("a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.get(&stop).await, Some("a"));
        queue.add("a");
        assert_eq!(queue.get(&stop).await, Some("b"), "a is being worked on");
        queue.done(&"a");
        assert_eq!(queue.get(&stop).await, Some("a"), "it came again meanwhile");
        queue.done(&"a");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_wish_counts() {
        let (queue, stop) = (WorkQueue::default(), CancellationToken::new());
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("a", Duration::from_secs(2));
        queue.add_after("a", Duration::from_secs(5));
        assert_eq!(queue.get(&stop).await, Some("a"));
        assert_eq!(start.elapsed().as_secs(), 2);
        queue.done(&"a");
        let nothing = tokio::time::timeout(Duration::from_secs(60), queue.get(&stop)).await;
        assert!(nothing.is_err(), "the later wishes are merged into the first");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_until_forgotten() {
        let queue = WorkQueue::new(Backoff { first: Duration::from_secs(1), most: Duration::from_secs(3) });
        let (stop, start) = (CancellationToken::new(), Instant::now());
        for want in [1, 3, 6, 9] {
            queue.add_rate_limited("a");
            let key = queue.get(&stop).await.expect("not stopped");
            assert_eq!(start.elapsed().as_secs(), want);
            queue.done(&key);
        }
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_the_wait() {
        let (queue, stop) = (WorkQueue::<u8>::default(), CancellationToken::new());
        stop.cancel();
        assert_eq!(queue.get(&stop).await, None);
    }
}
