//! What a component shows of itself over HTTPS: health, readiness and metrics. Who calls and what they may is decided
//! by the API server (`TokenReview`, `SubjectAccessReview`), as upstream's delegated authentication and authorization.
//!
//! ```text
//! server (TLS) ─▶ Component ─▶ delegation (who, may they) ─▶ API server
//!                     ├─▶ health (checks)
//!                     └─▶ exposition (metrics in Prometheus's text form)
//! ```
//! The kubelet's server stands on the same [`server`] and [`delegation`].

mod component;
pub mod delegation;
mod exposition;
pub mod health;
mod process;
pub mod server;

pub use component::{Check, Collector, Component};
pub use exposition::{Exposition, Family, MetricKind};
pub use process::collect as collect_process;
