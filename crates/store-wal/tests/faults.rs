//! What happens when the disk, the machine or the process fails: at every step of a run, nothing acknowledged is
//! lost, nothing is there by half, and what is damaged is named and never served.

mod sim;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sim::{Faults, SimDisk};
use steersman_store::{
    Change, Event, Expect, Key, Prefix, RangeOptions, Revision, Store, StoreError, Versioned,
};
use steersman_store_wal::{OpenError, WalOptions, WalStore};

/// Small segments, so that a short run has everything: ends of segments, cleaning, deletions.
fn options() -> WalOptions {
    WalOptions { segment_bytes: 8 << 10, slack_bytes: 32 << 10, ..WalOptions::default() }
}

fn open(disk: &SimDisk) -> Result<WalStore, OpenError> {
    WalStore::open_on(Arc::new(disk.clone()), options())
}

/// A version as it must be found again: revision and value; `None` if the key must be absent.
type Known = Option<(Revision, Bytes)>;

/// What a client knows of one key.
#[derive(Clone, Debug, Default)]
struct KeyHistory {
    /// Every state that was acknowledged, the newest last; it begins absent.
    acknowledged: Vec<Known>,
    /// What was under way when the store failed.
    unknown: Option<Option<Bytes>>,
}

impl KeyHistory {
    fn newest(&self) -> &Known {
        self.acknowledged.last().unwrap_or(&None)
    }
}

#[derive(Default)]
struct Client {
    keys: BTreeMap<String, KeyHistory>,
    newest: Revision,
}

impl Client {
    /// Writes until something fails; gives the failure.
    async fn run(&mut self, store: &WalStore, seed: u64, writes: usize) -> Option<StoreError> {
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..writes {
            let slot = rng.random_range(0..8);
            let key = if slot < 2 {
                format!("/registry/leases/a/{slot}")
            } else {
                format!("/registry/pods/a/{slot}")
            };
            let value = rng.random_bool(0.85).then(|| {
                let length = rng.random_range(10..1_500);
                Bytes::from((0..length).map(|_| rng.random_range(b' '..b'~')).collect::<Vec<u8>>())
            });
            if let Err(error) = self.write(store, &key, value).await {
                return Some(error);
            }
        }
        None
    }

    async fn write(&mut self, store: &WalStore, key: &str, value: Option<Bytes>) -> Result<(), StoreError> {
        let history = self.keys.entry(key.to_owned()).or_default();
        let newest = history.newest().as_ref().map(|(revision, _)| *revision);
        let (expect, change) = match (newest, &value) {
            (None, None) => return Ok(()),
            (None, Some(value)) => (Expect::Absent, Change::Put(value.clone())),
            (Some(revision), None) => (Expect::ModRevision(revision), Change::Delete),
            (Some(revision), Some(value)) => (Expect::ModRevision(revision), Change::Put(value.clone())),
        };
        match store.commit(&Key::new(key), expect, change).await {
            Ok(done) => {
                assert!(done.mod_revision > self.newest, "revisions only go up");
                self.newest = done.mod_revision;
                history.acknowledged.push(value.map(|value| (done.mod_revision, value)));
                Ok(())
            }
            Err(error) => {
                if matches!(error, StoreError::Uncertain(_)) {
                    history.unknown = Some(value);
                }
                Err(error)
            }
        }
    }

    /// Compares what is there with what was acknowledged. `lossy`: lazily durable writes may be missing.
    async fn check(&self, store: &WalStore, lossy: bool, context: &str) {
        let revision = store.revision().await.unwrap();
        assert!(revision >= self.newest, "{context}: revision {revision} is behind {}", self.newest);
        for (key, history) in &self.keys {
            let found = store.get(&Key::new(key.as_str())).await.unwrap();
            let known: Known = found.as_ref().map(|there| (there.mod_revision, there.value.clone()));
            let lazy = key.starts_with("/registry/leases/") && lossy;
            let fits = known == *history.newest()
                || history
                    .unknown
                    .as_ref()
                    .is_some_and(|value| *value == known.clone().map(|(_, value)| value))
                || lazy && (known.is_none() || history.acknowledged.contains(&known));
            assert!(fits, "{context}: {key} is {known:?}, but {:?} was acknowledged", history.newest());
        }
        check_history(store, context).await;
    }
}

