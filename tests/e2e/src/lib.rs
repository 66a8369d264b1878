//! What the end-to-end tests stand on: a real cluster from the real binary, real kubectl, images made from Debian
//! packages and served by a real registry. The tests themselves are in `tests/e2e`.
//!
//! A machine runs one cluster at a time, so tests run one after another and most share one cluster, each in a
//! namespace of its own. Nothing here waits for time to pass: every wait names its condition and has a deadline.

pub mod api;
pub mod cluster;
pub mod command;
pub mod kubectl;
pub mod machine;
pub mod registry;
pub mod suite;
pub mod wait;
