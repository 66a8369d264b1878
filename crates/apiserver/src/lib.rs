//! The API server: HTTP, authentication, authorization, admission, and the generic path from a request to the store.
//! It names no kind: what differs between kinds is in the resource table (`steersman_registry`).
//!
//! ```text
//!  listen ─▶ chain (who asks, may they) ─▶ dispatch ─▶ verbs ─▶ storage ─▶ store
//!                                             ├─▶ subresources (scale, binding, …)
//!                                             ├─▶ connect (exec, logs, … on the kubelet)
//!                                             └─▶ documents (discovery, health, OpenAPI)
//! ```

pub mod request;

pub mod admission;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod flow_control;
pub mod reviews;
pub mod security;
pub mod tokens;

mod allocators;
mod bootstrap;
mod call;
mod chain;
mod codec;
mod computed;
mod config;
mod connect;
mod creation;
mod custom;
mod dispatch;
mod documents;
mod hooks;
mod listen;
mod managers;
mod metrics;
mod object;
mod own_requests;
mod routes;
mod row;
mod selection;
mod server;
mod storage;
mod subresources;
mod verbs;
mod views;
mod wire;

mod view;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use allocators::{AddressRange, ServiceAllocations};
pub use config::{Component, Config, Creation, HealthCheck, IssuerDocuments, Place, StartError, Version};
pub use hooks::{HookTable, Hooks, Outcome, Reservation};
pub use listen::ServeError;
pub use server::{ApiServer, Handler};
pub use storage::Storage;
