//! What may change in a pod, and what upstream says to what may not.

use serde_json::{Value, json};

use super::*;
use crate::checks::tests::texts;
use crate::core::pod::defaults;

fn pod() -> Value {
    let mut pod = json!({
        "metadata": {"name": "p"},
        "spec": {
            "nodeName": "n", "activeDeadlineSeconds": 100,
            "containers": [{"name": "a", "image": "x", "resources": {"limits": {"cpu": "1", "example.com/gpu": "1"}}}],
            "initContainers": [{"name": "i", "image": "x"}],
            "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        },
        "status": {"phase": "Running", "qosClass": "Burstable"},
    });
    defaults::pod(&mut pod);
    pod
}

/// The problems of changing fields of a pod.
fn changes(subresource: Option<&str>, changes: &[(&str, Value)]) -> Vec<String> {
    changes_of(&pod(), subresource, changes)
}

fn changes_of(old: &Tree, subresource: Option<&str>, changes: &[(&str, Value)]) -> Vec<String> {
    let mut new = old.clone();
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = new.pointer_mut(parent).expect("a field");
        match (parent, field.parse::<usize>()) {
            (Value::Array(items), Ok(index)) if index == items.len() => items.push(value.clone()),
            (parent, Ok(index)) => parent[index] = value.clone(),
            (parent, Err(_)) => parent[field] = value.clone(),
        }
    }
    texts(&update(&new, old, subresource))
}

#[test]
fn some_fields_may_change() {
    let allowed = [
        vec![("/spec/containers/0/image", json!("y"))],
        vec![("/spec/initContainers/0/image", json!("y"))],
        vec![("/spec/activeDeadlineSeconds", json!(50))],
        vec![("/spec/tolerations/1", json!({"key": "more", "operator": "Exists"}))],
        vec![("/spec/tolerations/0/tolerationSeconds", json!(9))],
        vec![("/metadata/labels", json!({"a": "b"}))],
        // Absent and empty are the same.
        vec![("/spec/hostNetwork", json!(false))],
    ];
    for change in allowed {
        assert_eq!(changes(None, &change), Vec::<String>::new(), "{change:?}");
    }
}

#[test]
fn others_may_not() {
    let other = changes(None, &[("/spec/nodeName", json!("m"))]);
    let want = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  core.PodSpec{\n\
- \tnodeName: \"n\",\n+ \tnodeName: \"m\",\n  }\n";
    assert_eq!(other, [want]);
    let cases = [
        (
            ("/spec/containers", json!([])),
            vec![
                "spec.containers: Required value",
                "spec.containers: Forbidden: pod updates may not add or remove containers",
            ],
        ),
        (
            ("/spec/containers/0/image", json!(" y")),
            vec![
                "spec.containers[0].image: Invalid value: \" y\": must not have leading or trailing whitespace",
            ],
        ),
        (
            ("/spec/activeDeadlineSeconds", json!(101)),
            vec![
                "spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value",
            ],
        ),
        (
            ("/spec/activeDeadlineSeconds", json!(null)),
            vec![
                "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
            ],
        ),
        (
            ("/spec/tolerations", json!([])),
            vec![
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
            ],
        ),
        (
            ("/spec/schedulingGates", json!([{"name": "g"}])),
            vec![
                "spec.schedulingGates[0]: Forbidden: only deletion is allowed, but found new scheduling gate 'g'",
            ],
        ),
    ];
    for (change, want) in cases {
        assert_eq!(changes(None, std::slice::from_ref(&change)), want, "{change:?}");
    }
}

#[test]
fn a_negative_grace_period_may_become_one() {
    let mut old = pod();
    old["spec"]["terminationGracePeriodSeconds"] = json!(-1);
    assert!(changes_of(&old, None, &[("/spec/terminationGracePeriodSeconds", json!(1))]).is_empty());
    assert_eq!(changes(None, &[("/spec/terminationGracePeriodSeconds", json!(1))]).len(), 1);
}

#[test]
fn a_gated_pod_may_be_narrowed() {
    let mut old = pod();
    old["spec"]["schedulingGates"] = json!([{"name": "g"}]);
    old["spec"]["nodeName"] = json!("");
    old["spec"]["nodeSelector"] = json!({"a": "1"});
    assert!(changes_of(&old, None, &[("/spec/nodeSelector", json!({"a": "1", "b": "2"}))]).is_empty());
    assert!(changes_of(&old, None, &[("/spec/schedulingGates", json!([]))]).is_empty());
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}});
    assert!(changes_of(&old, None, &[("/spec/affinity", affinity)]).is_empty());
    let want = "spec.nodeSelector: Invalid value: {\"a\":\"2\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)";
    assert_eq!(changes_of(&old, None, &[("/spec/nodeSelector", json!({"a": "2"}))]), [want]);
}

#[test]
fn a_status_goes_forward() {
    let mut old = pod();
    old["spec"]["restartPolicy"] = json!("Never");
    old["status"]["containerStatuses"] = json!([{"name": "a", "state": {"terminated": {"exitCode": 1}}}]);
    let back = [("/status/containerStatuses/0/state", json!({"running": {}}))];
    let want =
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
    assert_eq!(changes_of(&old, Some("status"), &back), [want]);
    for policy in ["OnFailure", "Always"] {
        old["spec"]["restartPolicy"] = json!(policy);
        assert!(changes_of(&old, Some("status"), &back).is_empty(), "{policy}");
    }
    let want = "status.qosClass: Invalid value: \"Guaranteed\": field is immutable";
    assert_eq!(changes(Some("status"), &[("/status/qosClass", json!("Guaranteed"))]), [want]);
}

#[test]
fn debug_containers_come_and_stay() {
    let debug =
        json!([{"name": "d", "image": "x", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}]);
    let change = [("/spec/ephemeralContainers", debug.clone())];
    assert!(changes(Some("ephemeralcontainers"), &change).is_empty());
    let mut old = pod();
    old["spec"]["ephemeralContainers"] = debug;
    let gone = changes_of(&old, Some("ephemeralcontainers"), &[("/spec/ephemeralContainers", json!([]))]);
    assert_eq!(
        gone,
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"d\" may not be removed\n"]
    );
}

#[test]
fn a_resize_keeps_class_and_kinds_of_resources() {
    let resources = "/spec/containers/0/resources";
    let with = |cpu: &str, gpu: &str| {
        let both = json!({"cpu": cpu, "example.com/gpu": gpu});
        json!({"limits": both, "requests": both})
    };
    assert!(changes(Some("resize"), &[(resources, with("2", "1"))]).is_empty());
    let want = "spec: Forbidden: only cpu and memory resources are mutable";
    assert_eq!(changes(Some("resize"), &[(resources, with("1", "2"))]), [want, want]);
    let none = changes(Some("resize"), &[(resources, json!({}))]);
    assert!(
        none.contains(
            &"spec: Invalid value: \"BestEffort\": Pod QOS Class may not change as a result of resizing"
                .to_owned()
        )
    );
}

#[test]
fn a_new_pod_is_neither_debugged_nor_placed_behind_gates() {
    let mut new = pod();
    new["spec"]["schedulingGates"] = json!([{"name": "g"}]);
    new["spec"]["ephemeralContainers"] =
        json!([{"name": "d", "image": "x", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}]);
    let want = [
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ];
    assert_eq!(texts(&create(&new)), want);
}
