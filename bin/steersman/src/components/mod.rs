//! The components by their upstream names. Each can run alone, against any Kubernetes API server; `up`, `server` and
//! `agent` start the same parts in one process.

pub mod connection;
pub mod election;
pub mod serving;

pub mod apiserver;
pub mod controller_manager;
pub mod dns;
pub mod kubelet;
pub mod proxy;
pub mod runtime;
pub mod scheduler;

/// The log's filter of a component that runs alone: it prints nothing else. What the client library complains about is
/// reported by whoever made the call.
pub const LOG: &str = "warn,steersman=info,kube_client=off";
