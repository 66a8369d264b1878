//! What all conditions have in common.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The count as a field that upstream leaves out when it is zero.
pub(crate) fn unless_zero(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

/// `now` to the second, as objects store times.
pub(crate) fn now() -> Time {
    Time(whole_second(Timestamp::now()))
}

/// `at` without its fraction: what is read back equals what was written.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a second of a timestamp is in range")
}

/// `at` plus whole seconds; the latest time there is when that is too far.
pub(crate) fn after_seconds(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// How long from `now` until `at`; zero when it has passed.
pub(crate) fn time_until(at: Timestamp, now: Timestamp) -> std::time::Duration {
    std::time::Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
