//! Watches: everything once, in order, from any revision, or a clear end.

use futures::future::join_all;

use super::*;
use crate::contract::WatchError;

/// Does some of everything; gives every change as a watcher should be told of it.
async fn write_a_history(store: &dyn Store) -> Vec<(u64, String, Option<String>, Option<String>)> {
    let mut history = Vec::new();
    let mut there: Vec<Option<Versioned>> = vec![None; 4];
    for step in 0..40_usize {
        let (slot, value) = (step * 3 % 4, step.to_string());
        let key = format!("/r/pods/ns/{slot}");
        let old = there[slot].take();
        let previous = old.as_ref().map(text);
        let (revision, new) = match old {
            None => {
                there[slot] = Some(create(store, &key, &value).await);
                (newest(store).await, Some(value))
            }
            Some(old) if step % 5 == 0 => (delete(store, &old).await.mod_revision, None),
            Some(old) => {
                let new = update(store, &old, &value).await;
                there[slot] = Some(new.clone());
                (new.mod_revision, Some(value))
            }
        };
        history.push((revision.0, key, new, previous));
    }
    history
}

/// From whatever revision a watch begins, before or after the writes, it tells the same.
pub async fn a_watch_tells_everything_once_from_any_revision(make: Make) {
    let store = make().await;
    let base = newest(&*store).await;
    let mut live = watch(&*store, "/r/pods/", base).await;
    let history = write_a_history(&*store).await;
    for wanted in &history {
        assert_eq!(&told(&next(&mut live).await), wanted);
    }
    for start in 0..=history.len() {
        let after = Revision(base.0 + start as u64);
        let mut late = watch(&*store, "/r/pods/", after).await;
        for wanted in &history[start..] {
            assert_eq!(&told(&next(&mut late).await), wanted, "watching after {after}");
        }
        assert!(late.try_next().is_none(), "nothing is told twice");
    }
}

/// Watches that begin while others write get every change exactly once.
pub async fn watches_begun_under_writes_miss_nothing(make: Make) {
    let store = make().await;
    let base = newest(&*store).await;
    let writers = (0..4).map(|writer| {
        let store = store.share();
        tokio::spawn(async move {
            for n in 0..150 {
                create(&*store, &format!("/r/pods/ns{writer}/{n}"), "v").await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let watchers = (0..20).map(|_| {
        let store = store.share();
        tokio::spawn(async move {
            let after = newest(&*store).await;
            let mut watch = watch(&*store, "/r/", after).await;
            for revision in after.0 + 1..=base.0 + 600 {
                assert_eq!(next(&mut watch).await.revision().0, revision, "watching after {after}");
            }
            tokio::task::yield_now().await;
            assert!(watch.try_next().is_none());
        })
    });
    for task in join_all(watchers.chain(writers).collect::<Vec<_>>()).await {
        task.unwrap();
    }
}

/// A watch of a prefix, or of one key, is told of nothing else.
pub async fn a_watch_keeps_to_its_prefix(make: Make) {
    let store = make().await;
    let base = newest(&*store).await;
    let prefixes = ["/r/pods/", "/r/pods/a/", "/r/pods/a/x", "/r/podsets/", "/r/none/"];
    let mut watches = Vec::new();
    for prefix in prefixes {
        watches.push((prefix, watch(&*store, prefix, base).await));
    }
    let keys = ["/r/pods/a/x", "/r/pods/a/xx", "/r/pods/b/x", "/r/pods/ab/x", "/r/podsets/a/x"];
    for key in keys {
        create(&*store, key, "v").await;
    }
    for (prefix, mut live) in watches {
        let mut late = watch(&*store, prefix, base).await;
        for key in keys.into_iter().filter(|key| Prefix::new(prefix).contains(&Key::new(*key))) {
            assert_eq!(next(&mut live).await.key().as_str(), key, "{prefix}");
            assert_eq!(next(&mut late).await.key().as_str(), key, "{prefix}");
        }
        assert!(live.try_next().is_none() && late.try_next().is_none(), "{prefix}");
    }
}

/// A watcher that does not read is cut off and told so after what was queued for it; others, and writers, go on.
pub async fn a_slow_watcher_is_cut_off(make: Make) {
    const WRITES: u64 = 2_000;
    let store = make().await;
    let base = newest(&*store).await;
    let mut slow = watch(&*store, "/r/", base).await;
    let mut quick = watch(&*store, "/r/", base).await;
    for round in 0..WRITES / 100 {
        let writes = (0..100).map(|n| {
            let store = store.share();
            tokio::spawn(async move { create(&*store, &format!("/r/pods/{round}/{n}"), "v").await })
        });
        for write in join_all(writes).await {
            write.unwrap();
        }
        for n in 1..=100 {
            assert_eq!(next(&mut quick).await.revision().0, base.0 + round * 100 + n);
        }
    }
    let mut reached = base.0;
    let end = loop {
        match slow.next().await {
            Ok(event) => {
                assert_eq!(event.revision().0, reached + 1, "what is told has no gap");
                reached += 1;
            }
            Err(end) => break end,
        }
    };
    assert_eq!(end, WatchError::TooSlow);
    assert!(reached < base.0 + WRITES);
    assert!(slow.progress().0 <= reached, "no progress is claimed beyond what was told");
}

/// A watch cannot begin before the oldest revision that is kept.
pub async fn a_watch_of_the_forgotten_or_the_future_is_refused(make: Make) {
    let store = make().await;
    let base = newest(&*store).await;
    let history = write_a_history(&*store).await;
    let through = Revision(base.0 + 20);
    store.compact(through).await.unwrap();
    let outcome = store.watch(&Prefix::new("/r/"), Revision(through.0 - 1)).await;
    assert!(
        matches!(outcome, Err(StoreError::Compacted { oldest, .. }) if oldest == through),
        "{:?}",
        outcome.err()
    );
    let mut rest = watch(&*store, "/r/", through).await;
    for wanted in &history[20..] {
        assert_eq!(&told(&next(&mut rest).await), wanted);
    }
    let to_come = Revision(newest(&*store).await.0 + 1);
    let outcome = store.watch(&Prefix::new("/r/"), to_come).await;
    assert!(matches!(outcome, Err(StoreError::Future { .. })), "{:?}", outcome.err());
}

/// When a watch says that it has got to a revision, everything up to there is queued; and it gets there without an
/// event of its own.
pub async fn progress_is_true(make: Make) {
    let store = make().await;
    let mut watch = watch(&*store, "/r/pods/", newest(&*store).await).await;
    let mut told = 0;
    for n in 0..100 {
        create(&*store, &format!("/r/{}/{n}", if n % 10 == 0 { "pods" } else { "nodes" }), "v").await;
        let progress = watch.progress();
        while let Some(event) = watch.try_next() {
            told = event.revision().0;
        }
        let wanted =
            page(&*store, "/r/pods/", RangeOptions { at: Some(progress), ..Default::default() }).await;
        let last = wanted.unwrap().records.iter().map(|record| record.mod_revision.0).max().unwrap_or(0);
        assert!(told >= last, "{told} was told, but {last} happened before {progress}");
    }
    let newest = newest(&*store).await;
    let arrives = async {
        while watch.progress() < newest {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), arrives).await.expect("progress arrives");
}
