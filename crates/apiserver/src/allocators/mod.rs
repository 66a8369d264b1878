//! What must be unique in the cluster and is handed out by the API server: service addresses and node ports.
//!
//! The store is the truth, so that several servers on one store agree: an address is taken by creating the `IPAddress`
//! of its name, a node port by a bit in one record. Nothing is kept in memory. An address is taken before its service
//! is stored and given back after it is gone; what a crash leaves between the two, `repair` finds.

mod addresses;
mod default_range;
mod events;
mod families;
mod network;
mod port_map;
mod ports;
mod ranges;
mod repair;
mod services;

#[cfg(test)]
mod tests;

pub use services::{AddressRange, ServiceAllocations};
