//! What DNS says about one Service: made from the Service and its EndpointSlices, never changed afterwards.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::Name;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as WireEndpoint, EndpointPort, EndpointSlice};
use steersman_controller_runtime::ObjectKey;

use crate::zone::Zone;

/// A Service as DNS sees it.
#[derive(Debug)]
pub(crate) struct ServiceRecords {
    /// `web.default.svc.cluster.local.`
    pub name: Name,
    pub target: Target,
    /// The ready endpoints; those of a Service with a cluster address can be asked for by name.
    pub endpoints: Vec<Endpoint>,
}

/// What the Service's own name leads to.
#[derive(Debug)]
pub(crate) enum Target {
    /// Its addresses, one a family.
    Cluster { addresses: Vec<IpAddr>, ports: Vec<Port> },
    /// All its endpoints.
    Headless,
    /// Another name. `None` where the Service gives what is no name, such as an address.
    External(Option<Name>),
}

/// A port; name and protocol in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    pub protocol: String,
    pub number: u16,
}

/// One address behind a Service.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The pod's host name where it has one and a subdomain, else the address with dashes.
    pub host: String,
    /// `host` under the Service's name.
    pub name: Name,
    pub address: IpAddr,
    pub ports: Arc<[Port]>,
}

impl ServiceRecords {
    /// The records of a Service; `None` if its key cannot be a DNS name.
    pub fn build(
        zone: &Zone,
        key: &ObjectKey,
        service: &Service,
        slices: &[Arc<EndpointSlice>],
    ) -> Option<Self> {
        let name = zone.child(&[&key.name, &key.namespace, "svc"])?;
        let target = service.spec.as_ref().map_or(Target::Headless, target);
        let endpoints = match target {
            Target::External(_) => Vec::new(),
            Target::Cluster { .. } | Target::Headless => endpoints(&name, slices),
        };
        Some(Self { name, target, endpoints })
    }
}

fn target(spec: &ServiceSpec) -> Target {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Target::External(spec.external_name.as_deref().and_then(external_name));
    }
    if spec.cluster_ip.as_deref() == Some("None") {
        return Target::Headless;
    }
    let addresses = match &spec.cluster_ips {
        Some(addresses) => addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        None => spec.cluster_ip.iter().filter_map(|address| address.parse().ok()).collect(),
    };
    Target::Cluster { addresses, ports: spec.ports.iter().flatten().filter_map(service_port).collect() }
}

fn external_name(text: &str) -> Option<Name> {
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut name = Name::from_str_relaxed(text).ok()?;
    name.set_fqdn(true);
    (!name.is_root()).then_some(name)
}

fn service_port(port: &ServicePort) -> Option<Port> {
    Some(Port {
        name: port.name.as_deref().unwrap_or_default().to_ascii_lowercase(),
        protocol: protocol(port.protocol.as_deref()),
        number: u16::try_from(port.port).ok()?,
    })
}

fn endpoint_port(port: &EndpointPort) -> Option<Port> {
    Some(Port {
        name: port.name.as_deref().unwrap_or_default().to_ascii_lowercase(),
        protocol: protocol(port.protocol.as_deref()),
        number: u16::try_from(port.port?).ok()?,
    })
}

fn protocol(protocol: Option<&str>) -> String {
    protocol.unwrap_or("TCP").to_ascii_lowercase()
}

fn endpoints(service: &Name, slices: &[Arc<EndpointSlice>]) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for slice in slices {
        let ports: Arc<[Port]> = slice.ports.iter().flatten().filter_map(endpoint_port).collect();
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint)) {
            endpoints.extend(addresses_of(service, endpoint, &ports));
        }
    }
    endpoints
}

/// Unknown counts as ready. The controller says ready for every endpoint of a Service that publishes not-ready ones.
fn is_ready(endpoint: &WireEndpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn addresses_of(
    service: &Name,
    endpoint: &WireEndpoint,
    ports: &Arc<[Port]>,
) -> impl Iterator<Item = Endpoint> {
    endpoint.addresses.iter().filter_map(|text| {
        let address: IpAddr = text.parse().ok()?;
        let host = match endpoint.hostname.as_deref() {
            Some(host) if !host.is_empty() => host.to_ascii_lowercase(),
            _ => dashed(address),
        };
        let label = Name::from_labels([host.as_bytes()]).ok()?;
        let name = label.append_domain(service).ok()?;
        Some(Endpoint { host, name, address, ports: ports.clone() })
    })
}

/// `10.0.0.1` as `10-0-0-1`.
pub(crate) fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

/// The address that a pod's name means: the reverse of [`dashed`].
pub(crate) fn undashed(label: &str) -> Option<IpAddr> {
    let is_v4 = label.matches('-').count() == 3 && !label.contains("--");
    label.replace('-', if is_v4 { "." } else { ":" }).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_labels() {
        for (address, label) in [("10.0.0.1", "10-0-0-1"), ("fd00::1:2", "fd00--1-2"), ("::1", "--1")] {
            let address: IpAddr = address.parse().expect("valid");
            assert_eq!(dashed(address), label);
            assert_eq!(undashed(label), Some(address));
        }
        for label in ["", "web", "10-0-0", "10-0-0-256", "1-2-3-4-5"] {
            assert_eq!(undashed(label), None, "{label}");
        }
    }
}
