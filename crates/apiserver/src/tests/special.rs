use serde_json::json;

use super::{CONFIG_MAPS, Harness};

const APPLY: &str = "application/apply-patch+yaml";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

#[tokio::test]
async fn a_cluster_begins_with_its_namespaces_and_the_kubernetes_service() {
    let h = Harness::new().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        assert_eq!(h.get(&format!("/api/v1/namespaces/{name}")).await.ok()["status"]["phase"], "Active");
    }
    let service = h.get("/api/v1/namespaces/default/services/kubernetes").await.ok();
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let endpoints = h.get("/api/v1/namespaces/default/endpoints/kubernetes").await.ok();
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 6443);
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    assert_eq!(h.get(slices).await.ok()["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
}

#[tokio::test]
async fn services_get_addresses_and_ports() {
    let h = Harness::new().await;
    let services = "/api/v1/namespaces/default/services";
    let object = json!({"metadata": {"name": "web"}, "spec": {"type": "NodePort", "selector": {"a": "b"},
        "ports": [{"port": 80}]}});
    let service = h.post(services, &object).await.ok();
    assert!(service["spec"]["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.96.")), "{service}");
    let port = service["spec"]["ports"][0]["nodePort"].as_i64().expect("a port");
    let mut other = object.clone();
    other["metadata"]["name"] = "other".into();
    other["spec"]["ports"][0]["nodePort"] = port.into();
    let refused = h.post(services, &other).await.failure();
    assert!(refused.2.ends_with("provided port is already allocated"), "{refused:?}");
    assert_eq!(h.delete(&format!("{services}/web")).await.ok()["kind"], "Service");
    assert_eq!(h.post(services, &other).await.code, 201);
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let h = Harness::new().await;
    h.post(PODS, &json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}))
        .await
        .ok();
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let bound = h.post(&format!("{PODS}/p/binding"), &binding).await;
    assert_eq!((bound.code.as_u16(), bound.ok()["status"].as_str()), (201, Some("Success")));
    let pod = h.get(&format!("{PODS}/p")).await.ok();
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert!(
        pod["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["type"] == "PodScheduled" && c["status"] == "True"))
    );
    let again = h.post(&format!("{PODS}/p/binding"), &binding).await.failure();
    assert_eq!(
        again.2,
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\""
    );
    let selected = h.get(&format!("{PODS}?fieldSelector=spec.nodeName%3Dn1")).await.ok();
    assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    assert_eq!(h.post(&format!("{PODS}/p/eviction"), &eviction).await.code, 201);
    assert!(h.get(&format!("{PODS}/p")).await.ok()["metadata"]["deletionTimestamp"].is_string());
}

