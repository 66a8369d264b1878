//! When a certificate is to be replaced, and the task that replaces it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{ClusterPki, PkiError, Profile, RotatingIdentity};

/// The longest sleep before the clock is looked at again: a machine may have been suspended or its clock set.
const LONGEST_SLEEP: Duration = Duration::from_secs(6 * 3600);
/// A renewal that failed (a full disk) is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A running identity and what it was made from.
#[derive(Clone, Debug)]
pub struct Renewable {
    /// What servers and clients show.
    pub current: Arc<RotatingIdentity>,
    /// The name of its files, as [`ClusterPki::identity`] takes it.
    pub stem: &'static str,
    /// What it says.
    pub profile: Profile,
}

/// Replaces each identity when it is due, until `stop` is cancelled. A renewal that fails is logged and tried again.
pub async fn keep_renewed(pki: Arc<ClusterPki>, identities: Vec<Renewable>, stop: CancellationToken) {
    let identities = Arc::new(identities);
    loop {
        let (renewing, kept) = (pki.clone(), identities.clone());
        // Keys are made and files written: not on a thread that serves.
        let renewed =
            tokio::task::spawn_blocking(move || renew_all(&renewing, &kept, Timestamp::now())).await;
        if let Err(panic) = &renewed {
            tracing::error!(%panic, "the renewal of certificates panicked");
        }
        let pause = match renewed {
            Ok(true) => next_look(Timestamp::now(), identities.iter().map(|i| i.current.renewal_time())),
            _ => RETRY_AFTER,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Renews what is due; false if something could not be.
fn renew_all(pki: &ClusterPki, identities: &[Renewable], now: Timestamp) -> bool {
    let mut fine = true;
    for identity in identities {
        let renewed: Result<bool, PkiError> =
            pki.renew_if_due(&identity.current, identity.stem, &identity.profile, now);
        match renewed {
            Ok(false) => {}
            Ok(true) => tracing::info!(certificate = identity.stem, "renewed a certificate"),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(certificate = identity.stem, error, "could not renew a certificate");
                fine = false;
            }
        }
    }
    fine
}

/// How long to sleep before the first of the `renewals`.
fn next_look(now: Timestamp, renewals: impl Iterator<Item = Timestamp>) -> Duration {
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
    renewals.map(until).min().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
}

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

    #[test]
    fn the_first_renewal_is_waited_for_but_not_for_ever() {
        let sleep = |times: &[i64]| next_look(at(100), times.iter().map(|time| at(*time)));
        assert_eq!(sleep(&[400, 160]), Duration::from_secs(60));
        assert_eq!(sleep(&[40]), Duration::ZERO);
        assert_eq!(sleep(&[4_000_000]), LONGEST_SLEEP);
        assert_eq!(sleep(&[]), LONGEST_SLEEP);
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
