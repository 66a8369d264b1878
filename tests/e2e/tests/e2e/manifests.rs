//! Objects that several tests make.

use serde_json::{Value, json};

/// A pod whose one container, `main`, runs a shell script; it is killed at once when it is deleted.
pub fn shell(name: &str, image: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": ["sh", "-c", script]}],
        },
    })
}

/// The same, run once.
pub fn shell_once(name: &str, image: &str, script: &str) -> Value {
    let mut pod = shell(name, image, script);
    pod["spec"]["restartPolicy"] = json!("Never");
    pod
}

/// The pod's one container.
pub fn container(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

/// A deployment of such a pod.
pub fn deployment(name: &str, replicas: u32, pod: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": pod["metadata"]["labels"]},
            "template": {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]},
        },
    })
}
