//! The tests that every store must pass: what the contract promises, and nothing that it does not.
//!
//! A store's crate runs them all by naming a function that makes an empty store:
//!
//! ```text
//! steersman_store::store_suite!(make_my_store);
//! ```

mod commits;
mod linear;
mod model;
mod reads;
mod watches;

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::contract::{
    BoxFuture, Change, Event, Expect, Key, Page, Prefix, RangeOptions, Revision, Store, StoreError,
    Versioned, Watch,
};

pub use commits::*;
pub use linear::histories_are_linearizable;
pub use model::store_agrees_with_the_model;
pub use reads::*;
pub use watches::*;

/// A store under test, and what it lives on.
pub struct Subject {
    store: Arc<dyn Store>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    /// Wraps a store; `keep` (a directory, a server) lives as long as it.
    pub fn new(store: impl Store, keep: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), _keep: Box::new(keep) }
    }

    fn share(&self) -> Arc<dyn Store> {
        self.store.clone()
    }
}

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// Makes an empty store that nobody else uses. It must keep at least 5,000 events of history and cut off a watcher
/// that is 2,000 events behind.
pub type Make = fn() -> BoxFuture<'static, Subject>;

/// Defines a test for each check of the suite.
#[macro_export]
macro_rules! store_suite {
    ($make:path) => {
        $crate::store_suite! {
            @tests $make;
            a_key_is_created_once,
            an_update_needs_the_newest_revision,
            a_removal_has_a_revision_of_its_own,
            revisions_go_up_by_one,
            one_of_many_racers_wins,
            no_increment_is_lost,
            acknowledged_commits_are_visible,
            histories_are_linearizable,
            a_range_is_ordered_and_keeps_to_its_prefix,
            a_range_shows_the_past,
            pages_agree_while_others_write,
            revisions_to_come_are_refused,
            compaction_forgets_only_the_past,
            a_watch_tells_everything_once_from_any_revision,
            watches_begun_under_writes_miss_nothing,
            a_watch_keeps_to_its_prefix,
            a_slow_watcher_is_cut_off,
            a_watch_of_the_forgotten_or_the_future_is_refused,
            progress_is_true,
            store_agrees_with_the_model,
        }
    };
    (@tests $make:path; $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                $crate::suite::$name($make).await;
            }
        )*
    };
}

fn put(value: impl Into<String>) -> Change {
    Change::Put(Bytes::from(value.into()))
}

async fn create(store: &dyn Store, key: &str, value: &str) -> Versioned {
    store.commit(&Key::new(key), Expect::Absent, put(value)).await.expect("the key is absent")
}

async fn update(store: &dyn Store, old: &Versioned, value: &str) -> Versioned {
    let expect = Expect::ModRevision(old.mod_revision);
    store.commit(&old.key, expect, put(value)).await.expect("nobody else wrote the key")
}

async fn delete(store: &dyn Store, old: &Versioned) -> Versioned {
    let expect = Expect::ModRevision(old.mod_revision);
    store.commit(&old.key, expect, Change::Delete).await.expect("nobody else wrote the key")
}

async fn newest(store: &dyn Store) -> Revision {
    store.revision().await.expect("the store is up")
}

async fn page(store: &dyn Store, prefix: &str, options: RangeOptions) -> Result<Page, StoreError> {
    store.range(&Prefix::new(prefix), options).await
}

async fn list_at(store: &dyn Store, prefix: &str, at: Option<Revision>) -> Vec<(String, String)> {
    let page = page(store, prefix, RangeOptions { at, ..Default::default() }).await.expect("it is readable");
    assert_eq!(page.remaining, 0, "an unlimited page is the last");
    page.records.iter().map(|record| (record.key.to_string(), text(record))).collect()
}

async fn watch(store: &dyn Store, prefix: &str, after: Revision) -> Watch {
    store.watch(&Prefix::new(prefix), after).await.expect("the history is there")
}

async fn next(watch: &mut Watch) -> Event {
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, watch.next()).await.expect("an event is due").expect("the watch goes on")
}

fn text(record: &Versioned) -> String {
    String::from_utf8_lossy(&record.value).into_owned()
}

/// An event in a form that can be compared: revision, key, new value, previous value.
fn told(event: &Event) -> (u64, String, Option<String>, Option<String>) {
    let (new, old) = match event {
        Event::Put { record, previous } => (Some(text(record)), previous.as_ref().map(text)),
        Event::Delete { previous, .. } => (None, Some(text(previous))),
    };
    (event.revision().0, event.key().to_string(), new, old)
}
