//! What a service port becomes in nftables: a chain, and elements of the shared maps. Pure.

use std::net::Ipv4Addr;

use steersman_network::nft::expr::{self, Expr, Meta, Register};
use steersman_network::nft::{
    Batch, Chain, ChainKind, Datatype, Element, ElementData, Hook, HookPoint, Set, SetFlags, Verdict,
};
use steersman_network::{Ipv4Range, nft::expr::Is};

use crate::model::{Endpoint, ServicePort};

/// address . protocol . port → the service's chain.
pub const SERVICES: &str = "service-ips";
/// protocol . port → the service's chain for outside traffic.
pub const NODE_PORTS: &str = "node-ports";
/// service id . number → address . port, numbered without gaps.
pub const ENDPOINTS: &str = "endpoints";
/// service id . client → endpoint; rules write it.
pub const AFFINITY: &str = "affinity";
/// The cluster addresses of services.
pub const CLUSTER_IPS: &str = "cluster-ips";
/// address . protocol . port of services that lead nowhere: refused.
pub const REFUSED: &str = "refused";
/// protocol . port of nodes that lead nowhere: refused.
pub const REFUSED_NODE_PORTS: &str = "refused-node-ports";

/// Set on packets whose source is to be rewritten on their way out.
const MASQUERADE_MARK: u32 = 0x4000;

const R: [Register; 8] =
    [Register(0), Register(1), Register(2), Register(3), Register(4), Register(5), Register(6), Register(7)];

/// What one service port has in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Chains with their rules.
    pub chains: Vec<(String, Vec<Vec<Expr>>)>,
    /// Elements with the set that they are in.
    pub elements: Vec<(&'static str, Element)>,
}

/// Makes the table with its sets, base chains and common rules.
pub fn base(batch: &mut Batch, table: &str, cluster: Ipv4Range) {
    batch.add_table(table);
    sets(batch, table);
    let base = [
        ("prerouting", ChainKind::Nat, HookPoint::Prerouting, -100),
        ("output", ChainKind::Nat, HookPoint::Output, -100),
        ("postrouting", ChainKind::Nat, HookPoint::Postrouting, 100),
        ("filter-input", ChainKind::Filter, HookPoint::Input, -110),
        ("filter-forward", ChainKind::Filter, HookPoint::Forward, -110),
        // After the translation, unlike the others, whose hooks all come after it.
        ("filter-output", ChainKind::Filter, HookPoint::Output, -90),
    ];
    for (name, kind, point, priority) in base {
        batch.add_chain(table, &Chain { name, hook: Some(Hook { kind, point, priority }) });
    }
    for name in ["services", "refuse"] {
        batch.add_chain(table, &Chain { name, hook: None });
    }
    rules(batch, table, cluster);
}

fn sets(batch: &mut Batch, table: &str) {
    use Datatype::{Ipv4Address, Mark, Port, Protocol};
    let address = [Ipv4Address, Protocol, Port];
    let port = [Protocol, Port];
    let numbered = [Mark, Mark];
    let client = [Mark, Ipv4Address];
    let target = [Ipv4Address, Port];
    let mut add = |name, key: &[Datatype], data, dynamic| {
        batch.add_set(table, &Set { name, key, data, flags: SetFlags { dynamic } });
    };
    add(SERVICES, &address, Some(&[][..]), false);
    add(NODE_PORTS, &port, Some(&[][..]), false);
    add(ENDPOINTS, &numbered, Some(&target[..]), false);
    add(AFFINITY, &client, Some(&target[..]), true);
    add(CLUSTER_IPS, &[Ipv4Address], None, false);
    add(REFUSED, &address, None, false);
    add(REFUSED_NODE_PORTS, &port, None, false);
}

