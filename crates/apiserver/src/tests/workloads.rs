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
