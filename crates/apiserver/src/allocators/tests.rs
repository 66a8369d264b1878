//! Addresses and node ports through the API: several servers on one store, ranges that come and go, crashes, and writes
//! whose outcome nobody knows.

mod doubtful;
mod services;
mod stores;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use steersman_store::{MemoryStore, Store};

use crate::AddressRange;
use crate::tests::Harness;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const MERGE: &str = "application/merge-patch+json";
/// No test waits longer for something to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on `store` with few addresses and ports.
async fn server(store: &Arc<dyn Store>) -> Harness {
    sized(store, 28, 30000..=30031).await
}

async fn sized(store: &Arc<dyn Store>, prefix: u8, ports: std::ops::RangeInclusive<u16>) -> Harness {
    let range = AddressRange::new([10, 0, 0, 0].into(), prefix).expect("a range");
    Harness::over(store.clone(), range, ports).await
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

fn service(name: &str, spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    for (field, value) in spec.as_object().expect("fields") {
        object["spec"][field] = value.clone();
    }
    object
}

fn ip(service: &Value) -> String {
    service["spec"]["clusterIP"].as_str().expect("an address").to_owned()
}

async fn names(h: &Harness, collection: &str) -> BTreeSet<String> {
    let items = h.get(collection).await.ok()["items"].take();
    let items = items.as_array().expect("items").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// Waits until `collection` has exactly the objects `want`.
async fn until_names(h: &Harness, collection: &str, want: &BTreeSet<String>) {
    let same = async {
        while names(h, collection).await != *want {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, same).await.is_ok(),
        "{collection}: want {want:?}, have {:?}",
        names(h, collection).await
    );
}

/// The notes of all events of that reason.
async fn notes(h: &Harness, reason: &str) -> Vec<String> {
    let events = h.get(&format!("/apis/events.k8s.io/v1/events?fieldSelector=reason%3D{reason}")).await.ok();
    let events = events["items"].as_array().expect("items").iter();
    events.map(|event| event["note"].as_str().expect("a note").to_owned()).collect()
}
