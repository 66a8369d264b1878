//! Samples of storage, of what it is scheduled by, and of other kinds that stand alone in their group.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "PersistentVolume" => json!({
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast", "volumeMode": "Block",
                "claimRef": {"namespace": "default", "name": "c"}, "volumeAttributesClassName": "gold",
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}},
                "csi": {"driver": "csi.example.com", "volumeHandle": "h", "nodePublishSecretRef": {"name": "s", "namespace": "default"}},
            },
            "status": {"phase": "Bound"},
        }),
        "PersistentVolumeClaim" => json!({
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeAttributesClassName": "gold",
                "resources": {"requests": {"storage": "1Gi"}, "limits": {"storage": "2Gi"}}, "volumeName": "v",
                "selector": {"matchLabels": {"a": "b"}},
                "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"},
            },
            "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                "allocatedResources": {"storage": "1Gi"}, "allocatedResourceStatuses": {"storage": "NodeResizePending"},
                "currentVolumeAttributesClassName": "gold"},
        }),
        "LimitRange" => json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "4"}, "default": {"cpu": "3"},
                "defaultRequest": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "2"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]}}),
        "ResourceQuota" => json!({
            "spec": {"hard": {"pods": "10", "requests.cpu": "4"}, "scopes": ["NotBestEffort"],
                "scopeSelector": {"matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}},
            "status": {"hard": {"pods": "10"}, "used": {"pods": "1"}},
        }),
        "CSIDriver" => json!({"spec": {
            "tokenRequests": [{"audience": "a", "expirationSeconds": 3600}], "serviceAccountTokenInSecrets": true,
            "nodeAllocatableUpdatePeriodSeconds": 10, "volumeLifecycleModes": ["Persistent", "Ephemeral"],
        }}),
        "CSINode" => json!({"spec": {"drivers": [
            {"name": "csi.example.com", "nodeID": "n1", "topologyKeys": ["zone"], "allocatable": {"count": 5}}]}}),
        "CSIStorageCapacity" => json!({
            "storageClassName": "fast", "capacity": "1Gi", "maximumVolumeSize": "1Gi",
            "nodeTopology": {"matchLabels": {"zone": "a"},
                "matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
        }),
        "StorageClass" => json!({
            "provisioner": "csi.example.com", "parameters": {"kind": "ssd"}, "allowVolumeExpansion": true,
            "mountOptions": ["ro"], "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}],
        }),
        "VolumeAttachment" => json!({
            "spec": {"attacher": "csi.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "v"}},
            "status": {"attached": true, "attachmentMetadata": {"a": "b"}, "detachError": {"message": "m", "errorCode": 5}},
        }),
        "VolumeAttributesClass" => json!({"driverName": "csi.example.com", "parameters": {"iops": "9"}}),
        "PriorityClass" => json!({"value": 100, "globalDefault": true, "preemptionPolicy": "Never"}),
        "RuntimeClass" => json!({
            "handler": "kata", "overhead": {"podFixed": {"cpu": "250m", "memory": "120Mi"}},
            "scheduling": {"nodeSelector": {"kata": "true"}, "tolerations": [{"key": "kata", "operator": "Exists"}]},
        }),
        "StorageVersionMigration" => json!({
            "spec": {"resource": {"group": "apps", "resource": "deployments"}},
            "status": {"resourceVersion": "5", "conditions": [{"type": "Running", "status": "True", "reason": "R",
                "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }),
        _ => json!({}),
    }
}
