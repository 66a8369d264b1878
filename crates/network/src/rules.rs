//! The pod network's own nftables table: masquerade towards the outside, forwarding for pods, host ports.

use std::net::Ipv4Addr;

use crate::Ipv4Range;
use crate::nft::expr::{self, Base, Expr, Is, Meta, Register};
use crate::nft::{
    Batch, Chain, ChainKind, Datatype, Element, ElementData, Hook, HookPoint, Set, SetFlags, Verdict,
};

const HOST_PORTS: &str = "host-ports";
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
    let pair = [Datatype::Ipv4Address, Datatype::Ipv4Address];
    batch.add_set(table, &Set { name: HAIRPIN, key: &pair, data: None, flags: SetFlags::default() });
    let chains = [
        ("postrouting", ChainKind::Nat, HookPoint::Postrouting, 90),
        ("forward", ChainKind::Filter, HookPoint::Forward, -10),
        ("prerouting", ChainKind::Nat, HookPoint::Prerouting, -110),
        ("output", ChainKind::Nat, HookPoint::Output, -110),
    ];
    for (name, kind, point, priority) in chains {
        batch.add_chain(table, &Chain { name, hook: Some(Hook { kind, point, priority }) });
        batch.flush_chain(table, name);
    }
    batch.add_rule(table, "postrouting", &masquerade(bridge, pods, cluster));
    batch.add_rule(table, "postrouting", &hairpin());
    for meta in [Meta::InterfaceIn, Meta::InterfaceOut] {
        batch.add_rule(table, "forward", &accept_interface(meta, bridge));
    }
    for chain in ["prerouting", "output"] {
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

fn accept_interface(meta: Meta, bridge: &str) -> Vec<Expr> {
    vec![
        expr::meta(meta, Register(4)),
        expr::compare(Register(4), Is::Equal, &expr::interface_name(bridge)),
        expr::verdict(&Verdict::Accept),
    ]
}

/// `fib daddr type local dnat to meta l4proto . th dport map @host-ports`
fn host_ports() -> Vec<Expr> {
    vec![
        expr::destination_type(R0),
        expr::compare(R0, Is::Equal, &expr::ADDRESS_LOCAL),
        expr::meta(Meta::L4Protocol, R0),
        expr::payload(Base::Transport, 2, 2, R1),
        expr::map(HOST_PORTS, R0, R2),
        expr::dnat(R2, Some(Register(3))),
    ]
}

/// The element of one host port.
pub(crate) fn host_port(protocol: u8, port: u16, pod: Ipv4Addr, pod_port: u16) -> Element {
    let mut key = vec![protocol, 0, 0, 0];
    key.extend_from_slice(&padded(port));
    let mut value = pod.octets().to_vec();
    value.extend_from_slice(&padded(pod_port));
    Element { key, data: ElementData::Value(value) }
}

/// Makes a pod known: its own address twice, and its host ports.
pub(crate) fn add_pod(table: &str, pod: Ipv4Addr, host_ports: &[Element]) -> Batch {
    let mut batch = Batch::default();
    batch.add_elements(table, HAIRPIN, &[twice(pod)]);
    batch.add_elements(table, HOST_PORTS, host_ports);
    batch
}

/// Forgets a pod. Each element is a batch of its own: the kernel refuses a batch that removes what is not there.
pub(crate) fn delete_pod(table: &str, pod: Ipv4Addr, host_ports: &[Element]) -> Vec<Batch> {
    let one = |set: &str, element: &Element| {
        let mut batch = Batch::default();
        batch.delete_elements(table, set, std::slice::from_ref(element));
        batch
    };
    let ports = host_ports.iter().map(|element| one(HOST_PORTS, element));
    std::iter::once(one(HAIRPIN, &twice(pod))).chain(ports).collect()
}

fn twice(pod: Ipv4Addr) -> Element {
    Element { key: [pod.octets(), pod.octets()].concat(), data: ElementData::None }
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}
