use bytes::BytesMut;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{CONFIG_MAPS, Harness, config_map};
use crate::wire::body::{self, Body};

/// A watch's events, one after the other.
pub struct Events {
    body: Body,
    read: BytesMut,
}

impl Events {
    async fn open(h: &Harness, query: &str) -> Self {
        Self::accepting(h, query, "application/json").await
    }

    async fn accepting(h: &Harness, query: &str, accept: &str) -> Self {
        Self::of(h, &format!("{CONFIG_MAPS}?watch=true&{query}"), accept).await
    }

    /// The watch of any address.
    pub async fn of(h: &Harness, uri: &str, accept: &str) -> Self {
        let request = Harness::request("GET", uri).header("accept", accept);
        let response = h.send(request.body(body::empty()).expect("a request")).await;
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), read: BytesMut::new() }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            let frame = self.body.frame().await?.expect("no error");
            self.read.extend_from_slice(&frame.into_data().expect("data"));
        }
    }

    /// Type and name of the next event.
    pub async fn what(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn the_state_comes_first_and_then_every_change() {
    let h = Harness::new().await;
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let mut events = Events::open(&h, "").await;
    assert_eq!(events.what().await, pair("ADDED", "a"));
    h.post(CONFIG_MAPS, &config_map("b")).await.ok();
    h.patch(&format!("{CONFIG_MAPS}/a"), "application/merge-patch+json", &json!({"data": {"x": "y"}}))
        .await
        .ok();
    h.delete(&format!("{CONFIG_MAPS}/b")).await.ok();
    assert_eq!(events.what().await, pair("ADDED", "b"));
    let modified = events.next().await.expect("an event");
    assert_eq!(
        (modified["type"].as_str(), modified["object"]["data"]["x"].as_str()),
        (Some("MODIFIED"), Some("y"))
    );
    let deleted = events.next().await.expect("an event");
    assert_eq!(deleted["type"], "DELETED");
    let version = |event: &Value| {
        event["object"]["metadata"]["resourceVersion"]
            .as_str()
            .expect("a version")
            .parse::<u64>()
            .expect("a number")
    };
    assert!(version(&deleted) > version(&modified));
}

#[tokio::test]
async fn a_watch_begins_after_the_version_it_names() {
    let h = Harness::new().await;
    let a = h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    h.post(CONFIG_MAPS, &config_map("b")).await.ok();
    let version = a["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let mut events = Events::open(&h, &format!("resourceVersion={version}")).await;
    assert_eq!(events.what().await, pair("ADDED", "b"));

    let store = h.server.0.storage.store();
    store.compact(store.revision().await.expect("a revision")).await.expect("compacts");
    let mut events = Events::open(&h, &format!("resourceVersion={version}")).await;
    let event = events.next().await.expect("an event");
    assert_eq!((event["type"].as_str(), event["object"]["code"].as_i64()), (Some("ERROR"), Some(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let h = Harness::new().await;
    let mut events = Events::open(&h, "labelSelector=on%3Dyes").await;
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let uri = format!("{CONFIG_MAPS}/a");
    let label = async |value: Value| {
        let patch = json!({"metadata": {"labels": {"on": value}}});
        h.patch(&uri, "application/merge-patch+json", &patch).await.ok();
    };
    label(json!("yes")).await;
    label(json!("no")).await;
    label(json!("yes")).await;
    h.delete(&uri).await.ok();
    for kind in ["ADDED", "DELETED", "ADDED", "DELETED"] {
        let event = events.next().await.expect("an event");
        assert_eq!(event["type"], kind);
        assert_eq!(event["object"]["metadata"]["labels"]["on"], "yes");
    }
}

#[tokio::test]
async fn a_streamed_list_says_when_it_is_complete() {
    let h = Harness::new().await;
    let all = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut empty = Events::open(&h, all).await;
    let bookmark = empty.next().await.expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let mut events = Events::open(&h, all).await;
    assert_eq!(events.what().await, pair("ADDED", "a"));
    assert_eq!(events.what().await.0, "BOOKMARK");
    let refused = h.get(&format!("{CONFIG_MAPS}?watch=true&sendInitialEvents=true")).await.failure();
    assert_eq!(refused.0, 422);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_each_minute_and_the_end_in_time() {
    let h = Harness::new().await;
    let mut events = Events::open(&h, "allowWatchBookmarks=true&timeoutSeconds=90").await;
    h.post("/api/v1/namespaces/other/configmaps", &config_map("x")).await.ok();
    let bookmark = events.next().await.expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    let newest = h.get(CONFIG_MAPS).await.ok()["metadata"]["resourceVersion"].clone();
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], newest);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn tables_are_watched_with_their_columns_once() {
    let h = Harness::new().await;
    h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    h.post(CONFIG_MAPS, &config_map("b")).await.ok();
    let mut events = Events::accepting(&h, "", "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    let first = events.next().await.expect("an event");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    assert!(first["object"]["columnDefinitions"].is_array());
    let second = events.next().await.expect("an event");
    assert!(second["object"]["columnDefinitions"].is_null());
}

#[tokio::test]
async fn a_shutdown_ends_watches() {
    let h = Harness::new().await;
    let mut events = Events::open(&h, "").await;
    h.server.shutdown().await;
    assert!(events.next().await.is_none());
}
