//! The audit log (`audit.k8s.io/v1`): who did what, when, and what came of it, as much of it as a policy wants.
//!
//! ```text
//!  request ─ policy: level, stages ─▶ trail ─ events ─▶ bounded queue ─▶ log file, rotated
//! ```
//!
//! The policy is pure ([`policy`]); a [`trail`] collects one request's event; the log writes whole lines behind a queue
//! ([`log`]). When the queue is full, events are dropped and counted: no request waits for the disk. What requests and
//! answers contain is read at the levels `Request` and `RequestResponse` only, so that secrets stay out of `Metadata`.

mod log;
mod policy;
mod rotation;
mod trail;

#[cfg(test)]
mod tests;

pub use log::{Audit, AuditError, LogOptions};
pub use policy::{Policy, PolicyError};
pub(crate) use trail::Trail;
