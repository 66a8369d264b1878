//! The embedded durable store: a write-ahead log behind the store trait.
//!
//! The log is the store, the view is the cache: all reads and watches are served from the in-memory
//! [`steersman_store::View`], which a change enters only when it is durable.
//!
//! ```text
//!  commit ──► queue ──► writer thread ──► frame in the active segment ──► fdatasync ──► view ──► reply
//!            (decides,                     │
//!             assigns the revision)        └─► cleaner: copies what lives in the oldest segment to the end of the
//!                                              log, then deletes that segment
//! ```
//!
//! There are no separate snapshot files: the log cleans itself from its oldest end, a little with every write, so
//! disk use stays within twice the live data plus [`WalOptions::slack_bytes`], nothing ever pauses for a snapshot,
//! and what start-up reads is bounded by the same number.

mod cleaner;
mod disk;
mod error;
mod frame;
mod log;
mod metrics;
mod options;
mod queue;
mod record;
mod recover;
mod replay;
mod segment;
mod store;
mod writer;

pub use disk::{Disk, DiskFile, RealDisk};
pub use error::OpenError;
pub use metrics::{HistogramSnapshot, WalMetrics};
pub use options::{LazyWrites, WalOptions};
pub use store::WalStore;
