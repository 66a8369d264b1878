//! Ranges, pages, the past, and compaction.

use super::*;

fn keys(records: &[Versioned]) -> Vec<&str> {
    records.iter().map(|record| record.key.as_str()).collect()
}

/// Records come in key order, and only those of the prefix.
pub async fn a_range_is_ordered_and_keeps_to_its_prefix(make: Make) {
    let store = make().await;
    for key in ["/r/pods/ab/x", "/r/pods/a/z", "/r/pods/a/x", "/r/podsets/a/x", "/r/pods/a/y", "/r/pods/a/xx"]
    {
        create(&*store, key, "v").await;
    }
    let cases: [(&str, &[&str]); 6] = [
        ("/r/pods/a/", &["/r/pods/a/x", "/r/pods/a/xx", "/r/pods/a/y", "/r/pods/a/z"]),
        ("/r/pods/ab/", &["/r/pods/ab/x"]),
        ("/r/podsets/", &["/r/podsets/a/x"]),
        ("/r/pods/a/x", &["/r/pods/a/x"]),
        ("/r/pods/a/none", &[]),
        ("/r/none/", &[]),
    ];
    for (prefix, wanted) in cases {
        let page = page(&*store, prefix, RangeOptions::default()).await.unwrap();
        assert_eq!(keys(&page.records), wanted, "{prefix}");
        assert_eq!(page.revision, newest(&*store).await);
    }
    let after = |after: &str, limit| RangeOptions { after: Some(Key::new(after)), limit, at: None };
    let one = page(&*store, "/r/pods/a/", after("/r/pods/a/xa", Some(1))).await.unwrap();
    assert_eq!(
        (keys(&one.records), one.remaining),
        (vec!["/r/pods/a/xx"], 2),
        "it starts after a key that is not"
    );
    let none = page(&*store, "/r/pods/a/", after("/r/pods/a/z", None)).await.unwrap();
    assert_eq!((none.records.len(), none.remaining), (0, 0));
    let all = page(&*store, "/r/pods/a/", after("/a", Some(4))).await.unwrap();
    assert_eq!((all.records.len(), all.remaining), (4, 0));
    let count =
        page(&*store, "/r/pods/", RangeOptions { limit: Some(0), ..Default::default() }).await.unwrap();
    assert_eq!((count.records.len(), count.remaining), (0, 5));
}

/// A range at a revision is what a range was then.
pub async fn a_range_shows_the_past(make: Make) {
    let store = make().await;
    let mut past = vec![(newest(&*store).await, list_at(&*store, "/r/", None).await)];
    let mut there: Vec<Option<Versioned>> = vec![None; 5];
    for step in 0..60_usize {
        let slot = step * 7 % 5;
        let value = step.to_string();
        there[slot] = match there[slot].take() {
            None => Some(create(&*store, &format!("/r/pods/{slot}"), &value).await),
            Some(old) if step % 3 == 0 => {
                delete(&*store, &old).await;
                None
            }
            Some(old) => Some(update(&*store, &old, &value).await),
        };
        past.push((newest(&*store).await, list_at(&*store, "/r/", None).await));
    }
    for (revision, then) in past {
        assert_eq!(list_at(&*store, "/r/", Some(revision)).await, then, "at {revision}");
    }
}

/// Reading page by page at the first page's revision gives what one read would have given, and the right numbers of
/// what remains, whatever is written meanwhile.
pub async fn pages_agree_while_others_write(make: Make) {
    let store = make().await;
    for n in 0..60 {
        create(&*store, &format!("/r/pods/{n:03}"), "old").await;
    }
    let whole = list_at(&*store, "/r/pods/", None).await;
    let mut options = RangeOptions { limit: Some(7), ..Default::default() };
    let mut read = Vec::new();
    loop {
        let part = page(&*store, "/r/pods/", options.clone()).await.unwrap();
        options.at = Some(part.revision);
        options.after = part.records.last().map(|record| record.key.clone());
        read.extend(part.records.iter().map(|record| (record.key.to_string(), text(record))));
        assert_eq!(part.remaining, whole.len() - read.len());
        if part.remaining == 0 {
            break;
        }
        disturb(&*store, read.len()).await;
    }
    assert_eq!(read, whole);
}

/// Removes, changes and adds something behind `position`.
async fn disturb(store: &dyn Store, position: usize) {
    for (n, change) in [(position, Change::Delete), (position + 1, put("new"))] {
        if let Some(there) = store.get(&Key::new(format!("/r/pods/{n:03}"))).await.unwrap() {
            let expect = Expect::ModRevision(there.mod_revision);
            store.commit(&there.key, expect, change).await.unwrap();
        }
    }
    create(store, &format!("/r/pods/{position:03}-more"), "new").await;
}

/// Nobody can read, watch or compact what has not happened.
pub async fn revisions_to_come_are_refused(make: Make) {
    let store = make().await;
    let there = create(&*store, "/r/pods/x", "1").await.mod_revision;
    let to_come = Revision(there.0 + 1);
    let refused = |error: StoreError| {
        assert!(matches!(error, StoreError::Future { asked, newest } if asked == to_come && newest == there));
    };
    let options = RangeOptions { at: Some(to_come), ..Default::default() };
    refused(page(&*store, "/r/", options).await.unwrap_err());
    refused(store.watch(&Prefix::new("/r/"), to_come).await.unwrap_err());
    refused(store.compact(to_come).await.unwrap_err());
}

/// What is current at the compacted revision stays, what was before cannot be read.
pub async fn compaction_forgets_only_the_past(make: Make) {
    let store = make().await;
    let kept = create(&*store, "/r/pods/kept", "1").await;
    let changed = create(&*store, "/r/pods/changed", "1").await;
    let removed = create(&*store, "/r/pods/removed", "1").await;
    let changed = update(&*store, &changed, "2").await;
    let through = delete(&*store, &removed).await.mod_revision;
    update(&*store, &changed, "3").await;
    let before = list_at(&*store, "/r/", Some(through)).await;
    store.compact(through).await.unwrap();
    assert_eq!(list_at(&*store, "/r/", Some(through)).await, before);
    assert_eq!(before.len(), 2);
    assert_eq!(store.get(&kept.key).await.unwrap().unwrap().mod_revision, kept.mod_revision);
    let asked = Revision(through.0 - 1);
    let outcome = page(&*store, "/r/", RangeOptions { at: Some(asked), ..Default::default() }).await;
    let Err(StoreError::Compacted { asked: told, oldest }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((told, oldest), (asked, through));
    store.compact(asked).await.expect("compacting less again changes nothing");
    store.compact(through).await.expect("compacting the same again changes nothing");
    assert_eq!(list_at(&*store, "/r/", Some(through)).await, before);
}