async fn content(store: &WalStore, at: Option<Revision>) -> BTreeMap<String, Versioned> {
    let options = RangeOptions { at, ..RangeOptions::default() };
    let page = store.range(&Prefix::new(""), options).await.unwrap();
    page.records.into_iter().map(|record| (record.key.to_string(), record)).collect()
}

/// The content at the oldest revision and the events since lead to the content now.
async fn check_history(store: &WalStore, context: &str) {
    let oldest = store.view().oldest();
    let mut replayed = content(store, Some(oldest)).await;
    let mut watch = store.watch(&Prefix::new(""), oldest).await.unwrap();
    while let Some(event) = watch.try_next() {
        let before = replayed.remove(event.key().as_str()).map(|there| there.mod_revision);
        match event {
            Event::Put { record, previous } => {
                assert_eq!(before, previous.map(|p| p.mod_revision), "{context}");
                replayed.insert(record.key.to_string(), record);
            }
            Event::Delete { previous, .. } => assert_eq!(before, Some(previous.mod_revision), "{context}"),
        }
    }
    let revisions = |content: &BTreeMap<String, Versioned>| {
        content.iter().map(|(key, record)| (key.clone(), record.mod_revision)).collect::<Vec<_>>()
    };
    assert_eq!(revisions(&replayed), revisions(&content(store, None).await), "{context}");
}

/// How many steps a run takes without faults.
async fn steps_of_a_run(seed: u64, writes: usize) -> u64 {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let mut client = Client::default();
    assert!(client.run(&store, seed, writes).await.is_none());
    store.close().await;
    assert!(store.metrics().copied_bytes > 0, "the run must be long enough for the cleaner");
    disk.steps()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_wherever_the_machine_stops() {
    const WRITES: usize = 120;
    let steps = steps_of_a_run(1, WRITES).await;
    for stop_at in 1..=steps {
        let disk = SimDisk::with(Faults { stop_at: Some(stop_at), ..Faults::default() });
        let mut client = Client::default();
        if let Ok(store) = open(&disk) {
            client.run(&store, 1, WRITES).await;
            store.close().await;
        }
        for seed in 0..2 {
            let context = format!("stopped at step {stop_at} of {steps}, seed {seed}");
            let mut rng = StdRng::seed_from_u64(stop_at * 100 + seed);
            go_on(&client, &disk.after_power_failure(&mut rng), true, &context).await;
        }
        let context = format!("killed at step {stop_at} of {steps}");
        go_on(&client, &disk.after_kill(), false, &context).await;
    }
}

/// Opens what is left of a run, checks it, writes more, and checks again after another end without warning.
async fn go_on(client: &Client, disk: &SimDisk, lossy: bool, context: &str) {
    let store = open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    client.check(&store, lossy, context).await;
    let mut more = Client { newest: store.revision().await.unwrap(), ..Client::default() };
    for key in client.keys.keys() {
        let found = store.get(&Key::new(key.as_str())).await.unwrap();
        let known = found.map(|there| (there.mod_revision, there.value.clone()));
        more.keys.insert(key.clone(), KeyHistory { acknowledged: vec![known], unknown: None });
    }
    assert!(more.run(&store, 2, 5).await.is_none(), "{context}");
    let mut rng = StdRng::seed_from_u64(7);
    let again =
        open(&disk.after_power_failure(&mut rng)).unwrap_or_else(|error| panic!("{context}: {error}"));
    more.check(&again, true, context).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_lose_nothing_when_the_machine_stops() {
    for seed in 0..60_u64 {
        let disk = SimDisk::with(Faults { stop_at: Some(20 + seed * 5), ..Faults::default() });
        let store = Arc::new(open(&disk).unwrap());
        let tasks = (0..6_u64).map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..100 {
                    let key = Key::new(format!("/registry/pods/{task}/{n:03}"));
                    let value = Change::Put(Bytes::from(vec![b'v'; 700]));
                    match store.commit(&key, Expect::Absent, value).await {
                        Ok(done) => acknowledged.push(done),
                        Err(_) => break,
                    }
                }
                acknowledged
            })
        });
        let outcomes = futures::future::join_all(tasks).await;
        let mut rng = StdRng::seed_from_u64(seed);
        let again = open(&disk.after_power_failure(&mut rng)).unwrap();
        for done in outcomes.into_iter().flat_map(Result::unwrap) {
            let found = again.get(&done.key).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("seed {seed}: {} was acknowledged", done.key));
            assert_eq!((found.mod_revision, &found.value), (done.mod_revision, &done.value), "seed {seed}");
        }
        check_history(&again, &format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn a_failed_sync_is_final() {
    let steps = steps_of_a_run(1, 120).await;
    for from in (10..steps).step_by(7) {
        let context = format!("the sync at step {from} failed");
        let disk = SimDisk::default();
        let store = open(&disk).unwrap();
        disk.set_faults(Faults { fail_sync_from: Some(from), ..Faults::default() });
        let mut client = Client::default();
        let Some(error) = client.run(&store, 1, 400).await else { panic!("{context}: nothing failed") };
        assert!(matches!(error, StoreError::Uncertain(_) | StoreError::Unavailable(_)), "{context}: {error}");
        let refused = client.write(&store, "/registry/pods/b/new", Some(Bytes::from("v"))).await;
        let Err(StoreError::Unavailable(reason)) = refused else { panic!("{context}: {refused:?}") };
        assert!(reason.contains("input/output error") && reason.contains(".wal"), "{reason}");
        // Reads go on, with what was durable.
        for (key, history) in &client.keys {
            let found = store.get(&Key::new(key.as_str())).await.unwrap();
            assert_eq!(found.map(|there| (there.mod_revision, there.value.clone())), *history.newest());
        }
        store.close().await;
        let mut rng = StdRng::seed_from_u64(from);
        go_on(&client, &disk.after_power_failure(&mut rng), true, &context).await;
    }
}

#[tokio::test]
async fn a_full_disk_fails_writes_clearly_until_there_is_space() {
    let disk = SimDisk::with(Faults { capacity: Some(40 << 10), ..Faults::default() });
    let store = open(&disk).unwrap();
    let mut client = Client::default();
    let mut stored = 0;
    let error = loop {
        let key = format!("/registry/pods/a/{stored:03}");
        match client.write(&store, &key, Some(Bytes::from(vec![b'v'; 1_000]))).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::NoSpace(_)), "{error}");
    assert!(stored >= 20, "only {stored} fit");
    client.check(&store, false, "while it is full").await;
    let again = client.write(&store, "/registry/pods/a/more", Some(Bytes::from(vec![b'v'; 9_000]))).await;
    assert!(matches!(again, Err(StoreError::NoSpace(_))));
    disk.set_faults(Faults::default());
    assert!(client.run(&store, 3, 50).await.is_none(), "there is space again");
    store.close().await;
    client.check(&open(&disk.after_kill()).unwrap(), false, "afterwards").await;
}

