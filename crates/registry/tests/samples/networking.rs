//! Samples of the group `networking.k8s.io`.

use serde_json::{Value, json};

/// The sample of a kind.
pub fn of(kind: &str) -> Value {
    match kind {
        "Ingress" => ingress(),
        "IngressClass" => json!({"spec": {"controller": "example.com/ingress", "parameters":
            {"apiGroup": "example.com", "kind": "Parameters", "name": "p", "scope": "Namespace", "namespace": "default"}}}),
        "IPAddress" => {
            json!({"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "a"}}})
        }
        "NetworkPolicy" => network_policy(),
        "ServiceCIDR" => {
            json!({"spec": {"cidrs": ["10.96.0.0/12", "fd00::/108"]}, "status": {"conditions": []}})
        }
        _ => json!({}),
    }
}

fn ingress() -> Value {
    let service = json!({"service": {"name": "web", "port": {"name": "http"}}});
    json!({
        "spec": {
            "ingressClassName": "nginx", "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
            "tls": [{"hosts": ["example.com", "*.example.com"], "secretName": "cert"}],
            "rules": [
                {"host": "example.com", "http": {"paths": [
                    {"path": "/a", "pathType": "Prefix", "backend": service},
                    {"path": "/b", "pathType": "ImplementationSpecific",
                        "backend": {"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "b"}}},
                ]}},
                {"host": "*.example.com"},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ports": [{"port": 80, "protocol": "TCP"}]}]}},
    })
}

fn network_policy() -> Value {
    json!({"spec": {
        "podSelector": {"matchLabels": {"app": "sample"}},
        "ingress": [{"ports": [{"port": 80, "endPort": 90}, {"port": "dns", "protocol": "UDP"}], "from": [
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                "namespaceSelector": {}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ]}],
        "egress": [{"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}],
        "policyTypes": ["Ingress", "Egress"],
    }})
}
