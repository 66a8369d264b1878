//! The scheduler: chooses a node for each pod that has none, and binds it.
//!
//! ```text
//! informers ──▶ Queue (active │ backing off │ unschedulable) ──pop──▶ schedule(pod, nodes) ──▶ assume ──▶ bind
//!          └──▶ Cluster (nodes with what their pods request) ◀────────────────┘
//! ```
//! [`schedule::schedule`] is pure: a pod and the nodes in, a node or the reasons out. Every node is filtered and scored,
//! not a sample. Plugins and their weights are upstream's default profile, as far as they are listed in
//! [`plugins::default_profile`].

mod bind;
pub mod cluster;
pub mod framework;
pub mod node_info;
pub mod plugins;
pub mod pod_info;
pub mod queue;
pub mod resources;
mod run;
pub mod schedule;

pub use run::{Attempts, Figures, Scheduler};

/// The name that pods give in `spec.schedulerName` to be scheduled by this profile.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";
