//! Which UDP flows lead to endpoints that are gone. Pure.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use steersman_network::UdpFlow;

use crate::endpoints::Endpoint;
use crate::model::ServicePort;

const UDP: u8 = 17;

/// Where UDP services are reached, and who answers there.
///
/// A flow under way stays with its endpoint as long as that one serves, whatever the traffic policies: UDP fares as TCP
/// does. A service of which nothing serves keeps its flows to the endpoints that it still has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpFrontends(HashMap<SocketAddrV4, Vec<SocketAddrV4>>);

impl UdpFrontends {
    /// Those of `ports` on a node with this address.
    pub fn of<'a>(ports: impl IntoIterator<Item = &'a ServicePort>, node: Ipv4Addr) -> Self {
        let mut frontends = HashMap::new();
        for port in ports.into_iter().filter(|port| port.protocol == UDP) {
            let answering = answering(port);
            let addresses = port.cluster_ips.iter().chain(&port.external_ips).chain(&port.balancer_ips);
            let at_port = addresses.map(|address| SocketAddrV4::new(*address, port.port));
            let at_node = port.node_port.map(|number| SocketAddrV4::new(node, number));
            frontends.extend(at_port.chain(at_node).map(|frontend| (frontend, answering.clone())));
        }
        Self(frontends)
    }

    /// Those of `new` whose endpoints are not those of `old`.
    pub fn changed(old: &[ServicePort], new: &[ServicePort], node: Ipv4Addr) -> Self {
        let same = |port: &&ServicePort| {
            let known = old.iter().find(|known| known.name == port.name && known.protocol == port.protocol);
            known.is_some_and(|known| answering(known) == answering(port))
        };
        Self::of(new.iter().filter(|port| !same(port)), node)
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the flow must be forgotten: it goes to one of these, and whoever it leads to does not answer for it.
    pub fn is_stale(&self, flow: &UdpFlow) -> bool {
        self.0.get(&flow.destination).is_some_and(|answering| !answering.contains(&flow.responder))
    }
}

fn answering(port: &ServicePort) -> Vec<SocketAddrV4> {
    let end = |endpoint: &Endpoint| SocketAddrV4::new(endpoint.address, endpoint.port);
    port.endpoints.answering.iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::Endpoints;

    const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn dns(protocol: u8, pods: &[u8]) -> ServicePort {
        let endpoint = |n: &u8| Endpoint { address: Ipv4Addr::new(10, 0, 0, *n), port: 5353, local: true };
        ServicePort {
            name: "kube-system/kube-dns:dns".to_owned(),
            protocol,
            port: 53,
            cluster_ips: vec![Ipv4Addr::new(10, 96, 0, 10)],
            balancer_ips: vec![Ipv4Addr::new(198, 51, 100, 1)],
            node_port: Some(30053),
            endpoints: Endpoints { answering: pods.iter().map(endpoint).collect(), ..Endpoints::default() },
            ..ServicePort::default()
        }
    }

    fn is_stale(frontends: &UdpFrontends, destination: &str, responder: &str) -> bool {
        let read = |text: &str| text.parse().expect("an address and a port");
        frontends.is_stale(&UdpFlow { destination: read(destination), responder: read(responder) })
    }

    #[test]
    fn a_flow_to_a_frontend_must_lead_to_one_that_answers() {
        let frontends = UdpFrontends::of(&[dns(UDP, &[2, 3])], NODE);
        let cases = [
            ("an endpoint", "10.96.0.10:53", "10.0.0.2:5353", false),
            ("a dead one", "10.96.0.10:53", "10.0.0.4:5353", true),
            ("another port of a pod", "10.96.0.10:53", "10.0.0.2:53", true),
            ("from before the first endpoint", "10.96.0.10:53", "10.96.0.10:53", true),
            ("another port", "10.96.0.10:54", "10.96.0.10:54", false),
            ("a balancer's address", "198.51.100.1:53", "10.0.0.4:5353", true),
            ("the node port", "192.0.2.1:30053", "10.0.0.4:5353", true),
            ("another host's port", "203.0.113.1:30053", "203.0.113.1:30053", false),
            ("a pod itself", "10.0.0.4:5353", "10.0.0.4:5353", false),
        ];
        for (name, destination, responder, stale) in cases {
            assert_eq!(is_stale(&frontends, destination, responder), stale, "{name}");
        }
    }

    #[test]
    fn only_changed_udp_ports_count() {
        let changed =
            |old: &[ServicePort], new: &[ServicePort]| !UdpFrontends::changed(old, new, NODE).is_empty();
        assert!(changed(&[], &[dns(UDP, &[2])]));
        assert!(changed(&[dns(UDP, &[])], &[dns(UDP, &[2])]));
        assert!(changed(&[dns(UDP, &[2, 3])], &[dns(UDP, &[2])]));
        assert!(!changed(&[dns(UDP, &[2])], &[dns(UDP, &[2])]));
        assert!(!changed(&[dns(6, &[2])], &[dns(6, &[3])]));
        assert!(!changed(&[dns(UDP, &[2])], &[]), "flows outlive their service, as connections do");
        let other = ServicePort { affinity_seconds: Some(1), ..dns(UDP, &[2]) };
        assert!(!changed(&[dns(UDP, &[2])], &[other]));
    }
}
