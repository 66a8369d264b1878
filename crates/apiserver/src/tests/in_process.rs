//! A typed client whose transport is a function call.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use tower::ServiceExt;

use super::{CONFIG_MAPS, Harness, config_map};
use crate::request::User;
use crate::wire::body;

#[tokio::test]
async fn a_write_goes_on_when_its_client_leaves() {
    let h = Harness::new().await;
    let create = Harness::request("POST", CONFIG_MAPS).header("content-type", "application/json");
    let create = create.body(body::whole(config_map("a").to_string())).expect("a request");
    let mut leaving = Box::pin(h.send(create));
    assert!(futures::poll!(&mut leaving).is_pending(), "the write has not been made yet");
    drop(leaving);
    h.server.shutdown().await;
    assert_eq!(h.get(&format!("{CONFIG_MAPS}/a")).await.ok()["data"]["a"], "1");
}

#[tokio::test]
async fn a_kube_client_runs_over_the_handler() {
    let h = Harness::new().await;
    let transport = h.server.handler().map_request(|mut request: http::Request<kube::client::Body>| {
        request.extensions_mut().insert(User { name: "system:kube-scheduler".to_owned(), ..User::default() });
        request
    });
    let client = kube::Client::new(transport, "default");
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let object: ConfigMap = serde_json::from_value(config_map("a")).expect("a config map");
    maps.create(&PostParams::default(), &object).await.expect("creates");
    let patch = Patch::Apply(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "2"}}),
    );
    maps.patch("a", &PatchParams::apply("tester"), &patch).await.expect("applies");
    let list = maps.list(&ListParams::default()).await.expect("lists");
    assert_eq!(list.items.len(), 1);
    let version = list.metadata.resource_version.expect("a version");
    let mut events = maps.watch(&WatchParams::default(), &version).await.expect("watches").boxed();
    maps.delete("a", &DeleteParams::default()).await.expect("deletes");
    let event = events.try_next().await.expect("no error").expect("an event");
    assert!(matches!(event, WatchEvent::Deleted(map) if map.data.as_ref().is_some_and(|d| d.len() == 2)));
    let missing = maps.get("a").await.expect_err("is gone");
    assert!(matches!(missing, kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound"));
}
