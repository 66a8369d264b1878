//! How long history is kept: the newest revision is marked now and then, and a mark that has become old enough names
//! the revision to compact through.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::contract::Revision;

/// Tells the time since the Unix epoch. Passed in, so that tests and simulations have their own.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The clock of this machine.
pub fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Keeps at least `keep` of history and at most a tenth more. It only acts when it is told of a write, so an idle
/// store needs no timer for it.
#[derive(Debug)]
pub struct Retention {
    keep: Duration,
    /// The newest revision at some times, oldest first.
    marks: VecDeque<(Duration, Revision)>,
}

impl Retention {
    /// How long upstream's API server keeps history in etcd at the least (`--etcd-compaction-interval`).
    pub const UPSTREAM: Duration = Duration::from_secs(300);

    /// A policy that has seen nothing yet.
    pub fn new(keep: Duration) -> Self {
        Self { keep, marks: VecDeque::new() }
    }

    /// Notes that `revision` is the newest at `now`; gives the revision to compact through, if there is one.
    pub fn observe(&mut self, now: Duration, revision: Revision) -> Option<Revision> {
        let due = self.marks.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= self.keep / 10);
        if due {
            self.marks.push_back((now, revision));
        }
        let mut through = None;
        while let Some((_, marked)) =
            self.marks.front().filter(|(at, _)| now.saturating_sub(*at) >= self.keep)
        {
            through = Some(*marked);
            self.marks.pop_front();
        }
        through
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_kept_for_the_time_and_a_tenth_more() {
        let mut retention = Retention::new(Duration::from_secs(300));
        let mut compacted = 0;
        for second in 0..2_000_u64 {
            if let Some(through) = retention.observe(Duration::from_secs(second), Revision(second + 1)) {
                compacted = through.0;
            }
            let kept = second + 1 - compacted;
            assert!(kept >= 300.min(second + 1) && kept <= 331, "{kept} seconds are kept at {second}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_compacts_nothing_early() {
        let mut retention = Retention::new(Duration::from_secs(300));
        assert_eq!(retention.observe(Duration::from_secs(1_000), Revision(5)), None);
        assert_eq!(retention.observe(Duration::from_secs(10), Revision(6)), None);
        assert_eq!(retention.observe(Duration::from_secs(1_299), Revision(7)), None);
        assert_eq!(retention.observe(Duration::from_secs(1_300), Revision(8)), Some(Revision(5)));
    }
}
