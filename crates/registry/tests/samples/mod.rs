//! One object of each kind that uses as many of its fields as it can.

mod admissionregistration;
mod certificates;
mod devices;
mod extensions;
mod flowcontrol;
mod networking;
mod storage;

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str, group: &str) -> Value {
    let mut object = match (kind, group) {
        ("Pod", _) => json!({"spec": pod_spec(), "status": {"phase": "Running", "podIP": "10.0.0.3"}}),
        ("Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController", _) => {
            workload(kind)
        }
        ("Job", _) => {
            json!({"spec": job_spec(), "status": {"active": 1, "startTime": "2026-01-01T00:00:00Z"}})
        }
        ("CronJob", _) => json!({
            "spec": {"schedule": "*/5 * * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": job_spec()}},
            "status": {"active": [{"kind": "Job", "name": "j"}], "lastScheduleTime": "2026-01-01T00:00:00Z"},
        }),
        ("PodTemplate", _) => json!({"template": workload(kind)["spec"]["template"]}),
        ("ControllerRevision", _) => {
            json!({"revision": 3, "data": {"spec": {"template": {"$patch": "replace"}}}})
        }
        ("Service", _) => service(),
        ("Node", _) => node(),
        ("Event", "") => json!({
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "fieldPath": "spec.containers{a}"},
            "reason": "Started", "message": "Started container", "type": "Normal", "count": 2,
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:01:00Z",
        }),
        ("Event", _) => json!({
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "Scheduled",
            "note": "assigned", "type": "Normal", "action": "Binding", "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "default-scheduler", "reportingInstance": "default-scheduler-n1",
        }),
        ("ConfigMap", _) => json!({"data": {"a.conf": "x"}, "binaryData": {"b": "AAE="}}),
        ("Secret", _) => json!({"type": "Opaque", "data": {"a": "eA=="}, "stringData": {"b": "y"}}),
        ("ServiceAccount", _) => json!({"secrets": [{"name": "s"}], "imagePullSecrets": [{"name": "pull"}]}),
        ("Lease", _) => json!({"spec": {
            "holderIdentity": "n1", "leaseDurationSeconds": 40, "leaseTransitions": 1,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z",
        }}),
        ("Endpoints", _) => json!({"subsets": [{
            "addresses": [{"ip": "10.0.0.1", "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "p"}}],
            "notReadyAddresses": [{"ip": "10.0.0.2", "hostname": "web-1"}],
            "ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        }]}),
        ("EndpointSlice", _) => json!({
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "nodeName": "n1", "zone": "z",
                "hostname": "web-1", "hints": {"forZones": [{"name": "z"}]}}],
            "ports": [{"name": "http", "port": 80, "appProtocol": "http"}],
        }),
        ("Role" | "ClusterRole", _) => json!({"rules": [
            {"apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"], "verbs": ["get", "list"],
                "resourceNames": ["a"]},
        ]}),
        ("RoleBinding" | "ClusterRoleBinding", _) => json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": "jane"}, {"kind": "Group", "name": "ops"},
                {"kind": "ServiceAccount", "name": "builder", "namespace": "default"}],
        }),
        (_, "admissionregistration.k8s.io") => admissionregistration::of(kind),
        (_, "apiextensions.k8s.io" | "apiregistration.k8s.io") => extensions::of(kind),
        (_, "certificates.k8s.io") => certificates::of(kind),
        (_, "flowcontrol.apiserver.k8s.io") => flowcontrol::of(kind),
        (_, "resource.k8s.io") => devices::of(kind),
        (_, "networking.k8s.io") => networking::of(kind),
        // Of both versions.
        ("HorizontalPodAutoscaler", _) => autoscaler(),
        ("PodDisruptionBudget", _) => json!({
            "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "sample"}},
                "unhealthyPodEvictionPolicy": "AlwaysAllow"},
            "status": {"disruptionsAllowed": 1},
        }),
        ("Binding", _) => json!({"target": {"kind": "Node", "name": "n1"}}),
        _ => storage::of(kind),
    };
    // Some names follow from the spec.
    let name = object.pointer("/metadata/name").cloned().unwrap_or_else(|| json!("sample"));
    let annotations = object["metadata"]["annotations"].take();
    object["metadata"] = json!({
        "name": name, "namespace": "default", "uid": "6f1d", "resourceVersion": "5",
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "sample"},
    });
    if !annotations.is_null() {
        object["metadata"]["annotations"] = annotations;
    }
    object
}

