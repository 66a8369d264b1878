//! Samples of the group `admissionregistration.k8s.io`.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => webhooks(),
        "ValidatingAdmissionPolicy" => json!({
            "spec": {
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConstraints": resources(),
                "matchConditions": [{"name": "not-system", "expression": "request.namespace != 'kube-system'"}],
                "variables": [{"name": "limit", "expression": "int(params.data.limit)"}],
                "validations": [{"expression": "object.spec.replicas <= variables.limit", "message": "too many",
                    "messageExpression": "'at most ' + string(variables.limit)", "reason": "Invalid"}],
                "auditAnnotations": [{"key": "replicas", "valueExpression": "string(object.spec.replicas)"}],
            },
            "status": {"observedGeneration": 1, "typeChecking": {"expressionWarnings":
                [{"fieldRef": "spec.validations[0].expression", "warning": "undefined field"}]}},
        }),
        "MutatingAdmissionPolicy" => json!({"spec": {
            "matchConstraints": resources(), "reinvocationPolicy": "IfNeeded",
            "mutations": [
                {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}},
                {"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}},
            ],
        }}),
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            let mut spec = json!({"policyName": "p", "matchResources": resources(),
                "paramRef": {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}});
            if kind.starts_with('V') {
                spec["validationActions"] = json!(["Deny", "Audit"]);
            }
            json!({"spec": spec})
        }
        _ => json!({}),
    }
}

fn rule() -> Value {
    json!({"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
        "resources": ["deployments", "deployments/scale"], "scope": "Namespaced"})
}

fn resources() -> Value {
    let mut named = rule();
    named["resourceNames"] = json!(["web"]);
    json!({"resourceRules": [rule()], "excludeResourceRules": [named], "matchPolicy": "Exact",
        "namespaceSelector": {"matchLabels": {"a": "b"}}})
}

fn webhooks() -> Value {
    let config =
        json!({"service": {"name": "hook", "namespace": "default", "path": "/admit"}, "caBundle": "AAE="});
    json!({"webhooks": [
        {"name": "one.example.com", "clientConfig": config, "rules": [rule()], "failurePolicy": "Ignore",
            "sideEffects": "None", "admissionReviewVersions": ["v1", "v1beta1"], "timeoutSeconds": 5,
            "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "matchConditions": [{"name": "a", "expression": "true"}]},
        {"name": "two.example.com", "clientConfig": {"url": "https://example.com/admit"}, "sideEffects": "NoneOnDryRun",
            "admissionReviewVersions": ["v1"]},
    ]})
}
