//! What a service port becomes in nftables: chains, and elements of the shared maps. Pure.

use std::net::Ipv4Addr;

use steersman_network::Ipv4Range;
use steersman_network::nft::expr::{self, Expr, Is, Meta, Register};
use steersman_network::nft::{Element, ElementData, Verdict};

use crate::base::{
    AFFINITY, CLUSTER_IPS, ENDPOINTS, FIREWALL, HAIRPIN, LIVE, MASQUERADE_MARK, NO_ENDPOINT_NODE_PORTS,
    NO_ENDPOINTS, NODE_PORTS, SERVICES,
};
use crate::endpoints::Endpoint;
use crate::model::ServicePort;

/// The chain that refuses.
pub(crate) const REJECT: &str = "reject";

pub(crate) const R: [Register; 8] =
    [Register(0), Register(1), Register(2), Register(3), Register(4), Register(5), Register(6), Register(7)];

/// What all services of a node have in common.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Name of the nftables table.
    pub table: String,
    /// The node's own address: node ports are open at this one only.
    pub node_address: Ipv4Addr,
    /// Addresses of pods: other sources are rewritten when they come to a service.
    pub cluster_range: Ipv4Range,
    /// Addresses of services: those that no service has lead nowhere.
    pub service_range: Ipv4Range,
}

