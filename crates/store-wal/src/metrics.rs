//! What the store counts about itself.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Upper bounds of the latency buckets, in microseconds.
const LATENCY_BOUNDS: [u64; 14] =
    [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400, 409_600, 1_638_400];
/// Upper bounds of the batch size buckets, in writes.
const BATCH_BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Numbers about a [`crate::WalStore`] at one moment.
#[derive(Clone, Debug)]
pub struct WalMetrics {
    /// How long each fdatasync took, in microseconds.
    pub fsync_micros: HistogramSnapshot,
    /// How many writes each frame carried.
    pub batch_writes: HistogramSnapshot,
    /// Bytes of the log that are needed.
    pub live_bytes: u64,
    /// Bytes of the log that are not needed any more.
    pub dead_bytes: u64,
    /// What all files take.
    pub disk_bytes: u64,
    /// How many files.
    pub segments: u64,
    /// Bytes that the cleaner has copied.
    pub copied_bytes: u64,
}

/// A histogram at one moment.
#[derive(Clone, Debug)]
pub struct HistogramSnapshot {
    /// The upper bound of each bucket and how many values are in it (not in those below it). What is larger than all
    /// bounds is only in `count`.
    pub buckets: Vec<(u64, u64)>,
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        let buckets = bounds.iter().map(|_| AtomicU64::default()).collect();
        Self { bounds, buckets, count: AtomicU64::default(), sum: AtomicU64::default() }
    }

    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        HistogramSnapshot {
            buckets: self.bounds.iter().copied().zip(counts).collect(),
            count: self.count.load(Ordering::Relaxed),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug)]
pub struct Metrics {
    pub fsync_micros: Histogram,
    pub batch_writes: Histogram,
    pub copied_bytes: AtomicU64,
    /// Signed, since it is kept by differences.
    live_bytes: AtomicI64,
    log_bytes: AtomicU64,
    disk_bytes: AtomicU64,
    segments: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            fsync_micros: Histogram::new(&LATENCY_BOUNDS),
            batch_writes: Histogram::new(&BATCH_BOUNDS),
            copied_bytes: AtomicU64::default(),
            live_bytes: AtomicI64::default(),
            log_bytes: AtomicU64::default(),
            disk_bytes: AtomicU64::default(),
            segments: AtomicU64::default(),
        }
    }
}

impl Metrics {
    pub fn add_live(&self, bytes: u64) {
        self.live_bytes.fetch_add(signed(bytes), Ordering::Relaxed);
    }

    pub fn remove_live(&self, bytes: u64) {
        self.live_bytes.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    pub fn live_bytes(&self) -> u64 {
        u64::try_from(self.live_bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub fn set_log(&self, log_bytes: u64, disk_bytes: u64, segments: u64) {
        self.log_bytes.store(log_bytes, Ordering::Relaxed);
        self.disk_bytes.store(disk_bytes, Ordering::Relaxed);
        self.segments.store(segments, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> WalMetrics {
        let live_bytes = self.live_bytes();
        WalMetrics {
            fsync_micros: self.fsync_micros.snapshot(),
            batch_writes: self.batch_writes.snapshot(),
            live_bytes,
            dead_bytes: self.log_bytes.load(Ordering::Relaxed).saturating_sub(live_bytes),
            disk_bytes: self.disk_bytes.load(Ordering::Relaxed),
            segments: self.segments.load(Ordering::Relaxed),
            copied_bytes: self.copied_bytes.load(Ordering::Relaxed),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("the live data is far smaller than 8 EiB")
}
