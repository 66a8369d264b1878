//! Variables that tell a container where services are, in the form that Docker links had.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// Variables of all services a pod of `namespace` sees: its own namespace's when `links` is set, and always the
/// API server's.
pub fn variables<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut own = Vec::new();
    for service in services {
        let place = service.metadata.namespace.as_deref().unwrap_or_default();
        let name = service.metadata.name.as_deref().unwrap_or_default();
        if place == namespace && links {
            own.push(service);
        } else if place == "default" && name == "kubernetes" {
            variables.extend(of_service(service));
        }
    }
    // A service of the same name in the pod's namespace wins.
    for service in own {
        variables.extend(of_service(service));
    }
    variables
}

fn of_service(service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    if ip.is_empty() || ip == "None" {
        return Vec::new();
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return Vec::new() };
    let prefix = variable_name(service.metadata.name.as_deref().unwrap_or_default());
    let mut variables = vec![
        (format!("{prefix}_SERVICE_HOST"), ip.to_owned()),
        (format!("{prefix}_SERVICE_PORT"), first.port.to_string()),
        (format!("{prefix}_PORT"), url(ip, first)),
    ];
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
        }
        let own = format!("{prefix}_PORT_{}_{}", port.port, protocol(port));
        variables.push((own.clone(), url(ip, port)));
        variables.push((format!("{own}_PROTO"), protocol(port).to_lowercase()));
        variables.push((format!("{own}_PORT"), port.port.to_string()));
        variables.push((format!("{own}_ADDR"), ip.to_owned()));
    }
    variables
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn url(ip: &str, port: &ServicePort) -> String {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port)
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str, ip: &str) -> Service {
        serde_json::from_value(json!({ "metadata": { "name": name, "namespace": namespace },
            "spec": { "clusterIP": ip, "ports": [{ "name": "web-ui", "port": 80 }, { "port": 53, "protocol": "UDP" }] } }))
        .unwrap()
    }

    #[test]
    fn a_pod_sees_its_namespace_and_the_api_server() {
        let services = [
            service("default", "kubernetes", "10.96.0.1"),
            service("ns", "my-db", "10.96.0.5"),
            service("ns", "headless", "None"),
            service("other", "far", "10.96.0.6"),
        ];
        let with_links = variables(&services, "ns", true);
        let without = variables(&services, "ns", false);
        assert!(without.keys().all(|name| name.starts_with("KUBERNETES_")));
        let cases = [
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("MY_DB_SERVICE_HOST", "10.96.0.5"),
            ("MY_DB_SERVICE_PORT", "80"),
            ("MY_DB_SERVICE_PORT_WEB_UI", "80"),
            ("MY_DB_PORT", "tcp://10.96.0.5:80"),
            ("MY_DB_PORT_53_UDP", "udp://10.96.0.5:53"),
            ("MY_DB_PORT_53_UDP_PROTO", "udp"),
            ("MY_DB_PORT_53_UDP_PORT", "53"),
            ("MY_DB_PORT_53_UDP_ADDR", "10.96.0.5"),
        ];
        for (name, want) in cases {
            assert_eq!(with_links.get(name).map(String::as_str), Some(want), "{name}");
        }
        assert!(!with_links.keys().any(|name| name.starts_with("FAR") || name.starts_with("HEADLESS")));
    }
}
