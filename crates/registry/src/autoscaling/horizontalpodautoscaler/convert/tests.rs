use super::*;

fn annotation<'a>(tree: &'a Tree, name: &str) -> &'a str {
    tree["metadata"]["annotations"].get(name).and_then(Tree::as_str).unwrap_or_default()
}

/// An autoscaler that uses everything.
fn full() -> Tree {
    let object = || json!({"kind": "Ingress", "name": "main", "apiVersion": "networking.k8s.io/v1"});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "annotations": {"mine": "x"}},
        "spec": {
            "minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "metrics": [
                {"type": "Pods", "pods": {"metric": {"name": "p", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "AverageValue", "averageValue": "1k"}}},
                {"type": "Object", "object": {"describedObject": object(), "metric": {"name": "o"},
                    "target": {"type": "Value", "value": "3"}}},
                {"type": "Object", "object": {"describedObject": object(), "metric": {"name": "o"},
                    "target": {"type": "AverageValue", "averageValue": "3"}}},
                {"type": "External", "external": {"metric": {"name": "e"},
                    "target": {"type": "AverageValue", "averageValue": "4"}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                    "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Resource", "resource": {"name": "memory",
                    "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 60}}},
            ],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "tolerance": "0.1", "policies": [
                    {"type": "Pods", "value": 4, "periodSeconds": 15}]},
                "scaleDown": {"selectPolicy": "Disabled"},
            },
        },
        "status": {
            "currentReplicas": 3, "desiredReplicas": 4,
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageValue": "200m", "averageUtilization": 40}}},
                {"type": "External", "external": {"metric": {"name": "e"}, "current": {"value": "7"}}},
            ],
            "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
                "reason": "Ready", "message": "<fine>"}],
        },
    })
}

#[test]
fn nothing_is_lost_on_the_way_through_v1() {
    let mut tree = full();
    to_v1(&mut tree);
    assert_eq!(tree["apiVersion"], "autoscaling/v1");
    to_v2(&mut tree);
    assert_eq!(tree, full());
}

#[test]
fn v1_has_what_it_has_fields_for_and_annotations_for_the_rest() {
    let mut tree = full();
    to_v1(&mut tree);
    let spec = json!({"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "targetCPUUtilizationPercentage": 60});
    assert_eq!(tree["spec"], spec);
    let status = json!({"currentReplicas": 3, "desiredReplicas": 4, "currentCPUUtilizationPercentage": 40});
    assert_eq!(tree["status"], status);
    assert_eq!(annotation(&tree, "mine"), "x");
    let metrics = concat!(
        r#"[{"type":"Pods","pods":{"metricName":"p","targetAverageValue":"1k","selector":{"matchLabels":{"a":"b"}}}},"#,
        r#"{"type":"Object","object":{"target":{"kind":"Ingress","name":"main","apiVersion":"networking.k8s.io/v1"},"#,
        r#""metricName":"o","targetValue":"3"}},"#,
        r#"{"type":"Object","object":{"target":{"kind":"Ingress","name":"main","apiVersion":"networking.k8s.io/v1"},"#,
        r#""metricName":"o","targetValue":"0","averageValue":"3"}},"#,
        r#"{"type":"External","external":{"metricName":"e","targetAverageValue":"4"}},"#,
        r#"{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":50,"container":"c"}},"#,
        r#"{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#,
    );
    assert_eq!(annotation(&tree, METRICS), metrics);
    let current = concat!(
        r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":40,"currentAverageValue":"200m"}},"#,
        r#"{"type":"External","external":{"metricName":"e","currentValue":"7"}}]"#,
    );
    assert_eq!(annotation(&tree, CURRENT_METRICS), current);
    let conditions = concat!(
        r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"Ready","#,
        r#""message":"\u003cfine\u003e"}]"#,
    );
    assert_eq!(annotation(&tree, CONDITIONS), conditions);
    let behavior = concat!(
        r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","#,
        r#""Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":"0.1"},"#,
        r#""ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Disabled","Policies":null,"Tolerance":null}}"#,
    );
    assert_eq!(annotation(&tree, BEHAVIOR), behavior);
}

#[test]
fn annotations_that_users_write_are_read() {
    let with = |name: &str, text: &str| {
        let mut tree = json!({"metadata": {"annotations": {name: text}}, "spec": {}, "status": {}});
        to_v2(&mut tree);
        assert!(tree["metadata"].get("annotations").is_none());
        tree
    };
    let tree = with(BEHAVIOR, r#"{"scaleup": {"policies": [{"TYPE": "Pods", "value": 1}]}}"#);
    assert_eq!(tree["spec"]["behavior"], json!({"scaleUp": {"policies": [{"type": "Pods", "value": 1}]}}));
    let tree = with(METRICS, r#"[{"type": "Pods", "pods": {"metricName": "m", "targetAverageValue": 3}}]"#);
    let pods = json!({"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": 3}});
    assert_eq!(tree["spec"]["metrics"], json!([{"type": "Pods", "pods": pods}]));
    for nonsense in ["", "{}", "nonsense"] {
        assert_eq!(with(METRICS, nonsense)["spec"]["metrics"], json!([default_metric()]), "{nonsense}");
    }
    assert!(with(BEHAVIOR, "{}")["spec"].get("behavior").is_none());
    assert_eq!(with(CONDITIONS, r#"[{"type": "A"}]"#)["status"]["conditions"], json!([{"type": "A"}]));
}

#[test]
fn what_is_measured_of_cpu_shows_in_both() {
    let mut tree = json!({"status": {"currentCPUUtilizationPercentage": 7, "currentReplicas": 0}});
    to_v2(&mut tree);
    assert_eq!(tree["status"], json!({"currentMetrics": [cpu_status(7)]}));
    to_v1(&mut tree);
    assert_eq!(tree["status"]["currentCPUUtilizationPercentage"], 7);
}
