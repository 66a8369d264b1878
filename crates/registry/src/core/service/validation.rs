//! Validation of services. Whether an address or node port is free is the allocators' part.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_labels;

use super::spec::{Facts, is_externally_accessible};
use crate::checks::{
    IMMUTABLE, Seen, ip, known_word, label, optional_word, ordinary_ip, port_number, port_number_or_name,
    qualified, required, required_word, subdomain,
};
use crate::rules::differs;
use crate::tree::Read;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const MAX_AFFINITY_SECONDS: i64 = 86400;

/// Checks a new service.
pub(super) fn create(service: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (service.at("spec"), Path::new("spec"));
    let headless = spec.text("clusterIP") == "None";
    if spec.items("ports").is_empty() && !headless && spec.text("type") != "ExternalName" {
        found.push(Error::required(path.child("ports"), ""));
    }
    by_type(&mut found, spec, headless, &path);
    ports(&mut found, spec, &path.child("ports"));
    found.extend(validate_labels(spec.get("selector"), &path.child("selector")));
    affinity(&mut found, spec, &path);
    addresses(&mut found, spec, &path);
    external_ips(&mut found, spec, &path.child("externalIPs"));
    required_word(&mut found, path.child("type"), spec.text("type"), &TYPES);
    port_pairs(&mut found, spec, &path.child("ports"));
    policies(&mut found, spec, &path);
    found
}

/// Checks a change: an address, once given, stays as long as the service has one.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let both = Facts::of(new.at("spec")).needs_cluster_ip && Facts::of(old.at("spec")).needs_cluster_ip;
    let (now, before) = (new.at("spec").texts("clusterIPs"), old.at("spec").texts("clusterIPs"));
    if both && !before.is_empty() {
        let (path, list) =
            (Path::new("spec").child("clusterIPs").index(0), new.at("spec.clusterIPs").clone());
        match now.first() {
            None => found.push(Error::invalid(path, list, "primary clusterIP can not be unset")),
            Some(first) if *first != before[0] => {
                found.push(Error::invalid(path, list, "may not change once set"));
            }
            Some(_) => {}
        }
    }
    let same_port = !differs(new, old, "spec.healthCheckNodePort");
    let facts = (Facts::of(new.at("spec")), Facts::of(old.at("spec")));
    if facts.0.needs_health_check_port && facts.1.needs_health_check_port && !same_port {
        found.push(Error::forbidden(Path::new("spec").child("healthCheckNodePort"), IMMUTABLE));
    }
    found.extend(create(new));
    found
}

fn by_type(found: &mut ErrorList, spec: &Tree, headless: bool, path: &Path) {
    let kind = spec.text("type");
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let why = format!("may not be set to 'None' for {kind} services");
        found.push(Error::invalid(path.child("clusterIPs").index(0), "None", why));
    }
    if kind != "ExternalName" {
        return;
    }
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if spec.has(field) && !crate::tree::same(spec.at(field), &Tree::Null) {
            found.push(Error::forbidden(path.child(field), "may not be set for ExternalName services"));
        }
    }
    let name = spec.text("externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if required(found, path.child("externalName"), name) {
        subdomain(found, &path.child("externalName"), name);
    }
}

