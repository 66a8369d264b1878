//! Volumes: files made from objects, host paths, empty directories, sub-paths and the mounts behind them.
//!
//! Two halves. [`payload`] is pure: an object and a projection go in, a set of files comes out. The rest acts
//! on the file system and knows no API beyond the volume types. What to mount where, when to refresh it and
//! which object it comes from is the kubelet's business.

mod paths;
pub mod payload;

pub mod atomic_writer;
pub mod empty_dir;
pub mod host_path;
pub mod mount;
pub mod ownership;
pub mod subpath;

pub use atomic_writer::{AtomicWriter, WriteError, Written};
pub use paths::InvalidPath;
pub use payload::{File, Payload, PayloadError};