#[tokio::test]
async fn a_write_that_finds_no_space_half_way_leaves_nothing() {
    for from in 5..60 {
        let disk = SimDisk::default();
        let store = open(&disk).unwrap();
        disk.set_faults(Faults { fail_write_from: Some(from), ..Faults::default() });
        let mut client = Client::default();
        let mut failures = 0;
        for seed in 0..6 {
            failures += usize::from(client.run(&store, seed, 20).await.is_some());
        }
        assert!(failures <= 1, "only one write finds no space");
        client.check(&store, false, "running").await;
        let mut rng = StdRng::seed_from_u64(from);
        let again = open(&disk.after_power_failure(&mut rng)).unwrap();
        client.check(&again, true, &format!("write {from} failed")).await;
    }
}

/// A closed store with several segments, and what is in it.
async fn closed_store() -> (SimDisk, Client) {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let mut client = Client::default();
    assert!(client.run(&store, 4, 60).await.is_none());
    store.close().await;
    (disk, client)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    use steersman_store_wal::Disk;
    disk.list().unwrap()
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_named() {
    let (disk, _) = closed_store().await;
    let names = segments(&disk);
    assert!(names.len() >= 3, "{names:?}");
    let mut rng = StdRng::seed_from_u64(5);
    let mut found = 0;
    for name in names {
        let length = disk.bytes(&name).len();
        let mut at = 0;
        while at < length {
            let damaged = disk.after_kill();
            let bit = rng.random_range(0..8);
            damaged.damage(&name, |bytes| bytes[at] ^= 1 << bit);
            match open(&damaged) {
                Err(OpenError::Damaged { file, offset, .. }) => {
                    assert!(file.ends_with(&name), "{file} is named, {name} is damaged");
                    assert!(offset <= at as u64, "{offset} is named, {at} is damaged");
                }
                Err(error) => panic!("bit {bit} of byte {at} of {name}: {error}"),
                // The filling between two frames is the one place that means nothing.
                Ok(_) => {
                    assert_eq!(disk.bytes(&name)[at], 0, "bit {bit} of byte {at} of {name} was not found")
                }
            }
            found += 1;
            at += if at < 200 { 1 } else { rng.random_range(1..40) };
        }
    }
    assert!(found > 500);
}

#[tokio::test]
async fn a_missing_or_shortened_segment_is_refused() {
    use steersman_store_wal::Disk;
    let (disk, _) = closed_store().await;
    let names = segments(&disk);
    for name in &names[..names.len() - 1] {
        let missing = disk.after_kill();
        missing.remove(name).unwrap();
        let error = open(&missing).err().expect("a segment is missing");
        assert!(matches!(&error, OpenError::Missing { file } if file.ends_with(name)), "{error}");
        assert!(error.to_string().contains("backup"));
        let short = disk.after_kill();
        short.damage(name, |bytes| bytes.truncate(1_000));
        let error = open(&short).err().expect("a segment is short");
        assert!(matches!(&error, OpenError::Damaged { file, .. } if file.ends_with(name)), "{error}");
    }
}

#[tokio::test]
async fn disk_use_stays_within_twice_the_live_data_and_the_slack() {
    let disk = SimDisk::default();
    let store = open(&disk).unwrap();
    let mut client = Client::default();
    // Much that never changes, and a little that changes all the time.
    for n in 0..200 {
        let key = format!("/registry/cold/{n:03}");
        client.write(&store, &key, Some(Bytes::from(vec![b'c'; 1_000]))).await.unwrap();
    }
    disk.take_peak();
    for n in 0..4_000_usize {
        let key = format!("/registry/hot/{:02}", n * 7 % 20);
        let length = 100 + n * 31 % 1_500;
        client.write(&store, &key, Some(Bytes::from(vec![b'h'; length]))).await.unwrap();
        let live = store.metrics().live_bytes;
        let bound = 2 * live + options().slack_bytes;
        let peak = disk.take_peak();
        assert!(peak as u64 <= bound, "{peak} bytes are used after {n} writes, {live} of them live");
    }
    store.close().await;
    let metrics = store.metrics();
    let written: u64 = 4_000 * 850;
    assert!(metrics.copied_bytes < 4 * written, "{} bytes were copied for {written}", metrics.copied_bytes);
    let again = open(&disk.after_kill()).unwrap();
    client.check(&again, false, "after many passes of the cleaner").await;
    assert_eq!(again.metrics().live_bytes, metrics.live_bytes, "live bytes are counted the same way");
}

#[tokio::test]
async fn all_that_wait_share_one_sync_and_lazy_writes_need_none() {
    let disk = SimDisk::default();
    let store = Arc::new(WalStore::open_on(Arc::new(disk.clone()), WalOptions::default()).unwrap());
    let syncs = |store: &WalStore| store.metrics().fsync_micros.count;
    let before = syncs(&store);
    let writes = (0..500).map(|n| {
        let store = store.clone();
        async move {
            let key = Key::new(format!("/registry/pods/a/{n}"));
            store.commit(&key, Expect::Absent, Change::Put(Bytes::from("v"))).await
        }
    });
    assert!(futures::future::join_all(writes).await.iter().all(Result::is_ok));
    let shared = syncs(&store) - before;
    assert!(shared < 100, "500 writes at once took {shared} syncs");
    let before = syncs(&store);
    for n in 0..50 {
        let key = Key::new(format!("/registry/events/a/{n}"));
        store.commit(&key, Expect::Absent, Change::Put(Bytes::from("v"))).await.unwrap();
    }
    assert!(syncs(&store) - before <= 1, "lazy writes are acknowledged without a sync");
    let synced = async {
        while syncs(&store) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), synced).await.expect("they are synced a little later");
    let mut rng = StdRng::seed_from_u64(0);
    let again =
        WalStore::open_on(Arc::new(disk.after_power_failure(&mut rng)), WalOptions::default()).unwrap();
    assert!(again.get(&Key::new("/registry/events/a/0")).await.unwrap().is_some());
}
