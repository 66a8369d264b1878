use super::*;
use crate::contract::{Change, Expect, WatchError};
use crate::transition::transition;
use bytes::Bytes;

fn write(view: &View, key: &str, value: &'static str) -> Versioned {
    commit(view, key, Change::Put(Bytes::from_static(value.as_bytes())))
}

fn commit(view: &View, key: &str, change: Change) -> Versioned {
    let key = Key::new(key);
    let current = view.get(&key);
    let expect = current.as_ref().map_or(Expect::Absent, |v| Expect::ModRevision(v.mod_revision));
    let revision = Revision(view.revision().0 + 1);
    let done = transition(&key, current.as_ref(), expect, change, revision).expect("the expectation holds");
    view.publish(&[done.event]);
    done.result
}

#[test]
fn what_nobody_can_read_any_more_is_let_go() {
    let view = View::new(ViewLimits::default());
    let old = write(&view, "/a/x", "1");
    write(&view, "/a/x", "2");
    commit(&view, "/a/x", Change::Delete);
    write(&view, "/a/y", "3");
    assert!(Arc::strong_count(&old) > 1);
    view.compact(view.revision()).unwrap();
    assert_eq!(Arc::strong_count(&old), 1, "the view let the old version go");
    let at = RangeOptions { at: Some(Revision(3)), ..Default::default() };
    assert!(matches!(
        view.range(&Prefix::new("/a/"), &at),
        Err(StoreError::Compacted { asked: Revision(3), oldest: Revision(5) })
    ));
}

#[test]
fn a_reader_that_is_under_way_keeps_its_revision() {
    let view = View::new(ViewLimits::default());
    write(&view, "/a/x", "1");
    let pin = view.pin(view.revision());
    let pinned = view.revision();
    write(&view, "/a/x", "2");
    view.compact(view.revision()).unwrap();
    let mut scan = Scan::new(&RangeOptions::default());
    scan.revision = pinned;
    assert!(scan.step(&view.state.read(), &Prefix::new("/a/")));
    assert_eq!(scan.records[0].value, "1");
    drop(pin);
    assert!(!view.state.read().has_garbage());
    assert_eq!(view.get(&Key::new("/a/x")).unwrap().value, "2");
}

#[test]
fn long_lists_are_read_in_steps_and_stay_consistent() {
    let view = View::new(ViewLimits::default());
    for n in 0..3 * STEP {
        write(&view, &format!("/a/{n:06}"), "v");
    }
    let prefix = Prefix::new("/a/");
    let page = view.range(&prefix, &RangeOptions { limit: Some(10), ..Default::default() }).unwrap();
    assert_eq!((page.records.len(), page.remaining), (10, 3 * STEP - 10));
    let count = view.range(&prefix, &RangeOptions { limit: Some(0), ..Default::default() }).unwrap();
    assert_eq!((count.records.len(), count.remaining), (0, 3 * STEP));
    assert!(view.pins.lock().is_empty());
}

#[test]
fn history_is_bounded_by_count_and_by_bytes() {
    for limits in [
        ViewLimits { history_events: 10, ..Default::default() },
        ViewLimits { history_bytes: 10 * 265, ..Default::default() },
    ] {
        let view = View::new(limits);
        for _ in 0..100 {
            write(&view, "/a/key1", "12");
        }
        assert_eq!(view.oldest(), Revision(91));
        assert!(view.watch(&Prefix::new("/a/"), Revision(91)).is_ok());
        assert!(matches!(view.watch(&Prefix::new("/a/"), Revision(90)), Err(StoreError::Compacted { .. })));
    }
}

#[tokio::test]
async fn progress_of_a_watch_that_was_cut_off_stays_true() {
    let view = View::new(ViewLimits { watch_queue: 1, ..Default::default() });
    let mut watch = view.watch(&Prefix::new("/a/"), Revision(1)).unwrap();
    write(&view, "/b/x", "elsewhere");
    assert_eq!(watch.progress(), Revision(2));
    write(&view, "/a/x", "1");
    write(&view, "/a/x", "2");
    assert_eq!(watch.progress(), Revision(2), "an event is missing after this");
    assert_eq!(watch.next().await.unwrap().revision(), Revision(3));
    assert_eq!(watch.next().await.unwrap_err(), WatchError::TooSlow);
}

#[tokio::test]
async fn closing_ends_watches_and_refuses_new_ones() {
    let view = View::new(ViewLimits::default());
    let mut watch = view.watch(&Prefix::new(""), Revision(1)).unwrap();
    write(&view, "/a/x", "1");
    view.close();
    assert!(watch.next().await.is_ok(), "what was queued is delivered");
    assert_eq!(watch.next().await.unwrap_err(), WatchError::Closed);
    assert!(matches!(view.watch(&Prefix::new(""), Revision(1)), Err(StoreError::Unavailable(_))));
}

#[test]
fn loading_fills_in_what_has_no_event() {
    let view = View::new(ViewLimits::default());
    let loaded = write(&View::new(ViewLimits::default()), "/a/x", "1");
    assert!(view.load(loaded.clone()));
    assert!(!view.load(loaded), "it is there already");
    view.skip_to(Revision(40));
    assert_eq!((view.revision(), view.oldest()), (Revision(40), Revision(40)));
    assert_eq!(write(&view, "/a/x", "2").create_revision, Revision(2));
}
