//! The pod network's own nftables table: masquerade towards the outside, forwarding for pods, host ports.

use std::net::Ipv4Addr;

use crate::nft::expr::{self, Expr, Is, Meta, Register};
use crate::nft::{
    Batch, Chain, ChainKind, Datatype, Element, ElementData, Hook, HookPoint, Set, SetFlags, Verdict,
};
use crate::{HostPort, Ipv4Range};

const HOST_PORTS: &str = "host-ports";
const HOST_PORTS_AT: &str = "host-ports-at";
const HAIRPIN: &str = "hairpin";
const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);

/// Makes the table, or replaces its rules; the host ports in it stay.
pub(crate) fn install(table: &str, bridge: &str, pods: Ipv4Range, cluster: Ipv4Range) -> Batch {
    let mut batch = Batch::default();
    batch.add_table(table);
    let key = [Datatype::Protocol, Datatype::Port];
    let data = [Datatype::Ipv4Address, Datatype::Port];
    batch.add_set(table, &Set { name: HOST_PORTS, key: &key, data: Some(&data), flags: SetFlags::default() });
    let key = [Datatype::Ipv4Address, Datatype::Protocol, Datatype::Port];
    batch.add_set(
        table,
        &Set { name: HOST_PORTS_AT, key: &key, data: Some(&data), flags: SetFlags::default() },
    );
    let pair = [Datatype::Ipv4Address, Datatype::Ipv4Address];
    batch.add_set(table, &Set { name: HAIRPIN, key: &pair, data: None, flags: SetFlags::default() });
    let chains = [
        ("postrouting", ChainKind::Nat, HookPoint::Postrouting, 90),
        ("forward", ChainKind::Filter, HookPoint::Forward, -10),
        ("prerouting", ChainKind::Nat, HookPoint::Prerouting, -110),
        ("output", ChainKind::Nat, HookPoint::Output, -110),
        // Before connection tracking: the answers to the host are not yet translated back here.
        ("guard", ChainKind::Filter, HookPoint::Prerouting, -300),
    ];
    for (name, kind, point, priority) in chains {
        batch.add_chain(table, &Chain { name, hook: Some(Hook { kind, point, priority }) });
        batch.flush_chain(table, name);
    }
    batch.add_rule(table, "postrouting", &masquerade(bridge, pods, cluster));
    batch.add_rule(table, "postrouting", &hairpin());
    batch.add_rule(table, "postrouting", &masquerade_loopback(bridge));
    batch.add_rule(table, "guard", &keep_off_loopback(bridge));
    for meta in [Meta::InterfaceIn, Meta::InterfaceOut] {
        batch.add_rule(table, "forward", &accept_interface(meta, bridge));
    }
    for chain in ["prerouting", "output"] {
        batch.add_rule(table, chain, &host_ports_at());
        batch.add_rule(table, chain, &host_ports());
    }
    batch
}

/// `ip saddr <pods> ip daddr != <cluster> oifname != <bridge> masquerade`
fn masquerade(bridge: &str, pods: Ipv4Range, cluster: Ipv4Range) -> Vec<Expr> {
    let name = expr::interface_name(bridge);
    vec![
        expr::source_address(R0),
        expr::bitwise(R0, &pods.mask(), &[0; 4]),
        expr::compare(R0, Is::Equal, &pods.network().octets()),
        expr::destination_address(R0),
        expr::bitwise(R0, &cluster.mask(), &[0; 4]),
        expr::compare(R0, Is::NotEqual, &cluster.network().octets()),
        expr::meta(Meta::InterfaceOut, Register(4)),
        expr::compare(Register(4), Is::NotEqual, &name),
        expr::masquerade(),
    ]
}

/// A pod that reaches itself through a translated address must see another sender, or it would answer itself
/// directly: masquerades translated connections whose both ends are one address.
fn hairpin() -> Vec<Expr> {
    vec![
        expr::ct(expr::Ct::Status, R0),
        expr::bitwise(R0, &expr::CT_STATUS_DNAT.to_ne_bytes(), &[0; 4]),
        expr::compare(R0, Is::NotEqual, &[0; 4]),
        expr::source_address(R0),
        expr::destination_address(R1),
        expr::in_set(HAIRPIN, R0),
        expr::masquerade(),
    ]
}

/// The host reaches host ports at its loopback addresses too; a pod could not answer those.
fn masquerade_loopback(bridge: &str) -> Vec<Expr> {
    vec![
        expr::source_address(R0),
        expr::bitwise(R0, &[0xff, 0, 0, 0], &[0; 4]),
        expr::compare(R0, Is::Equal, &[127, 0, 0, 0]),
        expr::meta(Meta::InterfaceOut, Register(4)),
        expr::compare(Register(4), Is::Equal, &expr::interface_name(bridge)),
        expr::masquerade(),
    ]
}

