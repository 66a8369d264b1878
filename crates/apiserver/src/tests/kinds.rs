//! Kinds that nothing else here uses: they are created strictly, read back completed, and their status is written.

use serde_json::{Value, json};
use steersman_apimachinery::Tree;

use super::Harness;

struct Case {
    collection: &'static str,
    object: Tree,
    /// What the server adds to `object` beside metadata.
    added: Tree,
    /// A status to write, and what is stored of it.
    status: Option<(Tree, Tree)>,
}

fn case(collection: &'static str, object: Tree, added: Tree) -> Case {
    Case { collection, object, added, status: None }
}

fn with_status(collection: &'static str, object: Tree, added: Tree, status: Tree) -> Case {
    Case { collection, object, added, status: Some((status.clone(), status)) }
}

/// `base` with all of `more`, at every depth.
fn merged(base: &Tree, more: &Tree) -> Tree {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            let mut all = base.clone();
            for (key, value) in more {
                let known = all.get(key).cloned().unwrap_or_default();
                all.insert(key.clone(), merged(&known, value));
            }
            Value::Object(all)
        }
        (_, more) => more.clone(),
    }
}

fn cases() -> Vec<Case> {
    let devices = |mode: Value| {
        let mut request = json!({"name": "r", "exactly": {"deviceClassName": "gpu"}});
        request["exactly"] = merged(&request["exactly"], &mode);
        json!({"devices": {"requests": [request]}})
    };
    let counted = json!({"allocationMode": "ExactCount", "count": 1});
    vec![
        with_status(
            "/api/v1/persistentvolumes",
            json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/d"}}}),
            json!({
                "spec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem", "hostPath": {"type": ""}},
                "status": {"phase": "Pending"},
            }),
            json!({"phase": "Available", "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"}),
        ),
        with_status(
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
            json!({"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
            json!({"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}),
        ),
        case(
            "/api/v1/namespaces/default/limitranges",
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}),
            json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "1"},
                "defaultRequest": {"cpu": "1"}}]}}),
        ),
        with_status(
            "/api/v1/namespaces/default/resourcequotas",
            json!({"spec": {"hard": {"pods": "5"}}}),
            json!({"status": {}}),
            json!({"hard": {"pods": "5"}, "used": {"pods": "1"}}),
        ),
        case(
            "/apis/storage.k8s.io/v1/storageclasses",
            json!({"provisioner": "a.b/c"}),
            json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
        ),
        case(
            "/apis/storage.k8s.io/v1/csidrivers",
            json!({"spec": {}}),
            json!({"spec": {
                "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false, "requiresRepublish": false,
                "seLinuxMount": false, "preventPodSchedulingIfMissing": false, "volumeLifecycleModes": ["Persistent"],
                "fsGroupPolicy": "ReadWriteOnceWithFSType"}}),
        ),
        Case {
            status: Some((json!({"storageHealth": [{"name": "d"}]}), Value::Null)),
            ..case(
                "/apis/storage.k8s.io/v1/csinodes",
                json!({"spec": {"drivers": [{"name": "d", "nodeID": "n", "topologyKeys": ["zone"]}]}}),
                json!({}),
            )
        },
        case(
            "/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities",
            json!({"storageClassName": "fast", "capacity": "1Gi"}),
            json!({}),
        ),
        with_status(
            "/apis/storage.k8s.io/v1/volumeattachments",
            json!({"spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}),
            json!({"status": {"attached": false}}),
            json!({"attached": true, "attachmentMetadata": {"a": "b"}}),
        ),
        case(
            "/apis/storage.k8s.io/v1/volumeattributesclasses",
            json!({"driverName": "d", "parameters": {"iops": "1"}}),
            json!({}),
        ),
        case(
            "/apis/resource.k8s.io/v1/deviceclasses",
            json!({"spec": {"selectors": [{"cel": {"expression": "true"}}]}}),
            json!({"metadata": {"generation": 1}}),
        ),
        with_status(
            "/apis/resource.k8s.io/v1/devicetaintrules",
            json!({"spec": {"taint": {"key": "k", "effect": "None", "timeAdded": "2026-01-01T00:00:00Z"}}}),
            json!({"metadata": {"generation": 1}, "status": {}}),
            json!({"conditions": [{"type": "T", "status": "True", "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
        ),
        with_status(
            "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims",
            json!({"spec": devices(json!({}))}),
            json!({"spec": devices(counted.clone()), "status": {}}),
            json!({"allocation": {"devices": {"results": [
                {"request": "r", "driver": "d", "pool": "p", "device": "gpu-0"}]}}}),
        ),
        case(
            "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates",
            json!({"spec": {"spec": devices(json!({}))}}),
            json!({"spec": {"metadata": {}, "spec": devices(counted)}}),
        ),
        case(
            "/apis/resource.k8s.io/v1/resourceslices",
            json!({"spec": {"driver": "d", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
                "nodeName": "n", "devices": [{"name": "gpu-0", "attributes": {"model": {"string": "x"}}}]}}),
            json!({"metadata": {"generation": 1}}),
        ),
        case(
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"value": 7}),
            json!({"preemptionPolicy": "PreemptLowerPriority", "metadata": {"generation": 1}}),
        ),
        case("/apis/node.k8s.io/v1/runtimeclasses", json!({"handler": "kata"}), json!({})),
        with_status(
            "/apis/storagemigration.k8s.io/v1/storageversionmigrations",
            json!({"spec": {"resource": {"group": "apps", "resource": "deployments"}}}),
            json!({"status": {}}),
            json!({"resourceVersion": "5"}),
        ),
    ]
}

/// An answer without what differs from run to run.
fn plain(mut tree: Tree) -> Tree {
    tree.as_object_mut().expect("an object").retain(|key, _| key != "kind" && key != "apiVersion");
    let metadata = tree["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| matches!(key.as_str(), "name" | "namespace" | "generation"));
    if let Some(status) = tree.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("lastPhaseTransitionTime");
    }
    tree
}

#[tokio::test]
async fn kinds_are_completed_and_stored() {
    let harness = Harness::new().await;
    for Case { collection, mut object, added, status } in cases() {
        object["metadata"] = json!({"name": "a"});
        let strict = format!("{collection}?fieldValidation=Strict");
        let created = harness.post(&strict, &object).await.ok();
        let mut want = merged(&object, &added);
        if collection.contains("/namespaces/") {
            want["metadata"]["namespace"] = json!("default");
        }
        assert_eq!(plain(created.clone()), want, "{collection}");
        let one = format!("{collection}/a");
        assert_eq!(harness.get(&one).await.ok(), created, "{collection}");
        let again = harness.put(&one, &created).await.ok();
        assert_eq!(
            again["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"],
            "{collection}"
        );
        let Some((sent, stored)) = status else { continue };
        let mut report = created.clone();
        report["status"] = sent;
        report["spec"] = json!({});
        let written = harness.put(&format!("{one}/status?fieldValidation=Strict"), &report).await.ok();
        assert_eq!((&written["status"], &written["spec"]), (&stored, &created["spec"]), "{collection}");
    }
}

#[tokio::test]
async fn admin_access_to_devices_is_for_marked_namespaces() {
    let harness = Harness::new().await;
    let claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    let claim = json!({"metadata": {"name": "a"}, "spec": {"devices": {"requests": [
        {"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": true}}]}}});
    let (code, _, message) = harness.post(claims, &claim).await.failure();
    assert!(code == 422 && message.contains("admin access to devices requires the"), "{message}");
    let label = json!({"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}});
    harness.patch("/api/v1/namespaces/default", "application/merge-patch+json", &label).await.ok();
    harness.post(claims, &claim).await.ok();
}
