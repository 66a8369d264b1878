//! What every controller stands on: shared informers with listers, work queues, the reconcile loop, expectations,
//! events and leader election.
//!
//! ```text
//! API server ──watch──▶ Informer (one per kind per process) ──handlers──▶ WorkQueue ──▶ reconcile(key)
//!                          └── lister: shared, immutable Arc<K> ◀───────────reads──────────┘
//! ```
//! Level-triggered: a key is the only input of a reconcile; what happened is found by looking.

mod cache;
mod controller;
pub mod election;
mod events;
mod expectations;
mod informer;
mod key;
mod leader;
mod queue;
mod queues;

pub use cache::{Cache, IndexFn};
pub use controller::{Requeue, run_workers};
pub use events::{EventRecorder, EventSource, EventType, EventWriter, ObjectRef};
pub use expectations::Expectations;
pub use informer::{Delta, Informer, InformerKind, SharedInformers};
pub use key::ObjectKey;
pub use leader::{LeaderElectionConfig, LeaderElector, LeaderEvents, LeaderStatus, holder_identity};
pub use queue::{Backoff, QueueFigures, WorkQueue};
pub use queues::Queues;