fn rules(batch: &mut Batch, table: &str, cluster: Ipv4Range) {
    let jump = |chain: &str| vec![expr::verdict(&Verdict::Jump(chain.to_owned()))];
    for chain in ["prerouting", "output"] {
        batch.add_rule(table, chain, &jump("services"));
    }
    batch.add_rule(table, "postrouting", &masquerade_marked());
    for chain in ["filter-input", "filter-forward", "filter-output"] {
        let mut new_only = vec![
            expr::ct(expr::Ct::State, R[0]),
            expr::bitwise(R[0], &expr::CT_STATE_NEW.to_ne_bytes(), &[0; 4]),
            expr::compare(R[0], Is::NotEqual, &[0; 4]),
        ];
        new_only.extend(jump("refuse"));
        batch.add_rule(table, chain, &new_only);
    }
    batch.add_rule(table, "services", &mark_strangers(cluster));
    batch.add_rule(table, "services", &chain(destination(), expr::verdict_map(SERVICES, R[0])));
    batch.add_rule(table, "services", &chain(local_port(), expr::verdict_map(NODE_PORTS, R[0])));
    let refused = chain(destination(), expr::in_set(REFUSED, R[0]));
    batch.add_rule(table, "refuse", &chain(refused, expr::reject()));
    let refused = chain(local_port(), expr::in_set(REFUSED_NODE_PORTS, R[0]));
    batch.add_rule(table, "refuse", &chain(refused, expr::reject()));
    // A cluster address that is still the destination has no such port.
    let unknown = vec![expr::destination_address(R[0]), expr::in_set(CLUSTER_IPS, R[0]), expr::reject()];
    batch.add_rule(table, "refuse", &unknown);
}

fn chain(mut head: Vec<Expr>, last: Expr) -> Vec<Expr> {
    head.push(last);
    head
}

fn destination() -> Vec<Expr> {
    vec![expr::destination_address(R[0]), expr::meta(Meta::L4Protocol, R[1]), expr::destination_port(R[2])]
}

fn local_port() -> Vec<Expr> {
    vec![
        expr::destination_type(R[0]),
        expr::compare(R[0], Is::Equal, &expr::ADDRESS_LOCAL),
        expr::meta(Meta::L4Protocol, R[0]),
        expr::destination_port(R[1]),
    ]
}

/// Marks what comes to a cluster address from outside the pods: the pod must answer through this node.
fn mark_strangers(cluster: Ipv4Range) -> Vec<Expr> {
    let mut rule = vec![
        expr::destination_address(R[0]),
        expr::in_set(CLUSTER_IPS, R[0]),
        expr::source_address(R[0]),
        expr::bitwise(R[0], &cluster.mask(), &[0; 4]),
        expr::compare(R[0], Is::NotEqual, &cluster.network().octets()),
    ];
    rule.extend(mark());
    rule
}

fn mark() -> Vec<Expr> {
    let (keep, set) = (!MASQUERADE_MARK, MASQUERADE_MARK);
    vec![
        expr::meta(Meta::Mark, R[0]),
        expr::bitwise(R[0], &keep.to_ne_bytes(), &set.to_ne_bytes()),
        expr::set_mark(R[0]),
    ]
}

fn masquerade_marked() -> Vec<Expr> {
    let (all, set) = (u32::MAX, MASQUERADE_MARK);
    vec![
        expr::meta(Meta::Mark, R[0]),
        expr::bitwise(R[0], &set.to_ne_bytes(), &[0; 4]),
        expr::compare(R[0], Is::NotEqual, &[0; 4]),
        // The mark has done its work; other hosts' rules must not see it.
        expr::meta(Meta::Mark, R[0]),
        expr::bitwise(R[0], &all.to_ne_bytes(), &set.to_ne_bytes()),
        expr::set_mark(R[0]),
        expr::masquerade(),
    ]
}

