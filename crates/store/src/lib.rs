//! The store contract: an ordered, multi-version map of keys to bytes.
//!
//! Every change gets the next [`Revision`]; object resource versions, list revisions, bookmarks and continue
//! tokens all come from that one sequence. Retrying, decoding and caching are built on top, not into it.
//! Keys are laid out as upstream lays them out in etcd: `/registry/<resource>[/<namespace>]/<name>`.

mod contract;
mod memory;
mod retention;
#[cfg(feature = "suite")]
pub mod suite;
mod transition;
mod view;

pub use contract::{
    BoxFuture, Change, Derived, Event, Expect, Key, Page, Prefix, RangeOptions, Record, Revision, Store,
    StoreError, Versioned, Watch, WatchError,
};
pub use memory::MemoryStore;
pub use retention::{Clock, Retention, system_clock};
pub use transition::{Transition, transition};
pub use view::{View, ViewLimits};