fn workload(kind: &str) -> Value {
    let mut template = pod_spec();
    for field in ["nodeName", "schedulingGates", "ephemeralContainers", "activeDeadlineSeconds"] {
        template.as_object_mut().expect("a map").remove(field);
    }
    let mut object = json!({
        "spec": {
            "replicas": 3, "minReadySeconds": 5,
            "selector": {"matchLabels": {"app": "sample"},
                "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]},
            "template": {"metadata": {"labels": {"app": "sample"}}, "spec": template},
        },
        "status": {"replicas": 2},
    });
    match kind {
        "Deployment" => {
            object["spec"]["strategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}});
            object["spec"]["revisionHistoryLimit"] = json!(4);
        }
        "StatefulSet" => {
            object["spec"]["updateStrategy"] =
                json!({"rollingUpdate": {"partition": 2}, "type": "RollingUpdate"});
            object["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "claim"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
            object["spec"]["ordinals"] = json!({"start": 1});
            object["spec"]["serviceName"] = json!("web");
        }
        "DaemonSet" => {
            object["spec"].as_object_mut().expect("a map").remove("replicas");
            object["spec"]["updateStrategy"] =
                json!({"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": 0}});
            object["status"] = json!({"numberReady": 1});
        }
        "ReplicationController" => object["spec"]["selector"] = json!({"app": "sample"}),
        _ => {}
    }
    object
}

fn job_spec() -> Value {
    let mut template = workload("Job")["spec"]["template"].clone();
    template["spec"]["restartPolicy"] = json!("Never");
    json!({
        "completionMode": "Indexed", "completions": 5, "parallelism": 5, "backoffLimitPerIndex": 1,
        "maxFailedIndexes": 2, "activeDeadlineSeconds": 600, "ttlSecondsAfterFinished": 60,
        "managedBy": "kubernetes.io/job-controller",
        "podFailurePolicy": {"rules": [
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [1, 2], "containerName": "main"}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
        "successPolicy": {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 2}]},
        "template": template,
    })
}

fn autoscaler() -> Value {
    json!({
        "metadata": {"annotations": {
            "autoscaling.alpha.kubernetes.io/metrics":
                "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"m\",\"targetAverageValue\":\"1\"}}]",
            "autoscaling.alpha.kubernetes.io/behavior":
                "{\"ScaleUp\":{\"Policies\":[{\"Type\":\"Pods\",\"Value\":1,\"PeriodSeconds\":60}]}}",
        }},
        "spec": {
            "minReplicas": 1, "maxReplicas": 9, "targetCPUUtilizationPercentage": 70,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "metrics": [
                {"type": "External", "external": {"metric": {"name": "e", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "Value", "value": "1"}}},
                {"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 60}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "tolerance": "0.1"}},
        },
        "status": {
            "currentReplicas": 1, "desiredReplicas": 2,
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "1"}}}],
            "conditions": [{"type": "AbleToScale", "status": "True"}],
        },
    })
}

fn service() -> Value {
    json!({
        "spec": {
            "type": "NodePort", "clusterIP": "10.96.0.7", "selector": {"app": "sample"},
            "sessionAffinity": "ClientIP", "externalIPs": ["192.0.2.1"],
            "ports": [{"name": "http", "port": 80, "nodePort": 30080, "targetPort": "web"},
                {"name": "dns", "port": 53, "protocol": "UDP", "appProtocol": "example.com/dns"}],
        },
        "status": {"loadBalancer": {}},
    })
}

fn node() -> Value {
    json!({
        "spec": {"podCIDR": "10.42.0.0/24", "providerID": "steersman://n1",
            "taints": [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0"},
        },
    })
}

fn pod_spec() -> Value {
    json!({
        "nodeName": "n1", "hostname": "web", "subdomain": "sub", "terminationGracePeriodSeconds": 20,
        "activeDeadlineSeconds": 600, "serviceAccountName": "builder", "priority": 0,
        "nodeSelector": {"disk": "ssd"},
        "affinity": affinity(),
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "x", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "sample"}}}],
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db.local"]}],
        "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["example.com"], "options": [{"name": "ndots"}]},
        "imagePullSecrets": [{"name": "pull"}],
        "readinessGates": [{"conditionType": "example.com/ready"}],
        "securityContext": {"runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": [1, 2],
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {"name": "setup", "image": "busybox:1", "command": ["true"]},
            {"name": "proxy", "image": "envoy:1", "restartPolicy": "Always",
                "startupProbe": {"tcpSocket": {"port": 9000}}},
        ],
        "containers": [container(), {"name": "second", "image": "registry.local:5000/app@sha256:ab"}],
        "ephemeralContainers": [{"name": "debug", "image": "busybox", "targetContainerName": "main"}],
        "volumes": volumes(),
    })
}

fn container() -> Value {
    json!({
        "name": "main", "image": "nginx", "args": ["-c", "$(HOME)"], "workingDir": "/srv",
        "ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 53, "protocol": "UDP", "hostPort": 53}],
        "env": [
            {"name": "HOME", "value": "/srv"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "main"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "mode", "optional": true}}},
        ],
        "envFrom": [{"prefix": "C_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "100m"}},
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/conf", "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp", "subPath": "a"}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": "web", "httpHeaders": [{"name": "X-A", "value": "b"}]},
            "initialDelaySeconds": 3},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5},
        "startupProbe": {"grpc": {"port": 8080}},
        "lifecycle": {"postStart": {"exec": {"command": ["true"]}},
            "preStop": {"httpGet": {"path": "/stop", "port": 8080}}},
        "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}},
    })
}

fn volumes() -> Value {
    json!([
        {"name": "conf", "configMap": {"name": "c", "items": [{"key": "a", "path": "b/c", "mode": 256}]}},
        {"name": "secret", "secret": {"secretName": "s", "optional": true}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": "/var/lib/x", "type": "DirectoryOrCreate"}},
        {"name": "info", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}}]}},
        {"name": "all", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "plain"},
    ])
}

fn affinity() -> Value {
    let term =
        json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "sample"}}});
    json!({
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]},
                    {"key": "cores", "operator": "Gt", "values": ["4"]}],
                 "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n9"]}]}]},
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "preference": {"matchExpressions": [{"key": "new", "operator": "Exists"}]}}],
        },
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]},
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
    })
}
