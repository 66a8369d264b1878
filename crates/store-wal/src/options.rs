//! What can be set about an embedded store.

use std::time::Duration;

use steersman_store::{Clock, Key, Retention, ViewLimits, system_clock};

/// Settings of a [`crate::WalStore`].
#[derive(Clone)]
pub struct WalOptions {
    /// How large a log file is made; it is deleted as a whole, and the larger it is, the longer the file system takes
    /// for that (measured on ext4: 7 ms for 16 MiB), which writers wait for.
    pub segment_bytes: u64,
    /// How much disk may be used beyond twice the live data. At least four segments.
    pub slack_bytes: u64,
    /// Which writes are acknowledged before they are on disk.
    pub lazy: LazyWrites,
    /// What bounds the memory for history and watchers.
    pub limits: ViewLimits,
    /// How long history is kept, if the limits allow.
    pub keep: Duration,
    /// Tells the time since the Unix epoch.
    pub clock: Clock,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            slack_bytes: 64 << 20,
            lazy: LazyWrites::default(),
            limits: ViewLimits::default(),
            keep: Retention::UPSTREAM,
            clock: system_clock(),
        }
    }
}

/// Writes whose last seconds may be lost in a power failure (never in a crash of the process alone): they are
/// acknowledged and visible at once, in revision order with all others, and synced together a little later.
#[derive(Clone, Debug)]
pub struct LazyWrites {
    /// Beginnings of the keys that this is for; none turns it off.
    pub prefixes: Vec<String>,
    /// The longest that such a write is not on disk.
    pub max_delay: Duration,
    /// The most bytes of such writes that are not on disk.
    pub max_bytes: u64,
}

impl Default for LazyWrites {
    /// Events are hints and leases are renewed anyway: losing a second of them harms nobody, flash wear does.
    fn default() -> Self {
        Self {
            prefixes: vec!["/registry/events/".to_owned(), "/registry/leases/".to_owned()],
            max_delay: Duration::from_secs(1),
            max_bytes: 1 << 20,
        }
    }
}

impl LazyWrites {
    /// The most such writes that are not on disk. Bounds how many revisions a power failure can take back.
    pub(crate) const MAX_COUNT: u64 = 10_000;

    pub(crate) fn covers(&self, key: &Key) -> bool {
        self.prefixes.iter().any(|prefix| key.as_str().starts_with(prefix.as_str()))
    }
}