fn deployment() -> serde_json::Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[tokio::test]
async fn a_deployment_is_scaled_and_its_status_is_kept_apart() {
    let h = Harness::new().await;
    let made = h.post(DEPLOYMENTS, &deployment()).await.ok();
    assert_eq!(made["metadata"]["generation"], 1);
    let uri = format!("{DEPLOYMENTS}/d/scale");
    let scale = h.get(&uri).await.ok();
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!("Scale"), &json!(1), &json!("a=b"))
    );
    let scaled = h.patch(&uri, "application/merge-patch+json", &json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 5);
    let mut scale = h.get(&uri).await.ok();
    scale["spec"]["replicas"] = 2.into();
    assert_eq!(h.put(&uri, &scale).await.ok()["spec"]["replicas"], 2);
    let after = h.get(&format!("{DEPLOYMENTS}/d")).await.ok();
    assert_eq!((&after["spec"]["replicas"], &after["metadata"]["generation"]), (&json!(2), &json!(3)));

    let status = json!({"status": {"replicas": 2}, "spec": {"replicas": 9}});
    let patched =
        h.patch(&format!("{DEPLOYMENTS}/d/status"), "application/merge-patch+json", &status).await.ok();
    assert_eq!((&patched["status"]["replicas"], &patched["spec"]["replicas"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn appliers_own_their_fields() {
    let h = Harness::new().await;
    let uri = |manager: &str| format!("{CONFIG_MAPS}/a?fieldManager={manager}");
    let config = |data: serde_json::Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let made = h.patch(&uri("one"), APPLY, &config(json!({"x": "1"}))).await;
    assert_eq!(made.code, 201);
    let entry = made.ok()["metadata"]["managedFields"][0].clone();
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("one"), &json!("Apply")));
    let conflict = h.patch(&uri("two"), APPLY, &config(json!({"x": "2"}))).await;
    assert_eq!(
        (conflict.code.as_u16(), conflict.json()["details"]["causes"][0]["reason"].as_str()),
        (409, Some("FieldManagerConflict"))
    );
    let forced = h
        .patch(&format!("{}&force=true", uri("two")), APPLY, &config(json!({"x": "2", "y": "3"})))
        .await
        .ok();
    assert_eq!(forced["data"], json!({"x": "2", "y": "3"}));
    let less = h.patch(&uri("two"), APPLY, &config(json!({"x": "2"}))).await.ok();
    assert_eq!(less["data"], json!({"x": "2"}));
    let same = h.patch(&uri("two"), APPLY, &config(json!({"x": "2"}))).await.ok();
    assert_eq!(same["metadata"]["resourceVersion"], less["metadata"]["resourceVersion"]);
    assert_eq!(h.patch(&format!("{CONFIG_MAPS}/a"), APPLY, &config(json!({}))).await.failure().0, 422);

    let posted = h.post(CONFIG_MAPS, &super::config_map("b")).await.ok();
    let entry = &posted["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("test"), &json!("Update")));
}

#[tokio::test]
async fn events_are_served_in_both_groups() {
    let h = Harness::new().await;
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Tested", "message": "m", "type": "Normal"});
    h.post("/api/v1/namespaces/default/events", &event).await.ok();
    let other = h.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await.ok();
    assert_eq!(
        (&other["apiVersion"], &other["note"], &other["regarding"]["name"]),
        (&json!("events.k8s.io/v1"), &json!("m"), &json!("p"))
    );
}

#[tokio::test]
async fn the_priority_classes_of_the_system_are_there() {
    let harness = Harness::new().await;
    let classes = harness.get("/apis/scheduling.k8s.io/v1/priorityclasses").await.ok();
    let found: Vec<_> =
        classes["items"].as_array().unwrap().iter().map(|class| &class["metadata"]["name"]).collect();
    assert_eq!(found, ["system-cluster-critical", "system-node-critical"]);
    let again = &steersman_registry::system_priority_classes()[0];
    let (code, reason, _) = harness.post("/apis/scheduling.k8s.io/v1/priorityclasses", again).await.failure();
    assert_eq!((code, reason.as_str()), (409, "AlreadyExists"));
}

#[tokio::test]
async fn component_statuses_are_found_out() {
    let harness = Harness::new().await;
    let all = harness.get("/api/v1/componentstatuses").await;
    assert!(all.headers["warning"].to_str().unwrap().contains("v1 ComponentStatus is deprecated in v1.19+"));
    let list = all.ok();
    assert_eq!((&list["kind"], &list["metadata"]), (&json!("ComponentStatusList"), &json!({})));
    let found: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (item["metadata"]["name"].as_str().unwrap(), item["conditions"][0]["status"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, [("controller-manager", "False"), ("etcd-0", "True"), ("scheduler", "True")]);
    let message = list["items"][0]["conditions"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Get \"https://127.0.0.1:") && message.ends_with("connect: connection refused")
    );

    let one = harness.get("/api/v1/componentstatuses/etcd-0").await.ok();
    assert_eq!(one["conditions"], json!([{"type": "Healthy", "status": "True", "message": "ok"}]));
    let none = harness.get("/api/v1/componentstatuses/dns").await.failure();
    assert_eq!(none, (404, "NotFound".to_owned(), "componentstatus \"dns\" not found".to_owned()));
    let chosen = harness.get("/api/v1/componentstatuses?fieldSelector=metadata.name%3Dscheduler").await.ok();
    assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
    assert_eq!(harness.get("/api/v1/componentstatuses?watch=1").await.failure().0, 405);
}