fn ports(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let ports = spec.items("ports");
    let mut names = Seen::default();
    for (index, port) in ports.iter().enumerate() {
        let (name, path) = (port.text("name"), path.index(index));
        if !name.is_empty() {
            label(found, &path.child("name"), name);
            names.unique(found, path.child("name"), name);
        } else if ports.len() > 1 {
            found.push(Error::required(path.child("name"), ""));
        }
        port_number(found, &path.child("port"), port.int("port").unwrap_or(0));
        required_word(found, path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
        port_number_or_name(found, &path.child("targetPort"), port.at("targetPort"));
        if port.has("appProtocol") {
            qualified(found, &path.child("appProtocol"), port.text("appProtocol"));
        }
    }
}

/// What cannot occur twice: a protocol's port, and a protocol's node port.
fn port_pairs(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (mut ports, mut node_ports) = (Seen::default(), Seen::default());
    for (index, port) in spec.items("ports").iter().enumerate() {
        let path = path.index(index);
        let (protocol, number) = (port.text("protocol"), port.int("port").unwrap_or(0));
        if let Some(node_port) = port.int("nodePort").filter(|port| *port != 0) {
            if spec.text("type") == "ClusterIP" {
                let why = "may not be used when `type` is 'ClusterIP'";
                found.push(Error::forbidden(path.child("nodePort"), why));
            }
            if !node_ports.first(format!("{protocol}/{node_port}")) {
                found.push(Error::duplicate(path.child("nodePort"), node_port));
            }
        }
        if !ports.first(format!("{protocol}/{number}")) {
            // Upstream shows its internal struct.
            let shown = json!({
                "Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0,
            });
            found.push(Error::duplicate(path, shown));
        }
    }
}

fn affinity(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (kind, config) = (spec.text("sessionAffinity"), path.child("sessionAffinityConfig"));
    required_word(found, path.child("sessionAffinity"), kind, &["ClientIP", "None"]);
    match kind {
        "ClientIP" => {
            let at = config.child("clientIP").child("timeoutSeconds");
            match spec.int("sessionAffinityConfig.clientIP.timeoutSeconds") {
                None => found.push(Error::required(at, "when session affinity type is ClientIP")),
                Some(seconds) if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) => {
                    let why = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                    found.push(Error::invalid(at, seconds, why));
                }
                Some(_) => {}
            }
        }
        "None" if spec.has("sessionAffinityConfig") => {
            found.push(Error::forbidden(config, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn addresses(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (list, at) = (spec.texts("clusterIPs"), path.child("clusterIPs"));
    let shown = || spec.at("clusterIPs").clone();
    if list.len() > 2 {
        found.push(Error::invalid(at.clone(), shown(), "may only hold up to 2 values"));
    }
    if list.first().is_some_and(|first| *first != spec.text("clusterIP")) {
        found.push(Error::invalid(at.clone(), shown(), "first value must match `clusterIP`"));
    }
    if list.len() > 1 && list.contains(&"None") {
        found.push(Error::invalid(at.clone(), shown(), "'None' must be the first and only value"));
    }
    for (index, address) in list.iter().enumerate().filter(|(_, address)| **address != "None") {
        ip(found, &at.index(index), address);
    }
    let mut families = Seen::default();
    for (index, family) in spec.texts("ipFamilies").into_iter().enumerate() {
        let at = path.child("ipFamilies").index(index);
        known_word(found, at.clone(), family, &["IPv4", "IPv6"]);
        families.unique(found, at, family);
    }
    let policies = ["SingleStack", "PreferDualStack", "RequireDualStack"];
    optional_word(found, spec, path, "ipFamilyPolicy", &policies);
}

fn external_ips(found: &mut ErrorList, spec: &Tree, path: &Path) {
    for (index, address) in spec.texts("externalIPs").into_iter().enumerate() {
        if ip(found, &path.index(index), address).is_some() {
            ordinary_ip(found, &path.index(index), address);
        }
    }
}

fn policies(found: &mut ErrorList, spec: &Tree, path: &Path) {
    const POLICIES: [&str; 2] = ["Cluster", "Local"];
    let (policy, at) = (spec.text("externalTrafficPolicy"), path.child("externalTrafficPolicy"));
    match (is_externally_accessible(spec), policy) {
        (false, "") => {}
        (false, _) => {
            let why = "may only be set for externally-accessible services";
            found.push(Error::invalid(at, policy, why));
        }
        (true, _) => required_word(found, at, policy, &POLICIES),
    }
    let facts = Facts::of(spec);
    if facts.needs_cluster_ip {
        let at = path.child("internalTrafficPolicy");
        required_word(found, at, spec.text("internalTrafficPolicy"), &POLICIES);
    }
    if let Some(port) = spec.int("healthCheckNodePort").filter(|port| *port != 0) {
        let at = path.child("healthCheckNodePort");
        if facts.needs_health_check_port {
            port_number(found, &at, port);
        } else {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            found.push(Error::invalid(at, port, why));
        }
    }
    let near = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    optional_word(found, spec, path, "trafficDistribution", &near);
    if !facts.is_load_balancer {
        let fields = [
            (!spec.items("loadBalancerSourceRanges").is_empty(), "LoadBalancerSourceRanges"),
            (spec.has("allocateLoadBalancerNodePorts"), "allocateLoadBalancerNodePorts"),
            (spec.has("loadBalancerClass"), "loadBalancerClass"),
        ];
        for (_, field) in fields.into_iter().filter(|(given, _)| *given) {
            let why = "may only be used when `type` is 'LoadBalancer'";
            found.push(Error::forbidden(path.child(field), why));
        }
    }
}

/// Warnings of a service.
pub(super) fn warnings(service: &Tree) -> Vec<String> {
    let spec = service.at("spec");
    if spec.text("clusterIP") == "None" && spec.text("sessionAffinity") == "ClientIP" {
        return vec!["spec.SessionAffinity is ignored for headless services".to_owned()];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::texts;
    use crate::core::service::{defaults, prepare};

    fn service(spec: Value) -> Value {
        let mut tree = json!({"spec": spec});
        defaults::service(&mut tree);
        prepare::create(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let port = json!([{"port": 80}]);
        let cases = [
            (json!({"ports": port}), vec![]),
            (json!({}), vec!["spec.ports: Required value"]),
            (json!({"clusterIP": "None"}), vec![]),
            (
                json!({"ports": [{"port": 0}]}),
                vec![
                    "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                ],
            ),
            (
                json!({"ports": [{"port": 80}, {"port": 81}]}),
                vec!["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
            ),
            (
                json!({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}),
                vec!["spec.ports[1].name: Duplicate value: \"a\""],
            ),
            (
                json!({"type": "Magic", "ports": port}),
                vec![
                    "spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
                ],
            ),
            (json!({"type": "ExternalName"}), vec!["spec.externalName: Required value"]),
            (
                json!({"type": "NodePort", "clusterIP": "None", "ports": port}),
                vec![
                    "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
                ],
            ),
            (
                json!({"ports": [{"port": 80, "nodePort": 30080}]}),
                vec!["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
            ),
            (
                json!({"clusterIP": "nonsense", "ports": port}),
                vec![
                    "spec.clusterIPs[0]: Invalid value: \"nonsense\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                json!({"ports": port, "externalTrafficPolicy": "Local"}),
                vec![
                    "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
                ],
            ),
            (
                json!({"type": "NodePort", "ports": [{"name": "a", "port": 1, "nodePort": 30001}, {"name": "b", "port": 2, "nodePort": 30001}]}),
                vec!["spec.ports[1].nodePort: Duplicate value: 30001"],
            ),
            (
                json!({"ports": port, "sessionAffinity": "Sticky"}),
                vec![
                    "spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\"",
                ],
            ),
        ];
        for (spec, want) in cases {
            assert_eq!(texts(&create(&service(spec.clone()))), want, "{spec}");
        }
    }

    #[test]
    fn the_address_stays() {
        let old = service(json!({"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}));
        let new = service(json!({"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}));
        let want = "spec.clusterIPs[0]: Invalid value: [\"10.96.0.2\"]: may not change once set";
        assert_eq!(texts(&update(&new, &old)), [want]);
    }
}
