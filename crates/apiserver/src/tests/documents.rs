use serde_json::json;

use super::Harness;
use crate::wire::body;

#[tokio::test]
async fn discovery_lists_groups_versions_and_resources() {
    let h = Harness::new().await;
    for uri in ["/api", "/api/"] {
        assert_eq!(h.get(uri).await.ok()["versions"], json!(["v1"]));
    }
    let groups = h.get("/apis").await.ok();
    assert_eq!(groups["groups"][0]["name"], "apiregistration.k8s.io");
    assert_eq!(groups["groups"][1]["name"], "apps");
    assert_eq!(h.get("/apis/apps").await.ok()["preferredVersion"]["groupVersion"], "apps/v1");
    let core = h.get("/api/v1").await.ok();
    let find = |name: &str| {
        let rows = core["resources"].as_array().expect("resources");
        rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let pods = find("pods");
    assert_eq!((&pods["shortNames"], &pods["categories"]), (&json!(["po"]), &json!(["all"])));
    // Upstream's own hash of the stored pod.
    assert_eq!(pods["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(find("pods/exec")["verbs"], json!(["create", "get"]));
    assert_eq!(find("nodes")["namespaced"], false);
    assert_eq!(&h.get("/apis/apps/v9").await.body[..], b"404 page not found\n");
}

#[tokio::test]
async fn aggregated_discovery_has_everything_and_an_etag() {
    let h = Harness::new().await;
    let form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let accept = format!(
        "{form},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    );
    let get = async |uri: &str, tag: &str| {
        let request = Harness::request("GET", uri).header("accept", &accept).header("if-none-match", tag);
        h.answer(request.body(body::empty()).expect("a request")).await
    };
    let answer = get("/apis", "").await;
    assert_eq!(answer.headers["content-type"], form);
    let apps = answer.ok()["items"][1].clone();
    assert_eq!(apps["metadata"]["name"], "apps");
    let resources = apps["versions"][0]["resources"].as_array().expect("a list");
    let deployments = resources.iter().find(|r| r["resource"] == "deployments").expect("deployments");
    assert_eq!(deployments["responseKind"], json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    let tag = answer.headers["etag"].to_str().expect("a tag").to_owned();
    assert_eq!(get("/apis", &tag).await.code, 304);
    let old = Harness::request("GET", "/apis").header(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
    );
    assert_eq!(h.answer(old.body(body::empty()).expect("a request")).await.ok()["kind"], "APIGroupList");
    assert_eq!(get("/api", "").await.ok()["items"][0]["versions"][0]["version"], "v1");
}

#[tokio::test]
async fn health_version_and_metrics_answer() {
    let h = Harness::new().await;
    for uri in ["/healthz", "/livez", "/readyz", "/readyz/etcd", "/livez/ping"] {
        assert_eq!(&h.get(uri).await.body[..], b"ok", "{uri}");
    }
    let verbose = h.get("/readyz?verbose&exclude=etcd").await;
    let found = "[+]ping ok\n[+]etcd-readiness ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(&verbose.body[..], found.as_bytes());
    assert_eq!(h.get("/readyz/nothing").await.code, 404);
    let version = h.get("/version").await.ok();
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("37")));
    assert!(version["gitVersion"].as_str().is_some_and(|v| v.starts_with("v1.37.0")));
    let metrics = h.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("apiserver_request_total{"));
    h.server.shutdown().await;
    assert_eq!(h.get("/readyz").await.code, 500);
}

#[tokio::test]
async fn openapi_is_published() {
    let h = Harness::new().await;
    let index = h.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a URL").to_owned();
    let apps = h.get(&url).await.ok();
    assert!(apps["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    assert_eq!(h.get("/openapi/v3/apis/apps/v1?hash=old").await.headers["location"], url.as_str());
    assert_eq!(h.get("/openapi/v3/apis/none/v1").await.code, 404);
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let request = Harness::request("GET", "/openapi/v2").header("accept", accept);
    let answer = h.answer(request.body(body::empty()).expect("a request")).await;
    assert_eq!(answer.headers["content-type"], "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
    assert!(answer.body.len() > 100_000);
}
