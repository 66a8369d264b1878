use serde_json::json;

use super::{CONFIG_MAPS, Harness, config_map};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let h = Harness::new().await;
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/keep"]);
    h.post(CONFIG_MAPS, &object).await.ok();
    let uri = format!("{CONFIG_MAPS}/a");
    let marked = h.delete(&uri).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let taken = h.post(CONFIG_MAPS, &config_map("a")).await.failure();
    assert_eq!(taken.2, "object is being deleted: configmaps \"a\" already exists");
    assert_eq!(
        h.delete(&uri).await.ok()["metadata"]["resourceVersion"],
        marked["metadata"]["resourceVersion"]
    );
    let freed =
        h.patch(&uri, "application/merge-patch+json", &json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(freed.code, 200);
    assert_eq!(h.get(&uri).await.code, 404);
}

#[tokio::test]
async fn propagation_becomes_a_finalizer() {
    let h = Harness::new().await;
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        h.post(CONFIG_MAPS, &config_map(finalizer.to_lowercase().as_str())).await.ok();
        let uri = format!("{CONFIG_MAPS}/{}?propagationPolicy={policy}", finalizer.to_lowercase());
        let marked = h.delete(&uri).await.ok();
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
}

#[tokio::test]
async fn preconditions_must_hold() {
    let h = Harness::new().await;
    let object = h.post(CONFIG_MAPS, &config_map("a")).await.ok();
    let uri = format!("{CONFIG_MAPS}/a");
    let with = async |body: serde_json::Value| {
        h.with_body("DELETE", &uri, "application/json", body.to_string().as_bytes()).await
    };
    let wrong =
        with(json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}})).await;
    assert_eq!((wrong.code.as_u16(), wrong.failure().1.as_str()), (409, "Conflict"));
    let version = object["metadata"]["resourceVersion"].clone();
    assert_eq!(with(json!({"preconditions": {"resourceVersion": version}})).await.code, 200);
}

#[tokio::test]
async fn a_running_pod_gets_its_grace_period() {
    let h = Harness::new().await;
    h.post(PODS, &pod("a")).await.ok();
    let uri = format!("{PODS}/a");
    let marked = h.delete(&uri).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    let shorter = h.delete(&format!("{uri}?gracePeriodSeconds=5")).await.ok();
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    assert!(h.get(&uri).await.code.is_success());
    let gone = h.delete(&format!("{uri}?gracePeriodSeconds=0")).await.ok();
    assert_eq!(gone["kind"], "Pod");
    assert_eq!(h.get(&uri).await.code, 404);
}

#[tokio::test]
async fn a_namespace_waits_for_its_finalizer() {
    let h = Harness::new().await;
    h.post("/api/v1/namespaces", &json!({"metadata": {"name": "a"}})).await.ok();
    let marked = h.delete("/api/v1/namespaces/a").await.ok();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let mut emptied = marked.clone();
    emptied["spec"] = json!({});
    assert_eq!(h.put("/api/v1/namespaces/a/finalize", &emptied).await.code, 200);
    assert_eq!(h.get("/api/v1/namespaces/a").await.code, 404);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let h = Harness::new().await;
    for name in ["a", "b"] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"name": name});
        h.post(CONFIG_MAPS, &object).await.ok();
    }
    let list = h.delete(&format!("{CONFIG_MAPS}?labelSelector=name%3Da")).await.ok();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(h.get(&format!("{CONFIG_MAPS}/a")).await.code, 404);
    assert_eq!(h.get(&format!("{CONFIG_MAPS}/b")).await.code, 200);
}
