//! The kubelet: pod workers, probes, volumes, status, and its HTTPS server.
//!
//! It reaches the API through a client and the runtime through CRI, and nothing else: containerd may stand in for
//! our runtime, and any Kubernetes API server for ours.
//!
//! ```text
//! API ──watch──▶ pods ──▶ worker (one per pod) ──CRI──▶ runtime
//!  ▲                        │  ▲   └ probes, pulls, hooks        │
//!  └─── status writer ◀─────┘  └────────── events ◀──────────────┘
//! ```
//! Decisions are pure and tested with plain values: [`actions`], [`status`], [`env`], [`hosts`], [`dns`],
//! [`resources`], [`cri_config`], [`volumes::prepare`]. The rest looks, calls them, and acts.

mod http_client;
mod text;

pub mod kubelet;
pub mod shared;

pub mod pods;
mod worker;

pub mod actions;
pub mod backoff;
pub mod pod;
pub mod references;
pub mod status;
pub mod status_writer;
pub mod view;

pub mod cri_config;
pub mod dns;
pub mod env;
pub mod hosts;
pub mod quantity;
pub mod resources;

pub mod cgroups;
pub mod images;
pub mod logs;
pub mod objects;
pub mod probe;
pub mod runtime;
pub mod volumes;

pub mod node;
pub mod server;

#[cfg(test)]
mod testing;

pub use kubelet::{Kubelet, RunError, StartError};
pub use shared::Config;

/// Version of Kubernetes that the node reports.
pub const VERSION: &str = "v1.37.0";
/// Its minor version, as user agents name it.
pub(crate) const MINOR_VERSION: &str = "1.37";
/// How probes introduce themselves.
pub(crate) const PROBE_USER_AGENT: &str = "kube-probe/1.37";
