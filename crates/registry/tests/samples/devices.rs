//! Samples of the group `resource.k8s.io`.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "DeviceClass" => json!({"spec": {
            "selectors": [{"cel": {"expression": "device.driver == 'd'"}}],
            "config": [{"opaque": {"driver": "d", "parameters": {"a": "x"}}}],
            "extendedResourceName": "example.com/gpu",
        }}),
        "DeviceTaintRule" => json!({
            "spec": {"deviceSelector": {"driver": "d", "pool": "p", "device": "gpu-0"},
                "taint": {"key": "k", "value": "v", "effect": "NoExecute"}},
            "status": {"conditions": []},
        }),
        "ResourceClaim" => json!({
            "spec": claim_spec(),
            "status": {
                "allocation": {"devices": {
                    "results": [{"request": "r", "driver": "d", "pool": "p/q", "device": "gpu-0",
                        "tolerations": [{"key": "k"}]}],
                    "config": [{"source": "FromClass", "opaque": {"driver": "d", "parameters": {}}}]}},
                "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
                "devices": [{"driver": "d", "pool": "p/q", "device": "gpu-0", "data": {"a": 1},
                    "networkData": {"interfaceName": "eth0", "ips": ["10.0.0.5/24"]}}],
            },
        }),
        "ResourceClaimTemplate" => {
            json!({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": claim_spec()}})
        }
        "ResourceSlice" => json!({"spec": {
            "driver": "d.example.com", "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1},
            "nodeName": "n1",
            "devices": [{
                "name": "gpu-0", "allowMultipleAllocations": true,
                "attributes": {"model": {"string": "x"}, "example.com/driver": {"version": "1.2.3"}},
                "capacity": {"memory": {"value": "8Gi", "requestPolicy": {"default": "1Gi", "validRange": {
                    "min": "1Gi", "max": "4Gi", "step": "1Gi"}}}},
                "taints": [{"key": "k", "effect": "NoSchedule"}],
                "bindingConditions": ["a"], "bindingFailureConditions": ["b"],
                "consumesCounters": [{"counterSet": "c", "counters": {"slots": {"value": "1"}}}],
            }],
        }}),
        _ => json!({}),
    }
}

fn claim_spec() -> Value {
    json!({"devices": {
        "requests": [
            {"name": "r", "exactly": {"deviceClassName": "gpu", "tolerations": [{"key": "k"}],
                "selectors": [{"cel": {"expression": "true"}}]}},
            {"name": "s", "firstAvailable": [{"name": "big", "deviceClassName": "gpu", "allocationMode": "All"}]},
        ],
        "constraints": [{"requests": ["r", "s/big"], "matchAttribute": "example.com/model"}],
        "config": [{"requests": ["s"], "opaque": {"driver": "d", "parameters": {}}}],
    }})
}
