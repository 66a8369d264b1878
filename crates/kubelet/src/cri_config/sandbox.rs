//! The configuration of a pod's sandbox.

use k8s_openapi::api::core::v1::Pod;
use steersman_cri::{
    DnsConfig, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol,
};

use super::{copied, pod_labels, security};
use crate::pod::PodExt;
use crate::resources;

/// What the node adds to the specification.
#[derive(Debug, Clone)]
pub struct NodeFacts<'a> {
    /// Directory of the logs of all pods.
    pub logs_root: &'a str,
    /// Root of the cgroups that pods are put below.
    pub cgroup_root: &'a str,
    /// Directory of seccomp profiles.
    pub seccomp_root: &'a str,
}

/// Directory of a pod's logs.
pub fn log_directory(logs_root: &str, pod: &Pod) -> String {
    format!("{logs_root}/{}_{}_{}", pod.namespace(), pod.name(), pod.uid())
}

/// The configuration of the sandbox with this attempt number.
pub fn sandbox_config(
    pod: &Pod,
    attempt: u32,
    hostname: &str,
    dns: DnsConfig,
    node: &NodeFacts<'_>,
) -> PodSandboxConfig {
    let mut labels = copied(pod.metadata.labels.as_ref());
    labels.extend(pod_labels(pod));
    let mut annotations = copied(pod.metadata.annotations.as_ref());
    annotations.insert("kubernetes.io/config.source".to_owned(), "api".to_owned());
    let of_pod = pod.spec().security_context.clone().unwrap_or_default();
    let amounts = resources::pod_amounts(pod.spec());
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            namespace: pod.namespace().to_owned(),
            attempt,
        }),
        hostname: if pod.host_network() { String::new() } else { hostname.to_owned() },
        log_directory: log_directory(node.logs_root, pod),
        dns_config: Some(dns),
        port_mappings: if pod.host_network() { Vec::new() } else { port_mappings(pod) },
        labels,
        annotations,
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: resources::cgroup_parent(node.cgroup_root, pod),
            security_context: Some(security::sandbox_security(pod, node.seccomp_root)),
            sysctls: of_pod.sysctls.into_iter().flatten().map(|sysctl| (sysctl.name, sysctl.value)).collect(),
            overhead: None,
            resources: Some(amounts.to_cri()),
        }),
    }
}

/// Ports of the node that lead to the pod.
fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    let containers = pod.every_container();
    let ports = containers.iter().flat_map(|(_, container)| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let host_port = port.host_port.filter(|port| *port > 0)?;
            let protocol = match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            };
            Some(PortMapping {
                protocol: protocol as i32,
                container_port: port.container_port,
                host_port,
                host_ip: port.host_ip.clone().unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn a_sandbox_is_found_again_by_its_labels() {
        let mut p = pod(json!({ "containers": [{ "name": "a", "ports": [
            { "containerPort": 80 }, { "containerPort": 53, "hostPort": 5353, "protocol": "UDP" }] }],
            "securityContext": { "sysctls": [{ "name": "net.core.somaxconn", "value": "9" }] } }));
        p.metadata.labels = Some([("app".to_owned(), "x".to_owned())].into());
        let node = NodeFacts { logs_root: "/logs", cgroup_root: "/", seccomp_root: "/s" };
        let config = sandbox_config(&p, 2, "p", DnsConfig::default(), &node);
        assert_eq!(config.metadata.as_ref().unwrap().attempt, 2);
        assert_eq!(config.log_directory, "/logs/ns_p_u1");
        assert_eq!(config.labels["io.kubernetes.pod.uid"], "u1");
        assert_eq!(config.labels["app"], "x");
        assert_eq!(config.port_mappings.len(), 1);
        assert_eq!(config.port_mappings[0].host_port, 5353);
        let linux = config.linux.unwrap();
        assert_eq!(linux.cgroup_parent, "/kubepods/besteffort/podu1");
        assert_eq!(linux.sysctls["net.core.somaxconn"], "9");
    }
}
