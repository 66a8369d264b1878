//! What the type of a service says about its fields.

use steersman_apimachinery::Tree;

use crate::tree::Read;

/// Which allocations a spec asks for.
pub(super) struct Facts {
    pub is_load_balancer: bool,
    pub is_external_name: bool,
    pub needs_cluster_ip: bool,
    pub needs_node_ports: bool,
    pub needs_health_check_port: bool,
}

impl Facts {
    pub(super) fn of(spec: &Tree) -> Self {
        let kind = spec.text("type");
        let is_load_balancer = kind == "LoadBalancer";
        let no_ports = spec.at("allocateLoadBalancerNodePorts").as_bool() == Some(false);
        Self {
            is_load_balancer,
            is_external_name: kind == "ExternalName",
            needs_cluster_ip: matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer"),
            needs_node_ports: kind == "NodePort" || (is_load_balancer && !no_ports),
            needs_health_check_port: is_load_balancer && spec.text("externalTrafficPolicy") == "Local",
        }
    }
}

/// Whether traffic from outside can reach the service.
pub(super) fn is_externally_accessible(spec: &Tree) -> bool {
    match spec.text("type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !spec.items("externalIPs").is_empty(),
        _ => false,
    }
}
