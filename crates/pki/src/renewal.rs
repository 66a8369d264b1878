//! When a certificate is to be replaced.

use jiff::{SignedDuration, Timestamp};

/// How long a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// From `now` (backdated a little, for peers whose clock is behind) for `lifetime`.
    pub(crate) fn starting(now: Timestamp, lifetime: SignedDuration) -> Self {
        const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
        Self {
            not_before: now.saturating_sub(CLOCK_SKEW).expect("a duration has no calendar units"),
            not_after: now.saturating_add(lifetime).expect("a duration has no calendar units"),
        }
    }

    /// When to renew: after two thirds of the lifetime, so that a third is left for retries.
    pub fn renewal_time(&self) -> Timestamp {
        let lifetime = self.not_after.duration_since(self.not_before);
        let two_thirds = SignedDuration::from_secs(lifetime.as_secs() / 3 * 2);
        self.not_before.saturating_add(two_thirds).expect("a duration has no calendar units")
    }

    /// Whether it is time to renew; also true if the certificate is not valid yet (a clock was set back).
    pub fn is_due(&self, now: Timestamp) -> bool {
        now < self.not_before || now >= self.renewal_time()
    }

    /// Whether the certificate holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn due_after_two_thirds() {
        let validity = Validity { not_before: at(0), not_after: at(300) };
        for (now, due) in [(-1, true), (0, false), (199, false), (200, true), (300, true), (301, true)] {
            assert_eq!(validity.is_due(at(now)), due, "{now}");
        }
        assert!(validity.holds(at(300)) && !validity.holds(at(301)));
    }

    proptest! {
        #[test]
        fn renewal_comes_before_the_end(start in 0i64..4_000_000_000, seconds in 3i64..1_000_000_000) {
            let validity = Validity { not_before: at(start), not_after: at(start + seconds) };
            prop_assert!(validity.renewal_time() > validity.not_before);
            prop_assert!(validity.renewal_time() < validity.not_after);
        }
    }
}
