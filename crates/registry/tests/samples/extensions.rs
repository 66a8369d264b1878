//! Samples of the groups `apiextensions.k8s.io` and `apiregistration.k8s.io`.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "APIService" => json!({
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"namespace": "kube-system", "name": "metrics-server"}},
            "status": {"conditions": [{"type": "Available", "status": "True"}]},
        }),
        "CustomResourceDefinition" => definition(),
        _ => json!({}),
    }
}

fn definition() -> Value {
    let old = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "metadata": {"name": "crontabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": "default", "name": "convert", "path": "/convert"}}}},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema()},
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                    "additionalPrinterColumns": [{"name": "Spec", "type": "string", "jsonPath": ".spec.cron"}],
                    "selectableFields": [{"jsonPath": ".spec.cron"}]},
                {"name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "deprecationWarning": "use v1", "schema": {"openAPIV3Schema": old}},
            ],
        },
        "status": {"storedVersions": ["v1"], "acceptedNames": {"plural": "crontabs", "kind": "CronTab"},
            "conditions": [{"type": "NamesAccepted", "status": "True"}]},
    })
}

fn schema() -> Value {
    json!({
        "type": "object", "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "cron": {"type": "string", "pattern": "^(\\d+|\\*)(/\\d+)?$", "default": "*"},
                    "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10},
                    "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                    "hosts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "enum": ["a", "b"]}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "raw": {"type": "object", "x-kubernetes-embedded-resource": true,
                        "x-kubernetes-preserve-unknown-fields": true},
                },
                "x-kubernetes-validations": [{"rule": "self.replicas < 10", "message": "too many", "fieldPath": ".replicas"}],
                "oneOf": [{"required": ["cron"]}, {"not": {"required": ["cron"]}}],
            },
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}},
        },
    })
}
