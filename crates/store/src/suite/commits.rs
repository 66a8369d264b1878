//! Compare and commit.

use futures::future::join_all;

use super::*;

/// The second creation of a key conflicts and says what is there.
pub async fn a_key_is_created_once(make: Make) {
    let store = make().await;
    let first = create(&*store, "/registry/pods/a/x", "1").await;
    assert_eq!((first.create_revision, text(&first)), (first.mod_revision, "1".to_owned()));
    let again = store.commit(&first.key, Expect::Absent, put("2")).await;
    let Err(StoreError::Conflict(Some(there))) = again else { panic!("{again:?}") };
    assert_eq!((there.mod_revision, text(&there)), (first.mod_revision, "1".to_owned()));
    let gone = delete(&*store, &first).await;
    let anew = create(&*store, "/registry/pods/a/x", "3").await;
    assert!(anew.create_revision > gone.mod_revision);
}

/// An update or removal of an older version, or of nothing, conflicts and changes nothing.
pub async fn an_update_needs_the_newest_revision(make: Make) {
    let store = make().await;
    let first = create(&*store, "/registry/pods/a/x", "1").await;
    let second = update(&*store, &first, "2").await;
    assert_eq!(second.create_revision, first.create_revision);
    let before = newest(&*store).await;
    let stale = Expect::ModRevision(first.mod_revision);
    for change in [put("3"), Change::Delete] {
        let outcome = store.commit(&first.key, stale, change).await;
        let Err(StoreError::Conflict(Some(there))) = outcome else { panic!("{outcome:?}") };
        assert_eq!(there.mod_revision, second.mod_revision);
    }
    let absent = Key::new("/registry/pods/a/y");
    for (expect, change) in [(stale, put("4")), (stale, Change::Delete), (Expect::Absent, Change::Delete)] {
        let outcome = store.commit(&absent, expect, change).await;
        assert!(matches!(outcome, Err(StoreError::Conflict(None))), "{outcome:?}");
    }
    assert_eq!(newest(&*store).await, before, "what fails has no revision");
    let there = store.get(&first.key).await.unwrap().unwrap();
    assert_eq!((there.mod_revision, text(&there)), (second.mod_revision, "2".to_owned()));
}

/// A removal gives the removed version with the revision of the removal.
pub async fn a_removal_has_a_revision_of_its_own(make: Make) {
    let store = make().await;
    let first = create(&*store, "/registry/pods/a/x", "1").await;
    let gone = delete(&*store, &first).await;
    assert_eq!(gone.mod_revision.0, first.mod_revision.0 + 1);
    assert_eq!((gone.create_revision, text(&gone)), (first.create_revision, "1".to_owned()));
    assert!(store.get(&first.key).await.unwrap().is_none());
    assert_eq!(newest(&*store).await, gone.mod_revision);
}

/// Concurrent commits of different keys get revisions without a gap or a repeat.
pub async fn revisions_go_up_by_one(make: Make) {
    let store = make().await;
    let base = newest(&*store).await.0;
    let writes = (0..200).map(|n| {
        let store = store.share();
        tokio::spawn(
            async move { create(&*store, &format!("/registry/pods/a/{n}"), "v").await.mod_revision.0 },
        )
    });
    let mut revisions: Vec<u64> = join_all(writes).await.into_iter().map(Result::unwrap).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (base + 1..=base + 200).collect::<Vec<_>>());
}

/// Of many that expect the same version exactly one succeeds, and the others learn of it.
pub async fn one_of_many_racers_wins(make: Make) {
    let store = make().await;
    let key = Key::new("/registry/leases/a/leader");
    let mut expect = Expect::Absent;
    for round in 0..20 {
        let racers = (0..16).map(|racer| {
            let (store, key) = (store.share(), key.clone());
            tokio::spawn(async move { store.commit(&key, expect, put(format!("{round}-{racer}"))).await })
        });
        let outcomes: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        let [Ok(winner)] = &won[..] else { panic!("{} won round {round}", won.len()) };
        for loser in lost {
            let Err(StoreError::Conflict(Some(there))) = loser else { panic!("{loser:?}") };
            assert_eq!(there.mod_revision, winner.mod_revision);
        }
        expect = Expect::ModRevision(winner.mod_revision);
    }
}

/// Counting up with retries from many tasks ends at the right number.
pub async fn no_increment_is_lost(make: Make) {
    let store = make().await;
    let key = Key::new("/registry/counters/n");
    create(&*store, key.as_str(), "0").await;
    let tasks = (0..8).map(|_| {
        let (store, key) = (store.share(), key.clone());
        tokio::spawn(async move {
            for _ in 0..25 {
                increment(&*store, &key).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(text(&store.get(&key).await.unwrap().unwrap()), "200");
}

async fn increment(store: &dyn Store, key: &Key) {
    let mut there = store.get(key).await.unwrap().unwrap();
    loop {
        let next = text(&there).parse::<u64>().unwrap() + 1;
        match store.commit(key, Expect::ModRevision(there.mod_revision), put(next.to_string())).await {
            Ok(_) => return,
            Err(StoreError::Conflict(Some(newer))) => there = newer,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Once a commit has returned, whoever reads sees it: by key, by range, in the newest revision.
pub async fn acknowledged_commits_are_visible(make: Make) {
    let store = make().await;
    let tasks = (0..8).map(|task| {
        let store = store.share();
        tokio::spawn(async move {
            let prefix = format!("/registry/pods/ns{task}/");
            for n in 0..50 {
                let done = create(&*store, &format!("{prefix}{n:03}"), "v").await;
                assert!(newest(&*store).await >= done.mod_revision);
                assert!(store.get(&done.key).await.unwrap().is_some());
                assert_eq!(list_at(&*store, &prefix, None).await.len(), n + 1);
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
}
