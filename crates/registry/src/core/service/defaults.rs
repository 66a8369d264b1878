//! Defaults of services.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::spec::{Facts, is_externally_accessible};
use crate::tree::{Read, Write};

const THREE_HOURS: i64 = 3 * 60 * 60;

/// Completes a service; addresses and node ports are the allocators' part.
pub(super) fn service(service: &mut Tree) {
    let Some(spec) = service.object_mut("spec") else { return };
    spec.default_text("type", "ClusterIP");
    session_affinity(spec);
    for port in spec.items_mut("ports") {
        self::port(port);
    }
    let facts = Facts::of(spec);
    if is_externally_accessible(spec) {
        spec.default_text("externalTrafficPolicy", "Cluster");
    }
    if facts.needs_cluster_ip {
        spec.default_text("internalTrafficPolicy", "Cluster");
    }
    if facts.is_load_balancer {
        spec.default_value("allocateLoadBalancerNodePorts", true);
    }
}

fn session_affinity(spec: &mut Tree) {
    spec.default_text("sessionAffinity", "None");
    match spec.text("sessionAffinity") {
        "None" => spec.remove("sessionAffinityConfig"),
        "ClientIP" => {
            if let Some(client) =
                spec.object_mut("sessionAffinityConfig").and_then(|config| config.object_mut("clientIP"))
            {
                client.default_value("timeoutSeconds", THREE_HOURS);
            }
        }
        _ => {}
    }
}

fn port(port: &mut Tree) {
    port.default_text("protocol", "TCP");
    let target = port.at("targetPort");
    if matches!(target.as_i64(), Some(0)) || matches!(target.as_str(), Some("")) || target.is_null() {
        let number = port.at("port").clone();
        port.set("targetPort", number);
    }
}

/// Says which IP families a service has, where its maker did not. IPv4 comes first unless an address says otherwise;
/// a headless service without a selector is for both, since nobody knows its endpoints.
pub(super) fn ip_families(spec: &mut Tree) {
    if !Facts::of(spec).needs_cluster_ip {
        return;
    }
    let from_addresses: Vec<&str> =
        spec.texts("clusterIPs").into_iter().filter(|ip| *ip != "None").map(family).collect();
    let both = spec.text("clusterIP") == "None" && spec.entries("selector").next().is_none();
    let default = match from_addresses.as_slice() {
        [] => vec!["IPv4"],
        families => families.to_vec(),
    };
    let policy = match default.len() {
        _ if both => "RequireDualStack",
        2 => "RequireDualStack",
        _ => "SingleStack",
    };
    if spec.items("ipFamilies").is_empty() {
        spec.set("ipFamilies", json!(default));
    }
    let given = spec.items("ipFamilies").len();
    let policy = if given == 2 && !spec.has("ipFamilyPolicy") { "RequireDualStack" } else { policy };
    spec.default_text("ipFamilyPolicy", policy);
    if both && given == 1 && spec.text("ipFamilyPolicy") != "SingleStack" {
        let first = spec.texts("ipFamilies")[0].to_owned();
        let other = if first == "IPv4" { "IPv6" } else { "IPv4" };
        spec.set("ipFamilies", json!([first, other]));
    }
}

fn family(ip: &str) -> &'static str {
    if ip.contains(':') { "IPv6" } else { "IPv4" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_service_is_completed_as_upstream_does() {
        let mut tree =
            json!({"spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": "dns"}]}});
        service(&mut tree);
        let want = json!({"spec": {
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 53, "protocol": "UDP", "targetPort": "dns"}],
        }});
        assert_eq!(tree, want);
    }

    #[test]
    fn the_type_decides_the_policies() {
        let completed = |spec: Tree| {
            let mut tree = json!({"spec": spec});
            service(&mut tree);
            tree["spec"].take()
        };
        let balancer = completed(json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP"}));
        assert_eq!(balancer["externalTrafficPolicy"], "Cluster");
        assert_eq!(balancer["allocateLoadBalancerNodePorts"], true);
        assert_eq!(balancer["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800);
        let named = completed(json!({"type": "ExternalName", "externalName": "example.com"}));
        assert!(!named.has("internalTrafficPolicy") && !named.has("externalTrafficPolicy"));
    }

    #[test]
    fn families_follow_addresses() {
        let cases = [
            (json!({"type": "ClusterIP"}), json!(["IPv4"]), "SingleStack"),
            (json!({"type": "ClusterIP", "clusterIPs": ["fd00::1"]}), json!(["IPv6"]), "SingleStack"),
            (
                json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}),
                json!(["IPv4"]),
                "SingleStack",
            ),
            (
                json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}),
                json!(["IPv4", "IPv6"]),
                "RequireDualStack",
            ),
        ];
        for (mut spec, families, policy) in cases {
            ip_families(&mut spec);
            assert_eq!((&spec["ipFamilies"], spec.text("ipFamilyPolicy")), (&families, policy));
        }
        let mut named = json!({"type": "ExternalName"});
        ip_families(&mut named);
        assert_eq!(named, json!({"type": "ExternalName"}));
    }
}
