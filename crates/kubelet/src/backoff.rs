//! How long a crashing container or a failing pull waits before it is tried again.
//!
//! Pure: time comes in. One [`Backoff`] belongs to one pod worker.

use std::collections::HashMap;
use std::time::Duration;

/// Nanoseconds of Unix time, the unit of the runtime interface.
pub type Nanos = i64;

/// Delays by key: `first`, doubled with each failure up to `most`, forgotten after twice `most` without one.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    updated: Nanos,
}

impl Default for Backoff {
    /// 10 s to 5 min, as for containers and pulls.
    fn default() -> Self {
        Self::new(Duration::from_secs(10), Duration::from_secs(300))
    }
}

impl Backoff {
    /// A back-off with these bounds.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, entries: HashMap::new() }
    }

    /// How much of the delay is left at `now`, when the last failure was at `failed`.
    pub fn remaining(&self, key: &str, failed: Nanos, now: Nanos) -> Option<Duration> {
        let entry = self.entries.get(key)?;
        if self.expired(*entry, failed) {
            return None;
        }
        let left = entry.delay.checked_sub(since(failed, now))?;
        (!left.is_zero()).then_some(left)
    }

    /// How much is left when the failure itself was recorded by [`Self::next`].
    pub fn remaining_since_update(&self, key: &str, now: Nanos) -> Option<Duration> {
        let updated = self.entries.get(key)?.updated;
        self.remaining(key, updated, now)
    }

    /// Records a failure at `at`: sets or doubles the delay.
    pub fn next(&mut self, key: &str, at: Nanos) {
        let delay = match self.entries.get(key) {
            Some(entry) if !self.expired(*entry, at) => (entry.delay * 2).min(self.most),
            _ => self.first,
        };
        self.entries.insert(key.to_owned(), Entry { delay, updated: at });
    }

    /// The delay in force, zero when there is none.
    pub fn delay(&self, key: &str) -> Duration {
        self.entries.get(key).map_or(Duration::ZERO, |entry| entry.delay)
    }

    /// Forgets the failures of a key.
    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn expired(&self, entry: Entry, at: Nanos) -> bool {
        since(entry.updated, at) > self.most * 2
    }
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.saturating_sub(earlier)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_crash_loop_waits_longer_each_time_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut now = 1000 * SECOND;
        assert_eq!(backoff.remaining("c", now, now), None, "the first crash restarts at once");
        backoff.next("c", now);
        for want in [10, 20, 40, 80, 160, 300, 300] {
            now += SECOND;
            let left = backoff.remaining("c", now, now).unwrap();
            assert_eq!(left.as_secs(), want);
            now += SECOND * Nanos::try_from(want).unwrap();
            assert_eq!(backoff.remaining("c", now - SECOND * Nanos::try_from(want).unwrap(), now), None);
            backoff.next("c", now);
        }
    }

    #[test]
    fn ten_quiet_minutes_forgive() {
        let mut backoff = Backoff::default();
        backoff.next("c", 0);
        backoff.next("c", SECOND);
        assert_eq!(backoff.delay("c").as_secs(), 20);
        let later = 602 * SECOND;
        assert_eq!(backoff.remaining("c", later, later), None);
        backoff.next("c", later);
        assert_eq!(backoff.delay("c").as_secs(), 10);
    }
}