/// `route_localnet` lets the host send from loopback addresses to pods; it must not let pods send to them
/// (CVE-2020-8558).
fn keep_off_loopback(bridge: &str) -> Vec<Expr> {
    vec![
        expr::meta(Meta::InterfaceIn, Register(4)),
        expr::compare(Register(4), Is::Equal, &expr::interface_name(bridge)),
        expr::destination_address(R0),
        expr::bitwise(R0, &[0xff, 0, 0, 0], &[0; 4]),
        expr::compare(R0, Is::Equal, &[127, 0, 0, 0]),
        expr::verdict(&Verdict::Drop),
    ]
}

fn accept_interface(meta: Meta, bridge: &str) -> Vec<Expr> {
    vec![
        expr::meta(meta, Register(4)),
        expr::compare(Register(4), Is::Equal, &expr::interface_name(bridge)),
        expr::verdict(&Verdict::Accept),
    ]
}

/// `fib daddr type local dnat to ip daddr . meta l4proto . th dport map @host-ports-at`: ports of one of the host's
/// addresses.
fn host_ports_at() -> Vec<Expr> {
    vec![
        expr::destination_type(R0),
        expr::compare(R0, Is::Equal, &expr::ADDRESS_LOCAL),
        expr::destination_address(R0),
        expr::meta(Meta::L4Protocol, R1),
        expr::destination_port(R2),
        expr::map(HOST_PORTS_AT, R0, Register(3)),
        expr::dnat(Register(3), Some(Register(4))),
    ]
}

/// `fib daddr type local dnat to meta l4proto . th dport map @host-ports`: ports of all the host's addresses.
fn host_ports() -> Vec<Expr> {
    vec![
        expr::destination_type(R0),
        expr::compare(R0, Is::Equal, &expr::ADDRESS_LOCAL),
        expr::meta(Meta::L4Protocol, R0),
        expr::destination_port(R1),
        expr::map(HOST_PORTS, R0, R2),
        expr::dnat(R2, Some(Register(3))),
    ]
}

/// What a pod has in the table: its own address twice, and its host ports; each with the set that it is in. Of two
/// mappings of one host port the first counts.
pub(crate) fn elements(pod: Ipv4Addr, ports: &[HostPort]) -> Vec<(&'static str, Element)> {
    let twice = Element { key: [pod.octets(), pod.octets()].concat(), data: ElementData::None };
    let mut elements = vec![(HAIRPIN, twice)];
    for port in ports {
        let (set, element) = host_port(port, pod);
        if !elements.iter().any(|(name, known)| *name == set && known.key == element.key) {
            elements.push((set, element));
        }
    }
    elements
}

fn host_port(port: &HostPort, pod: Ipv4Addr) -> (&'static str, Element) {
    let of_all = [&[port.protocol, 0, 0, 0][..], &padded(port.host_port)].concat();
    let (set, key) = match port.host_ip {
        Some(address) => (HOST_PORTS_AT, [&address.octets()[..], &of_all].concat()),
        None => (HOST_PORTS, of_all),
    };
    let value = [pod.octets(), padded(port.container_port)].concat();
    (set, Element { key, data: ElementData::Value(value) })
}

/// Makes a pod's elements known.
pub(crate) fn add_pod(table: &str, elements: &[(&'static str, Element)]) -> Batch {
    let mut batch = Batch::default();
    for (set, element) in elements {
        batch.add_elements(table, set, std::slice::from_ref(element));
    }
    batch
}

/// Forgets a pod's elements. Each is a batch of its own: the kernel refuses a batch that removes what is not there.
pub(crate) fn delete_pod(table: &str, elements: &[(&'static str, Element)]) -> Vec<Batch> {
    let one = |(set, element): &(&'static str, Element)| {
        let mut batch = Batch::default();
        batch.delete_elements(table, set, std::slice::from_ref(element));
        batch
    };
    elements.iter().map(one).collect()
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_port_is_known_by_its_address_protocol_and_port() {
        let port =
            |host_ip, protocol, host_port| HostPort { protocol, host_ip, host_port, container_port: 80 };
        let at = Some(Ipv4Addr::new(192, 0, 2, 1));
        let ports =
            [port(None, 6, 0x0102), port(None, 17, 0x0102), port(at, 6, 0x0102), port(None, 6, 0x0102)];
        let elements = elements(Ipv4Addr::new(10, 0, 0, 2), &ports);
        let keys: Vec<(&str, &[u8])> = elements.iter().map(|(set, e)| (*set, &e.key[..])).collect();
        let want: [(&str, &[u8]); 4] = [
            ("hairpin", &[10, 0, 0, 2, 10, 0, 0, 2]),
            ("host-ports", &[6, 0, 0, 0, 1, 2, 0, 0]),
            ("host-ports", &[17, 0, 0, 0, 1, 2, 0, 0]),
            ("host-ports-at", &[192, 0, 2, 1, 6, 0, 0, 0, 1, 2, 0, 0]),
        ];
        assert_eq!(keys, want);
        assert_eq!(elements[3].1.data, ElementData::Value(vec![10, 0, 0, 2, 0, 80, 0, 0]));
    }
}
