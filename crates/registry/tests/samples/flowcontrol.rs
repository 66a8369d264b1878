//! Samples of the group `flowcontrol.apiserver.k8s.io`.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "FlowSchema" => json!({
            "spec": {
                "priorityLevelConfiguration": {"name": "workload-low"}, "matchingPrecedence": 9000,
                "distinguisherMethod": {"type": "ByNamespace"},
                "rules": [{
                    "subjects": [{"kind": "User", "user": {"name": "jane"}}, {"kind": "Group", "group": {"name": "ops"}},
                        {"kind": "ServiceAccount", "serviceAccount": {"namespace": "default", "name": "*"}}],
                    "resourceRules": [{"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["*"],
                        "namespaces": ["default"], "clusterScope": true}],
                    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez/*"]}],
                }],
            },
            "status": {"conditions": [{"type": "Dangling", "status": "False"}]},
        }),
        "PriorityLevelConfiguration" => json!({
            "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 10, "lendablePercent": 50,
                "borrowingLimitPercent": 20, "limitResponse": {"type": "Queue",
                    "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}},
            "status": {"conditions": []},
        }),
        _ => json!({}),
    }
}
