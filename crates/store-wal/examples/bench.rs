//! Measures the embedded store: `cargo run --release --example bench -- DIR [SECONDS [KEYS]]`.
//!
//! Durable writes of 1 KiB at 1, 64 and 500 clients, overwriting a fixed set of keys so that the cleaner works too;
//! then what a start costs with what is there. Times depend on the disk: compare with another store on the same one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use steersman_store::{Change, Expect, Key, Store};
use steersman_store_wal::{WalOptions, WalStore};

const VALUE_BYTES: usize = 1024;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("the directory is the first argument");
    let seconds =
        arguments.next().map_or(3, |text| text.parse().expect("the second argument is a number of seconds"));
    let keys =
        arguments.next().map_or(50_000, |text| text.parse().expect("the third argument is a number of keys"));
    let store = Arc::new(WalStore::open(&dir, WalOptions::default()).expect("the store opens"));
    for clients in [1, 64, 500] {
        write(&store, clients, keys, Duration::from_secs(seconds)).await;
    }
    let metrics = store.metrics();
    println!(
        "live {} MiB, dead {} MiB, on disk {} MiB, copied {} MiB, {} fsyncs",
        metrics.live_bytes >> 20,
        metrics.dead_bytes >> 20,
        metrics.disk_bytes >> 20,
        metrics.copied_bytes >> 20,
        metrics.fsync_micros.count
    );
    store.close().await;
    drop(store);
    let start = Instant::now();
    let store = WalStore::open(&dir, WalOptions::default()).expect("the store opens");
    let metrics = store.metrics();
    println!(
        "opened {} MiB, {} MiB of them live, in {:?}",
        metrics.disk_bytes >> 20,
        metrics.live_bytes >> 20,
        start.elapsed()
    );
}

/// Overwrites keys from many tasks for a while and prints what it took.
async fn write(store: &Arc<WalStore>, clients: usize, keys: usize, time: Duration) {
    let (start, cpu) = (Instant::now(), cpu_time());
    let tasks = (0..clients)
        .map(|client| tokio::spawn(client_loop(store.clone(), (client, clients), keys, start + time)));
    let mut latencies = Vec::new();
    for task in futures::future::join_all(tasks).await {
        latencies.extend(task.expect("the client ends"));
    }
    let (elapsed, cpu) = (start.elapsed(), cpu_time() - cpu);
    if latencies.is_empty() {
        return;
    }
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    println!(
        "{clients:>3} clients: {:>7.0} writes/s, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}, CPU {:.1} µs a write",
        latencies.len() as f64 / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    );
}

async fn client_loop(
    store: Arc<WalStore>,
    (client, clients): (usize, usize),
    keys: usize,
    until: Instant,
) -> Vec<Duration> {
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let mut latencies = Vec::new();
    let mut n = client;
    while Instant::now() < until {
        let key = Key::new(format!("/registry/pods/default/{:06}", n % keys));
        n += clients;
        let there = store.get(&key).await.expect("reads work");
        let expect = there.map_or(Expect::Absent, |there| Expect::ModRevision(there.mod_revision));
        let start = Instant::now();
        // Two clients may meet at one key; the loser has waited for the disk as well.
        let _conflict = store.commit(&key, expect, Change::Put(value.clone())).await;
        latencies.push(start.elapsed());
    }
    latencies
}

/// What this process has used of the processors.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}