/// Renders one service port. `id` tells it apart in the shared maps: `2 * id` numbers the endpoints for inside
/// traffic, `2 * id + 1` those for outside traffic where they differ.
pub fn render(id: u32, service: &ServicePort) -> Rendered {
    let mut rendered = Rendered::default();
    for address in &service.cluster_ips {
        rendered.elements.push((CLUSTER_IPS, set_element(address.octets().to_vec())));
    }
    let inside = format!("service-{id}-{}", chain_suffix(service));
    side(&mut rendered, &inside, 2 * id, service, &service.endpoints, false);
    for address in &service.cluster_ips {
        lead(&mut rendered, SERVICES, REFUSED, address_key(*address, service), &inside, &service.endpoints);
    }
    if service.node_port.is_none() && service.external_ips.is_empty() {
        return rendered;
    }
    let outside = format!("external-{id}-{}", chain_suffix(service));
    let endpoints = &service.external_endpoints;
    side(&mut rendered, &outside, 2 * id + 1, service, endpoints, !service.keeps_source);
    for address in &service.external_ips {
        lead(&mut rendered, SERVICES, REFUSED, address_key(*address, service), &outside, endpoints);
    }
    if let Some(port) = service.node_port {
        let key = port_key(service.protocol, port);
        lead(&mut rendered, NODE_PORTS, REFUSED_NODE_PORTS, key, &outside, endpoints);
    }
    rendered
}

/// The chain and the endpoints of one direction; nothing if there are no endpoints.
fn side(
    rendered: &mut Rendered,
    name: &str,
    id: u32,
    service: &ServicePort,
    endpoints: &[Endpoint],
    masquerade: bool,
) {
    let Ok(count @ 1..) = u32::try_from(endpoints.len()) else { return };
    let mut rules = Vec::new();
    if masquerade {
        rules.push(mark());
    }
    if let Some(seconds) = service.affinity_seconds {
        rules.push(stay(id, seconds));
    }
    rules.push(choose(id, count, service.affinity_seconds));
    rendered.chains.push((name.to_owned(), rules));
    for (number, endpoint) in (0_u32..).zip(endpoints) {
        let key = [id.to_ne_bytes(), number.to_ne_bytes()].concat();
        rendered.elements.push((ENDPOINTS, Element { key, data: ElementData::Value(target(*endpoint)) }));
    }
}

/// Leads a key to the chain, or refuses it where there is no endpoint.
fn lead(
    rendered: &mut Rendered,
    map: &'static str,
    refused: &'static str,
    key: Vec<u8>,
    chain: &str,
    endpoints: &[Endpoint],
) {
    let element = if endpoints.is_empty() {
        (refused, set_element(key))
    } else {
        (map, Element { key, data: ElementData::Verdict(Verdict::Goto(chain.to_owned())) })
    };
    rendered.elements.push(element);
}

/// A client that has an endpoint keeps it, and its time begins anew.
fn stay(id: u32, seconds: u32) -> Vec<Expr> {
    vec![
        expr::immediate(&id.to_ne_bytes(), R[0]),
        expr::source_address(R[1]),
        expr::map(AFFINITY, R[0], R[2]),
        expr::update_map(AFFINITY, R[0], R[2], u64::from(seconds) * 1000),
        expr::dnat(R[2], Some(R[3])),
    ]
}

/// Any endpoint, all alike.
fn choose(id: u32, count: u32, affinity: Option<u32>) -> Vec<Expr> {
    let mut rule = vec![
        expr::immediate(&id.to_ne_bytes(), R[0]),
        expr::random(count, R[1]),
        expr::map(ENDPOINTS, R[0], R[2]),
    ];
    if let Some(seconds) = affinity {
        rule.push(expr::source_address(R[1]));
        rule.push(expr::update_map(AFFINITY, R[0], R[2], u64::from(seconds) * 1000));
    }
    rule.push(expr::dnat(R[2], Some(R[3])));
    rule
}

fn set_element(key: Vec<u8>) -> Element {
    Element { key, data: ElementData::None }
}

fn address_key(address: Ipv4Addr, service: &ServicePort) -> Vec<u8> {
    [&address.octets()[..], &port_key(service.protocol, service.port)].concat()
}

fn port_key(protocol: u8, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![protocol, 0, 0, 0, high, low, 0, 0]
}

fn target(endpoint: Endpoint) -> Vec<u8> {
    let [high, low] = endpoint.port.to_be_bytes();
    [&endpoint.address.octets()[..], &[high, low, 0, 0]].concat()
}

/// Chain names are for people too, but have at most 127 characters.
fn chain_suffix(service: &ServicePort) -> String {
    service.name.chars().take(90).collect()
}
