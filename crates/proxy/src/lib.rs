//! The service proxy: Services and EndpointSlices become nftables maps.
//!
//! ```text
//! informers ─▶ dirty services ─▶ model (pure) ─▶ render (pure) ─▶ difference ─▶ one atomic batch
//! ```
//! A packet to a service is looked up in one map, whatever the number of services; a change touches only the elements
//! that it changes. The table is never flushed: at start it is replaced in one transaction, so that no packet finds it
//! empty. Connections that are under way are in the kernel's connection tracking and are not disturbed; only UDP flows to
//! endpoints that are gone are forgotten.

mod base;
mod claims;
mod endpoints;
mod flows;
mod health;
mod model;
mod program;
mod render;
mod run;

pub use endpoints::{Endpoint, Endpoints, NodeFacts};
pub use flows::UdpFrontends;
pub use model::{ServicePort, service_ports};
pub use program::{Change, Program};
pub use render::Shape;
pub use run::{Proxy, ProxyConfig};
