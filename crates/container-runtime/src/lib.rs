//! Implements CRI: sandboxes, namespaces, cgroups, container lifecycle.
//!
//! ```text
//!  kubelet ──CRI (unix socket)──▶ service ──socket──▶ shim (one process a pod) ──clone──▶ container
//!                                    │                   │ log files, state files
//!                                    └── seams: images, network
//! ```
//! Decisions are taken in [`plan`], which is pure, and become a [`spec`]; the shim carries it out ([`shim`], [`init`]).
//! Killing the runtime never disturbs a container: shims live on, and a new runtime finds them by their records.
//!
//! The program that links this crate must call [`shim::main`] when its first argument is [`shim::SUBCOMMAND`], before it
//! starts any thread. Linux 5.12 or newer is needed (`mount_setattr`).

pub mod cgroup;
mod client;
mod config;
pub mod init;
mod node;
pub mod plan;
mod record;
mod seams;
pub mod security;
mod service;
pub mod shim;
pub mod spec;
mod sys;
pub mod teardown;

pub use config::{RuntimeConfig, instance_name};
pub use node::{NodeImages, NodeNetwork};
pub use record::SandboxRecord;
pub use seams::{ImageConfig, Images, Network, PodNetwork, PreparedImage, SeamError};
pub use service::{Runtime, RuntimeError};
