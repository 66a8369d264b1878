//! What `kubectl get services` prints.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;

use crate::Column;
use crate::print::{AGE, NAME, labels, or, text};
use crate::tree::Read;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    text("Type", 0, "How the service is exposed.", |service, _| service.text("spec.type").into()),
    text("Cluster-IP", 0, "Address inside the cluster.", |service, _| {
        let first = service.texts("spec.clusterIPs").first().copied().unwrap_or_default();
        or(or(first, service.text("spec.clusterIP")), "<none>").into()
    }),
    text("External-IP", 0, "Addresses outside the cluster.", |service, _| external_ip(service).into()),
    text("Port(s)", 0, "Ports, with their node ports.", |service, _| ports(service).into()),
    AGE,
    text("Selector", 1, "Labels of the pods behind the service.", |service, _| {
        labels(service, "spec.selector").into()
    }),
];

fn external_ip(service: &Tree) -> String {
    let own = service.texts("spec.externalIPs");
    match service.text("spec.type") {
        "ClusterIP" | "NodePort" => or(&own.join(","), "<none>").to_owned(),
        "LoadBalancer" => {
            let mut all: Vec<&str> = balancer_addresses(service).into_iter().collect();
            all.extend(own);
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => service.text("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn balancer_addresses(service: &Tree) -> BTreeSet<&str> {
    let ingress = service.items("status.loadBalancer.ingress").iter();
    ingress.map(|i| or(i.text("ip"), i.text("hostname"))).filter(|address| !address.is_empty()).collect()
}

fn ports(service: &Tree) -> String {
    let ports: Vec<String> = service
        .items("spec.ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (port.int("port").unwrap_or(0), port.text("protocol"));
            match port.int("nodePort") {
                Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })
        .collect();
    or(&ports.join(","), "<none>").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn services_print_as_upstream() {
        let service = |spec: Value, status: Value| {
            json!({"metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec,
                "status": status})
        };
        let port =
            json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}]);
        let cases = [
            (
                service(
                    json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": port,
                        "selector": {"b": "2", "a": "1"}}),
                    json!({}),
                ),
                "s|ClusterIP|10.96.0.9|<none>|80/TCP,53:30053/UDP|5m|a=1,b=2",
            ),
            (
                service(json!({"type": "ExternalName", "externalName": "example.com"}), json!({})),
                "s|ExternalName|<none>|example.com|<none>|5m|<none>",
            ),
            (
                service(json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"]}), json!({})),
                "s|LoadBalancer|10.96.0.9|<pending>|<none>|5m|<none>",
            ),
            (
                service(
                    json!({"type": "LoadBalancer", "clusterIPs": ["10.96.0.9"], "externalIPs": ["1.2.3.4"]}),
                    json!({"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "a.example"}]}}),
                ),
                "s|LoadBalancer|10.96.0.9|9.9.9.9,a.example,1.2.3.4|<none>|5m|<none>",
            ),
        ];
        for (service, want) in cases {
            assert_eq!(row(COLUMNS, &service, "2026-01-01T00:05:00Z"), want);
        }
    }
}
