use serde_json::{Value, json};

use super::Harness;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const CONTROLLERS: &str = "/api/v1/namespaces/default/replicationcontrollers";

fn template(policy: &str) -> Value {
    json!({"metadata": {"labels": {"app": "a"}}, "spec": {
        "restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}})
}

#[tokio::test]
async fn pods_of_a_job_know_its_generated_name() {
    let h = Harness::new().await;
    let job = json!({"metadata": {"generateName": "pi-"}, "spec": {"template": template("Never")}});
    let created = h.post(JOBS, &job).await.ok();
    let labels = &created["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["batch.kubernetes.io/job-name"], created["metadata"]["name"]);
    assert_eq!(labels["controller-uid"], created["metadata"]["uid"]);
    assert_eq!(created["status"], json!({}));
}

#[tokio::test]
async fn the_oldest_kinds_orphan_by_default() {
    let h = Harness::new().await;
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": template("Never")}});
    let controller = json!({"metadata": {"name": "rc"}, "spec": {"template": template("Always")}});
    for (list, object, name) in [(JOBS, job, "j"), (CONTROLLERS, controller, "rc")] {
        h.post(list, &object).await.ok();
        let marked = h.delete(&format!("{list}/{name}")).await.ok();
        assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]), "{name}");
        let gone = h.delete(&format!("{list}/{name}?propagationPolicy=Background")).await;
        assert_eq!(
            (gone.code.as_u16(), h.get(&format!("{list}/{name}")).await.code.as_u16()),
            (200, 404),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_plain_selector_has_a_scale_too() {
    let h = Harness::new().await;
    let controller = json!({"metadata": {"name": "rc"}, "spec": {"template": template("Always")}});
    h.post(CONTROLLERS, &controller).await.ok();
    let uri = format!("{CONTROLLERS}/rc/scale");
    assert_eq!(h.get(&uri).await.ok()["status"]["selector"], "app=a");
    let scaled = h.patch(&uri, "application/merge-patch+json", &json!({"spec": {"replicas": 4}})).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 4);
    assert_eq!(h.get(&format!("{CONTROLLERS}/rc")).await.ok()["metadata"]["generation"], 2);
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_two_versions() {
    let h = Harness::new().await;
    let list =
        |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let old = json!({"metadata": {"name": "h"}, "spec": {
        "scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}});
    let created = h.post(&list("v1"), &old).await.ok();
    assert_eq!(created["apiVersion"], "autoscaling/v1");
    assert_eq!(created["status"], json!({"currentReplicas": 0, "desiredReplicas": 0}));

    let new = format!("{}/h", list("v2"));
    let seen = h.get(&new).await.ok();
    assert_eq!(seen["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    let behavior = json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}});
    h.patch(&new, "application/merge-patch+json", &behavior).await.ok();

    let back = h.get(&format!("{}/h", list("v1"))).await.ok();
    assert_eq!(back["spec"]["targetCPUUtilizationPercentage"], 60);
    let annotation = back["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"].as_str();
    assert!(
        annotation.is_some_and(|text| text.contains("\"StabilizationWindowSeconds\":5")),
        "{annotation:?}"
    );
    let refused =
        h.post(&list("v1"), &json!({"metadata": {"name": "x"}, "spec": {"scaleTargetRef": target}})).await;
    assert!(refused.failure().2.contains("spec.maxReplicas: Required value"));
}

#[tokio::test]
async fn managers_of_another_version_keep_their_fields() {
    let h = Harness::new().await;
    let uri = |version: &str, manager: &str| {
        format!(
            "/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers/h?fieldManager={manager}"
        )
    };
    let apply = async |version: &str, manager: &str, spec: Value| {
        let object = json!({"apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"}, "spec": spec});
        h.patch(&uri(version, manager), "application/apply-patch+yaml", &object).await
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    apply("v1", "a", json!({"scaleTargetRef": target, "maxReplicas": 5})).await.ok();
    let conflict = apply("v2", "b", json!({"maxReplicas": 6})).await;
    assert_eq!(conflict.code, 409);
    let both = apply("v2", "b", json!({"maxReplicas": 5, "minReplicas": 2})).await.ok();
    let managers = both["metadata"]["managedFields"].as_array().expect("a list");
    let versions: Vec<&str> = managers.iter().filter_map(|m| m["apiVersion"].as_str()).collect();
    assert_eq!(versions, ["autoscaling/v1", "autoscaling/v2"]);
    // Giving up a field that the other manager wants too leaves it.
    let left = apply("v2", "b", json!({"minReplicas": 2})).await.ok();
    assert_eq!((&left["spec"]["maxReplicas"], &left["spec"]["minReplicas"]), (&json!(5), &json!(2)));
}
