use std::collections::BTreeSet;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use steersman_store::{Change as Write, Expect, Key, MemoryStore};
use tokio::sync::Notify;

use super::*;
use crate::view::text;

/// The names it was told of.
#[derive(Default)]
struct Names {
    names: Mutex<BTreeSet<String>>,
    changed: Notify,
}

impl Index for Names {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[("", "pods")]
    }

    fn apply(&self, _resource: &str, change: Change) {
        let name = |object: &Tree| text(object, "/metadata/name").to_owned();
        let mut names = self.names.lock();
        match change {
            Change::Replace(objects) => *names = objects.iter().map(|object| name(object)).collect(),
            Change::Put(object) => drop(names.insert(name(&object))),
            Change::Delete(object) => drop(names.remove(&name(&object))),
        }
        drop(names);
        self.changed.notify_one();
    }
}

impl Names {
    async fn become_these(&self, wanted: &[&str]) {
        while !self.names.lock().iter().eq(wanted) {
            self.changed.notified().await;
        }
    }
}

fn key(name: &str) -> Key {
    Key::new(format!("/registry/pods/ns/{name}"))
}

async fn put(store: &MemoryStore, name: &str) -> steersman_store::Revision {
    let value = Bytes::from(json!({"metadata": {"name": name}}).to_string());
    store.commit(&key(name), Expect::Absent, Write::Put(value)).await.unwrap().mod_revision
}

fn source(store: &Arc<MemoryStore>) -> Source {
    Source {
        store: store.clone(),
        prefix: Prefix::new("/registry/pods/"),
        decode: Box::new(|record| serde_json::from_slice(&record.value).ok().map(Arc::new)),
    }
}

#[tokio::test]
async fn an_index_follows_from_what_is_there_through_every_change() {
    let store = Arc::new(MemoryStore::default());
    let old = put(&store, "old").await;
    let names = Arc::new(Names::default());
    let (position, stop) = (Arc::new(Position::default()), CancellationToken::new());
    let task = tokio::spawn(follow(source(&store), "pods", names.clone(), position.clone(), stop.clone()));

    position.synced().await;
    names.become_these(&["old"]).await;
    put(&store, "new").await;
    names.become_these(&["new", "old"]).await;
    store.commit(&key("old"), Expect::ModRevision(old), Write::Delete).await.unwrap();
    names.become_these(&["new"]).await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_reader_can_wait_for_a_write() {
    let store = Arc::new(MemoryStore::default());
    let names = Arc::new(Names::default());
    let (position, stop) = (Arc::new(Position::default()), CancellationToken::new());
    assert!(!position.is_synced());
    let task = tokio::spawn(follow(source(&store), "pods", names.clone(), position.clone(), stop.clone()));

    for name in ["a", "b", "c"] {
        let written = put(&store, name).await;
        position.want(written);
        position.reach(written).await;
        assert!(names.names.lock().contains(name), "{name}");
    }
    // A write elsewhere brings no event, and the index has come as far all the same.
    let elsewhere = Key::new("/registry/secrets/ns/s");
    let written = store.commit(&elsewhere, Expect::Absent, Write::Put(Bytes::new())).await.unwrap();
    position.want(written.mod_revision);
    position.reach(written.mod_revision).await;
    stop.cancel();
    task.await.unwrap();
}
