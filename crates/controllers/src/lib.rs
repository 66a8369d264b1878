//! The controllers of kube-controller-manager, a folder each.
//!
//! Each folder has the same three files: `mod.rs` (what it watches, how a change maps to a key, reconcile), `plan.rs`
//! (what to do; pure) and, where the kind has one, `status.rs` (what its status says; pure). Beside them stands what
//! several of them share: owner references, what a pod's or a node's status means, discovery, hashes for names.
//!
//! A controller reads from the shared informers and writes through the client with a precondition. It never sleeps and
//! never retries by itself: an error gives the key back to the queue, which backs off.

mod context;
mod error;
mod run;

mod conditions;
mod discovery;
mod hash;
mod nodes;
mod ownership;
mod pod_disruption;
mod pods;
mod selectors;
mod service_pods;

mod cluster_role_aggregation;
mod deployment;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod garbage_collector;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod pod_garbage_collector;
mod replica_set;
mod root_ca;
mod service_account;
mod service_cidr;
mod taint_eviction;

pub use context::{Context, ControllersConfig};
pub use error::ReconcileError;
pub use node_ipam::{ClusterCidr, InvalidCidr};
pub use run::{CONTROLLERS, Controller, UnknownController, run, select};
