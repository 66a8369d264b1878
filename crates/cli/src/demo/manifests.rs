//! The demo's objects.

use serde_json::{Value, json};

/// Name of every object of the demo.
pub const NAME: &str = "steersman-demo";
/// Where the demo lives.
pub const NAMESPACE: &str = "default";
/// The port of every node on which the demo answers.
pub const NODE_PORT: u16 = 30080;

const PORT: u16 = 8080;
const GREETING_DIR: &str = "/etc/steersman-demo";
/// Nobody in particular, but not root.
const USER: u32 = 65532;

/// ConfigMap, Deployment and Service, in the order to apply them; `image` is one made by
/// [`write_image_archive`](super::write_image_archive).
pub fn manifests(image: &str) -> Vec<Value> {
    vec![config_map(), deployment(image), service()]
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/name": NAME })
}

fn metadata() -> Value {
    json!({ "name": NAME, "namespace": NAMESPACE, "labels": labels() })
}

fn config_map() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(),
        "data": { "greeting": "Hello from Steersman" },
    })
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(),
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": labels() },
            "template": { "metadata": { "labels": labels() }, "spec": pod_spec(image) },
        },
    })
}

fn pod_spec(image: &str) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(image)],
        "volumes": [{ "name": "greeting", "configMap": { "name": NAME } }],
    })
}

fn container(image: &str) -> Value {
    json!({
        "name": "page",
        "image": image,
        // It was imported; there is nowhere to pull it from.
        "imagePullPolicy": "IfNotPresent",
        "command": ["/steersman", "demo-page", "--listen", format!("0.0.0.0:{PORT}")],
        "env": [
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_IP", "status.podIP"),
            from_field("NODE_NAME", "spec.nodeName"),
            { "name": "GREETING_FILE", "value": format!("{GREETING_DIR}/greeting") },
        ],
        "ports": [{ "name": "http", "containerPort": PORT, "protocol": "TCP" }],
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 1 },
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [{ "name": "greeting", "mountPath": GREETING_DIR, "readOnly": true }],
    })
}

fn from_field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(),
        "spec": {
            "type": "NodePort",
            "selector": labels(),
            "ports": [{
                "name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT, "protocol": "TCP",
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{ConfigMap, Service};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// The typed crate drops what it does not know, so a misspelt field is lost on the way.
    fn survives<K: DeserializeOwned + Serialize>(manifest: &Value) {
        let typed: K = serde_json::from_value(manifest.clone()).expect("the right kind");
        assert_eq!(serde_json::to_value(typed).expect("encodes"), *manifest);
    }

    #[test]
    fn every_field_is_one_of_its_kind() {
        let manifests = manifests("demo:1");
        survives::<ConfigMap>(&manifests[0]);
        survives::<Deployment>(&manifests[1]);
        survives::<Service>(&manifests[2]);
    }
}
