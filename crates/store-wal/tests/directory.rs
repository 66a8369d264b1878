//! The store in a real directory: locking, closing, and what survives a restart.

use std::time::Duration;

use bytes::Bytes;
use steersman_store::{
    Change, Expect, Key, Prefix, RangeOptions, Revision, Store, StoreError, Versioned, WatchError,
};
use steersman_store_wal::{OpenError, WalOptions, WalStore};

async fn put(store: &WalStore, key: &str, value: &str) -> Versioned {
    let key = Key::new(key);
    let there = store.get(&key).await.unwrap();
    let expect = there.map_or(Expect::Absent, |there| Expect::ModRevision(there.mod_revision));
    store.commit(&key, expect, Change::Put(Bytes::from(value.to_owned()))).await.unwrap()
}

#[tokio::test]
async fn only_one_process_has_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = WalStore::open(dir.path(), WalOptions::default()).unwrap();
    let error = WalStore::open(dir.path(), WalOptions::default()).err().expect("it is locked");
    let OpenError::Locked { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, std::process::id().to_string());
    assert!(error.to_string().contains(holder), "{error}");
    store.close().await;
    WalStore::open(dir.path(), WalOptions::default()).expect("closing lets go of it");
}

#[tokio::test]
async fn directories_above_are_made_and_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("var/lib/store");
    let store = WalStore::open(&path, WalOptions::default()).unwrap();
    store.close().await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn what_is_no_directory_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = WalStore::open(file.path(), WalOptions::default()).err().expect("a file is no directory");
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn closing_ends_watches_and_refuses_writes_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = WalStore::open(dir.path(), WalOptions::default()).unwrap();
    let there = put(&store, "/r/x", "1").await;
    let mut watch = store.watch(&Prefix::new("/r/"), there.mod_revision).await.unwrap();
    store.close().await;
    store.close().await;
    assert_eq!(watch.next().await.unwrap_err(), WatchError::Closed);
    let refused = store.commit(&Key::new("/r/y"), Expect::Absent, Change::Put(Bytes::new())).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.get(&there.key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_restart_keeps_data_revision_and_recent_history() {
    let dir = tempfile::tempdir().unwrap();
    let first = WalStore::open(dir.path(), WalOptions::default()).unwrap();
    let start = first.revision().await.unwrap();
    put(&first, "/r/x", "1").await;
    let middle = put(&first, "/r/y", "1").await.mod_revision;
    let x = put(&first, "/r/x", "2").await;
    first.commit(&x.key, Expect::ModRevision(x.mod_revision), Change::Delete).await.unwrap();
    let end = first.revision().await.unwrap();
    drop(first);
    let second = WalStore::open(dir.path(), WalOptions::default()).unwrap();
    assert_eq!(second.revision().await.unwrap(), end);
    assert!(second.get(&x.key).await.unwrap().is_none());
    let then = RangeOptions { at: Some(middle), ..RangeOptions::default() };
    let then = second.range(&Prefix::new("/r/"), then).await.unwrap();
    assert_eq!(then.records.len(), 2, "the past can still be read");
    let mut watch = second.watch(&Prefix::new("/r/"), start).await.unwrap();
    for revision in start.0 + 1..=end.0 {
        assert_eq!(watch.next().await.unwrap().revision(), Revision(revision));
    }
    assert_eq!(put(&second, "/r/x", "3").await.mod_revision.0, end.0 + 1);
}

#[tokio::test]
async fn history_older_than_the_setting_is_let_go_as_time_passes() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let now = seconds.clone();
    let options = WalOptions {
        clock: Arc::new(move || Duration::from_secs(now.load(Ordering::Relaxed))),
        ..WalOptions::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let store = WalStore::open(dir.path(), options.clone()).unwrap();
    for n in 0..100 {
        put(&store, "/r/x", &n.to_string()).await;
        seconds.fetch_add(10, Ordering::Relaxed);
    }
    let kept = |store: &WalStore| store.view().revision().0 - store.view().oldest().0;
    assert!((30..=34).contains(&kept(&store)), "{} writes of ten seconds each are kept", kept(&store));
    drop(store);
    let store = WalStore::open(dir.path(), options).unwrap();
    assert!((29..=34).contains(&kept(&store)), "{} are kept after a restart", kept(&store));
}