/// What one service port has in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// Chains with their rules.
    pub chains: Vec<(String, Vec<Vec<Expr>>)>,
    /// Elements that no other port has, with the set that they are in.
    pub own: Vec<(&'static str, Element)>,
    /// Elements that other ports may want too.
    pub shared: Vec<(&'static str, Element)>,
}

/// Renders one service port. `id` tells it apart in the shared maps: `2 * id` numbers the endpoints for traffic policy
/// `Cluster`, `2 * id + 1` those for `Local`.
pub(crate) fn render(id: u32, service: &ServicePort, shape: &Shape) -> Rendered {
    let mut rendered = Rendered::default();
    let chains = Chains::of(id, service);
    let endpoints = &service.endpoints;
    side(&mut rendered, &chains.cluster, 2 * id, id, service, &endpoints.cluster);
    side(&mut rendered, &chains.local, 2 * id + 1, id, service, &endpoints.local);
    hairpin(&mut rendered, service);
    inside(&mut rendered, &chains, service);
    if service.is_external() {
        outside(&mut rendered, &chains, service, shape);
    }
    rendered
}

/// The names of a port's chains.
struct Chains {
    cluster: String,
    local: String,
    external: String,
    firewall: String,
}

impl Chains {
    fn of(id: u32, service: &ServicePort) -> Self {
        // Names are for people too, but have at most 127 characters.
        let suffix: String = service.name.chars().take(90).collect();
        let name = |kind: &str| format!("{kind}-{id}-{suffix}");
        Self {
            cluster: name("service"),
            local: name("local"),
            external: name("external"),
            firewall: name("firewall"),
        }
    }
}

/// Where traffic to the cluster addresses goes.
fn inside(rendered: &mut Rendered, chains: &Chains, service: &ServicePort) {
    let (chain, endpoints) = if service.internal_local {
        (&chains.local, &service.endpoints.local)
    } else {
        (&chains.cluster, &service.endpoints.cluster)
    };
    for address in &service.cluster_ips {
        rendered.shared.push((CLUSTER_IPS, set_element(address.octets().to_vec())));
        let key = address_key(*address, service);
        rendered.shared.push(if endpoints.is_empty() {
            (NO_ENDPOINTS, verdict_element(key, refusal(service)))
        } else {
            (SERVICES, verdict_element(key, goto(chain)))
        });
    }
}

/// Where traffic to all other addresses goes.
fn outside(rendered: &mut Rendered, chains: &Chains, service: &ServicePort, shape: &Shape) {
    if service.endpoints.exist {
        rendered.chains.push((chains.external.clone(), external_rules(chains, service, shape)));
    }
    for address in service.external_ips.iter().chain(&service.balancer_ips) {
        lead(rendered, (SERVICES, NO_ENDPOINTS), address_key(*address, service), chains, service);
    }
    if let Some(port) = service.node_port {
        let key = port_key(service.protocol, port);
        lead(rendered, (NODE_PORTS, NO_ENDPOINT_NODE_PORTS), key, chains, service);
    }
    if !service.balancer_ips.is_empty() && !service.balancer_sources.is_empty() {
        rendered.chains.push((chains.firewall.clone(), firewall_rules(service, shape)));
        for address in &service.balancer_ips {
            let element = verdict_element(address_key(*address, service), goto(&chains.firewall));
            rendered.shared.push((FIREWALL, element));
        }
    }
}

/// Leads a key to the chain for outside traffic, and refuses what that chain leaves.
fn lead(
    rendered: &mut Rendered,
    (map, refused): (&'static str, &'static str),
    key: Vec<u8>,
    chains: &Chains,
    service: &ServicePort,
) {
    let endpoints = &service.endpoints;
    if endpoints.exist {
        rendered.shared.push((map, verdict_element(key.clone(), goto(&chains.external))));
    }
    let usable = if service.external_local { &endpoints.local } else { &endpoints.cluster };
    if usable.is_empty() {
        rendered.shared.push((refused, verdict_element(key, refusal(service))));
    }
}

/// A service without endpoints refuses. One that has some, but not for this node, says nothing: a load balancer must
/// try another node.
fn refusal(service: &ServicePort) -> Verdict {
    if service.endpoints.exist { Verdict::Drop } else { goto(REJECT) }
}

fn external_rules(chains: &Chains, service: &ServicePort, shape: &Shape) -> Vec<Vec<Expr>> {
    let on = |chain: &str| vec![expr::verdict(&goto(chain))];
    let (has_cluster, has_local) =
        (!service.endpoints.cluster.is_empty(), !service.endpoints.local.is_empty());
    let mut rules = Vec::new();
    if !service.external_local {
        // The endpoint may be on another node, and must answer through this one.
        rules.push(mark());
        rules.extend(has_cluster.then(|| on(&chains.cluster)));
        return rules;
    }
    if has_cluster {
        // Pods and the node reach all endpoints, as they would by way of a load balancer outside.
        let from_pod = [vec![expr::source_address(R[0])], within(shape.cluster_range, Is::Equal)].concat();
        rules.push([from_pod, on(&chains.cluster)].concat());
        rules.push([from_node(), mark()].concat());
        rules.push([from_node(), on(&chains.cluster)].concat());
    }
    rules.extend(has_local.then(|| on(&chains.local)));
    rules
}

fn from_node() -> Vec<Expr> {
    vec![expr::source_type(R[0]), expr::compare(R[0], Is::Equal, &expr::ADDRESS_LOCAL)]
}

/// Only sources that the service names pass. A node that may send can have the load balancer's address as its own, and
/// then sends from it.
fn firewall_rules(service: &ServicePort, shape: &Shape) -> Vec<Vec<Expr>> {
    let from = |range: Ipv4Range| {
        let pass = vec![expr::verdict(&Verdict::Return)];
        [vec![expr::source_address(R[0])], within(range, Is::Equal), pass].concat()
    };
    let mut rules: Vec<_> = service.balancer_sources.iter().map(|range| from(*range)).collect();
    if service.balancer_sources.iter().any(|range| range.contains(shape.node_address)) {
        rules.extend(service.balancer_ips.iter().filter_map(|ip| Ipv4Range::new(*ip, 32)).map(from));
    }
    rules.push(vec![expr::verdict(&Verdict::Drop)]);
    rules
}

/// Goes on only if the address in the first register is in the range, or if it is not.
pub(crate) fn within(range: Ipv4Range, is: Is) -> Vec<Expr> {
    vec![expr::bitwise(R[0], &range.mask(), &[0; 4]), expr::compare(R[0], is, &range.network().octets())]
}

pub(crate) fn mark() -> Vec<Expr> {
    let (keep, set) = (!MASQUERADE_MARK, MASQUERADE_MARK);
    vec![
        expr::meta(Meta::Mark, R[0]),
        expr::bitwise(R[0], &keep.to_ne_bytes(), &set.to_ne_bytes()),
        expr::set_mark(R[0]),
    ]
}

/// The chain and the endpoints of one traffic policy; nothing if there are no endpoints.
fn side(
    rendered: &mut Rendered,
    name: &str,
    chain_id: u32,
    id: u32,
    service: &ServicePort,
    endpoints: &[Endpoint],
) {
    let Ok(count @ 1..) = u32::try_from(endpoints.len()) else { return };
    let mut rules = Vec::new();
    if let Some(seconds) = service.affinity_seconds {
        rules.push(stay(chain_id, id, seconds));
        rules.push(choose(chain_id, count, Some((id, seconds))));
    }
    // With affinity, for a client whom the full table could not remember.
    rules.push(choose(chain_id, count, None));
    rendered.chains.push((name.to_owned(), rules));
    for (number, endpoint) in (0_u32..).zip(endpoints) {
        let key = [chain_id.to_ne_bytes(), number.to_ne_bytes()].concat();
        rendered.own.push((ENDPOINTS, Element { key, data: ElementData::Value(target(*endpoint)) }));
        if service.affinity_seconds.is_some() {
            let key = [&chain_id.to_ne_bytes()[..], &target(*endpoint)].concat();
            rendered.own.push((LIVE, set_element(key)));
        }
    }
}

fn hairpin(rendered: &mut Rendered, service: &ServicePort) {
    let used = service.endpoints.cluster.iter().chain(&service.endpoints.local);
    for endpoint in used.filter(|endpoint| endpoint.local) {
        let address = endpoint.address.octets();
        let key = [&address[..], &address, &port_key(service.protocol, endpoint.port)].concat();
        rendered.shared.push((HAIRPIN, set_element(key)));
    }
}

/// A client that has an endpoint keeps it while that one lives, and its time begins anew.
fn stay(chain_id: u32, id: u32, seconds: u32) -> Vec<Expr> {
    vec![
        expr::immediate(&id.to_ne_bytes(), R[0]),
        expr::source_address(R[1]),
        expr::map(AFFINITY, R[0], R[3]),
        expr::immediate(&chain_id.to_ne_bytes(), R[2]),
        expr::in_set(LIVE, R[2]),
        expr::update_map(AFFINITY, R[0], R[3], u64::from(seconds) * 1000),
        expr::dnat(R[3], Some(R[4])),
    ]
}

/// Any endpoint, all alike; remembered for a client that is to stay there.
fn choose(chain_id: u32, count: u32, remember: Option<(u32, u32)>) -> Vec<Expr> {
    let mut rule = vec![
        expr::immediate(&chain_id.to_ne_bytes(), R[0]),
        expr::random(count, R[1]),
        expr::map(ENDPOINTS, R[0], R[2]),
    ];
    if let Some((id, seconds)) = remember {
        rule.push(expr::immediate(&id.to_ne_bytes(), R[0]));
        rule.push(expr::source_address(R[1]));
        // An update leaves the value that is there; the endpoint that it names is gone.
        rule.push(expr::delete_from_map(AFFINITY, R[0], R[2]));
        rule.push(expr::update_map(AFFINITY, R[0], R[2], u64::from(seconds) * 1000));
    }
    rule.push(expr::dnat(R[2], Some(R[3])));
    rule
}

fn goto(chain: &str) -> Verdict {
    Verdict::Goto(chain.to_owned())
}

fn set_element(key: Vec<u8>) -> Element {
    Element { key, data: ElementData::None }
}

fn verdict_element(key: Vec<u8>, verdict: Verdict) -> Element {
    Element { key, data: ElementData::Verdict(verdict) }
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
