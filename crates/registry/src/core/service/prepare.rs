//! What the server carries over when a service is updated. Clients leave out what was allocated for them (`kubectl
//! replace` of the original manifest) and change the type without clearing what only the old type had; both must
//! work.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::defaults::ip_families;
use super::spec::{Facts, is_externally_accessible};
use crate::rules::{count_generation, differs, keep_spec};
use crate::tree::{Read, Write, same};

/// A new service has no load balancer yet.
pub(super) fn create(service: &mut Tree) {
    service.set("status", json!({"loadBalancer": {}}));
    if let Some(spec) = service.object_mut("spec") {
        address_list(spec, None);
        ip_families(spec);
    }
}

/// Carries over what was allocated and drops what the new type does not have.
pub(super) fn update(new: &mut Tree, old: &Tree, subresource: Option<&str>) {
    if subresource == Some("status") {
        return keep_spec(new, old);
    }
    new.copy(old, "status");
    count_generation(new, old, false);
    let before = old.at("spec");
    if let Some(spec) = new.object_mut("spec") {
        keep_allocations(spec, before);
        address_list(spec, Some(before));
        drop_fields_of_old_type(spec, before);
        ip_families(spec);
    }
}

fn keep_allocations(spec: &mut Tree, before: &Tree) {
    let (now, then) = (Facts::of(spec), Facts::of(before));
    if now.needs_cluster_ip && then.needs_cluster_ip && spec.text("clusterIP").is_empty() {
        let list = spec.texts("clusterIPs");
        if list.is_empty() || list == before.texts("clusterIPs") {
            spec.copy(before, "clusterIP");
            spec.copy(before, "clusterIPs");
        }
    }
    if now.needs_node_ports && then.needs_node_ports {
        keep_node_ports(spec, before);
    }
    if now.needs_health_check_port && then.needs_health_check_port {
        let port = before.int("healthCheckNodePort").unwrap_or(0);
        spec.default_number("healthCheckNodePort", port);
    }
}

/// A port without node port gets the one that the same port had, unless another port took it.
fn keep_node_ports(spec: &mut Tree, before: &Tree) {
    let taken: Vec<i64> = spec.items("ports").iter().filter_map(|port| port.int("nodePort")).collect();
    for port in spec.items_mut("ports") {
        if port.int("nodePort").unwrap_or(0) != 0 {
            continue;
        }
        let same_port = |other: &&Tree| !differs(port, other, "port") && !differs(port, other, "protocol");
        let had = before.items("ports").iter().find(same_port).and_then(|port| port.int("nodePort"));
        if let Some(had) = had.filter(|had| *had != 0 && !taken.contains(had)) {
            port.set("nodePort", had);
        }
    }
}

/// `clusterIP` is the first of `clusterIPs`. Older clients know only the single one, so a change of it alone counts.
fn address_list(spec: &mut Tree, before: Option<&Tree>) {
    let single = spec.text("clusterIP").to_owned();
    let mut list: Vec<String> = spec.texts("clusterIPs").into_iter().map(str::to_owned).collect();
    let list_untouched = before.is_some_and(|before| same(spec.at("clusterIPs"), before.at("clusterIPs")));
    let single_changed = before.is_some_and(|before| before.text("clusterIP") != single);
    match (single.is_empty(), list.is_empty()) {
        (false, true) => list.push(single),
        (true, false) if single_changed && list_untouched => list.clear(),
        (false, false) if single_changed && list_untouched => list[0] = single,
        _ => return,
    }
    if list.is_empty() {
        spec.remove("clusterIPs");
    } else {
        spec.set("clusterIPs", list);
    }
}

/// What only the old type had goes, if the client left it as it was.
fn drop_fields_of_old_type(spec: &mut Tree, before: &Tree) {
    let (now, then) = (Facts::of(spec), Facts::of(before));
    let untouched = |spec: &Tree, field: &str| !differs(spec, before, field);
    let drop = |spec: &mut Tree, fields: &[&str]| fields.iter().for_each(|field| spec.remove(field));
    if then.needs_cluster_ip && !now.needs_cluster_ip && untouched(spec, "clusterIPs") {
        drop(spec, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if then.needs_node_ports && !now.needs_node_ports {
        drop_node_ports(spec, before);
    }
    if then.needs_health_check_port && !now.needs_health_check_port && untouched(spec, "healthCheckNodePort")
    {
        drop(spec, &["healthCheckNodePort"]);
    }
    if then.is_external_name && !now.is_external_name && untouched(spec, "externalName") {
        drop(spec, &["externalName"]);
    }
    let was_open = is_externally_accessible(before) && !is_externally_accessible(spec);
    if was_open && untouched(spec, "externalTrafficPolicy") {
        drop(spec, &["externalTrafficPolicy"]);
    }
    if then.is_load_balancer && !now.is_load_balancer {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if untouched(spec, field) {
                drop(spec, &[field]);
            }
        }
    }
    if then.needs_cluster_ip && !now.needs_cluster_ip && untouched(spec, "internalTrafficPolicy") {
        drop(spec, &["internalTrafficPolicy"]);
    }
}

fn drop_node_ports(spec: &mut Tree, before: &Tree) {
    let had: Vec<i64> = before.items("ports").iter().filter_map(|port| port.int("nodePort")).collect();
    for port in spec.items_mut("ports") {
        if port.int("nodePort").is_some_and(|port| had.contains(&port)) {
            port.remove("nodePort");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(spec: Tree) -> Tree {
        json!({"metadata": {"name": "s"}, "spec": spec, "status": {"loadBalancer": {}}})
    }

    #[test]
    fn updates_carry_allocations_over() {
        let old = stored(json!({
            "type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
            "externalTrafficPolicy": "Cluster",
        }));
        let mut new = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort",
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]}});
        update(&mut new, &old, None);
        assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.7"]));
        assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
        assert!(!new["spec"]["ports"][1].has("nodePort"));
        assert_eq!(new["status"], old["status"]);
    }

    #[test]
    fn a_change_of_type_drops_what_it_had() {
        let old = stored(json!({
            "type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}],
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
        }));
        let mut inside = old.clone();
        inside["spec"]["type"] = json!("ClusterIP");
        update(&mut inside, &old, None);
        assert!(!inside["spec"]["ports"][0].has("nodePort"));
        assert!(!inside["spec"].has("externalTrafficPolicy"));
        assert_eq!(inside["spec"]["clusterIP"], "10.96.0.7");
        let mut named = old.clone();
        named["spec"]["type"] = json!("ExternalName");
        named["spec"]["externalName"] = json!("example.com");
        update(&mut named, &old, None);
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            assert!(!named["spec"].has(field), "{field}");
        }
    }

    #[test]
    fn the_single_address_leads_the_list() {
        let mut new = json!({"spec": {"type": "ClusterIP", "clusterIP": "None", "selector": {"a": "b"}}});
        create(&mut new);
        assert_eq!(new["spec"]["clusterIPs"], json!(["None"]));
        assert_eq!(new["status"], json!({"loadBalancer": {}}));
    }
}
