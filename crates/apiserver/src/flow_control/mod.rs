//! API priority and fairness (KEP-1040): a request belongs to the first flow schema that matches it, the schema to a
//! priority level, and a level has so many seats. Who finds no seat waits in one of the level's fair queues, and is
//! turned away when that is full or the wait too long.
//!
//! ```text
//!  objects ─ follow ─▶ plan (schemas by precedence, levels with limits) ─┐
//!  request ──────────▶ schema ─▶ level ─▶ seats: run, wait or 429 ◀──────┘ every 10 s: lend and borrow
//! ```
//!
//! Decisions are pure ([`schema`], [`plan`], [`shares`], [`queues`], [`demand`], [`width`], [`defaults`]); [`admit`] is
//! the shell around them. A request that finds a seat free takes one short lock and allocates nothing. Seats are given
//! back when the answer is made: a watch holds them only for its start.

mod admit;
mod defaults;
mod demand;
mod ensure;
mod follow;
mod plan;
mod queues;
mod report;
mod schema;
mod shares;
mod status;
mod width;

#[cfg(test)]
mod tests;

pub use admit::{Asked, FlowControl, Matched};
pub use width::Size;

/// Group and version of the objects that configure it.
const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
/// Their group.
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: &str = "flowschemas";
const LEVELS: &str = "prioritylevelconfigurations";
/// Name of the level and the schema that are never limited.
const EXEMPT: &str = "exempt";
/// Name of the level and the schema for what nothing else matches.
const CATCH_ALL: &str = "catch-all";
