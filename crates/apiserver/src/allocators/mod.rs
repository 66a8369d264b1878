//! What must be unique in the cluster and is handed out by the API server: service addresses and node ports. They are
//! kept in memory and come back at start from the stored services, which are the truth.

mod pool;
mod services;

pub use services::{AddressRange, ServiceAllocations};
