//! The table itself: its sets, its base chains, and the rules that all services share. Pure.
//!
//! ```text
//!  prerouting, output          services ──▶ the service's chain ──▶ endpoint
//!  before them                 firewall: who may send to a load balancer's address
//!  input, forward, output      refuse: services without endpoints, unknown ports of cluster addresses
//!  postrouting                 masquerade: what is marked, and a pod that reaches itself
//! ```

use steersman_network::Ipv4Range;
use steersman_network::nft::expr::{self, Expr, Is, Meta};
use steersman_network::nft::{Batch, Chain, ChainKind, Datatype, Element, ElementData, Hook, HookPoint, Set};
use steersman_network::nft::{SetFlags, Verdict};

use crate::render::{R, REJECT, Shape, mark, within};

/// address . protocol . port → the service's chain.
pub const SERVICES: &str = "service-ips";
/// protocol . port → the service's chain for outside traffic.
pub const NODE_PORTS: &str = "service-nodeports";
/// Where node ports are open.
pub const NODE_ADDRESSES: &str = "nodeport-ips";
/// chain id . number → address . port, numbered without gaps.
pub const ENDPOINTS: &str = "endpoints";
/// chain id . address . port of endpoints that clients may stay with.
pub const LIVE: &str = "live-endpoints";
/// service id . client → endpoint; rules write it.
pub const AFFINITY: &str = "affinity";
/// The cluster addresses of services.
pub const CLUSTER_IPS: &str = "cluster-ips";
/// address . protocol . port of services that lead nowhere → rejected or dropped.
pub const NO_ENDPOINTS: &str = "no-endpoint-services";
/// protocol . port of nodes that lead nowhere → rejected or dropped.
pub const NO_ENDPOINT_NODE_PORTS: &str = "no-endpoint-nodeports";
/// address . protocol . port of load balancers → the chain that says who may send.
pub const FIREWALL: &str = "firewall-ips";
/// address . address . protocol . port of this node's endpoints.
pub const HAIRPIN: &str = "hairpin-connections";

/// Set on packets whose source is to be rewritten on their way out.
pub(crate) const MASQUERADE_MARK: u32 = 0x4000;

/// Makes the table with its sets, base chains and common rules.
pub(crate) fn base(batch: &mut Batch, shape: &Shape) {
    let table = &shape.table;
    batch.add_table(table);
    sets(batch, table);
    let node = Element { key: shape.node_address.octets().to_vec(), data: ElementData::None };
    batch.add_elements(table, NODE_ADDRESSES, &[node]);
    let base = [
        ("prerouting", ChainKind::Nat, HookPoint::Prerouting, -100),
        ("output", ChainKind::Nat, HookPoint::Output, -100),
        ("postrouting", ChainKind::Nat, HookPoint::Postrouting, 100),
        ("filter-prerouting-pre-dnat", ChainKind::Filter, HookPoint::Prerouting, -110),
        ("filter-output-pre-dnat", ChainKind::Filter, HookPoint::Output, -110),
        ("filter-input", ChainKind::Filter, HookPoint::Input, -110),
        ("filter-forward", ChainKind::Filter, HookPoint::Forward, -110),
        // After the translation, unlike the others, whose hooks all come after it.
        ("filter-output", ChainKind::Filter, HookPoint::Output, -90),
    ];
    for (name, kind, point, priority) in base {
        batch.add_chain(table, &Chain { name, hook: Some(Hook { kind, point, priority }) });
    }
    for name in ["services", "firewall", "refuse", "refuse-nodeports", "refuse-cluster-ips", REJECT] {
        batch.add_chain(table, &Chain { name, hook: None });
    }
    rules(batch, shape);
}

fn sets(batch: &mut Batch, table: &str) {
    use Datatype::{Ipv4Address, Mark, Port, Protocol};
    let address = [Ipv4Address, Protocol, Port];
    let port = [Protocol, Port];
    let target = [Ipv4Address, Port];
    let verdicts = Some(&[][..]);
    let mut add = |name, key: &[Datatype], data, dynamic| {
        batch.add_set(table, &Set { name, key, data, flags: SetFlags { dynamic } });
    };
    add(SERVICES, &address, verdicts, false);
    add(NODE_PORTS, &port, verdicts, false);
    add(NODE_ADDRESSES, &[Ipv4Address], None, false);
    add(ENDPOINTS, &[Mark, Mark], Some(&target[..]), false);
    add(LIVE, &[Mark, Ipv4Address, Port], None, false);
    add(AFFINITY, &[Mark, Ipv4Address], Some(&target[..]), true);
    add(CLUSTER_IPS, &[Ipv4Address], None, false);
    add(NO_ENDPOINTS, &address, verdicts, false);
    add(NO_ENDPOINT_NODE_PORTS, &port, verdicts, false);
    add(FIREWALL, &address, verdicts, false);
    add(HAIRPIN, &[Ipv4Address, Ipv4Address, Protocol, Port], None, false);
}

fn rules(batch: &mut Batch, shape: &Shape) {
    let table = &shape.table;
    let mut add = |chain: &str, rule: Vec<Expr>| batch.add_rule(table, chain, &rule);
    let jump = |chain: &str| vec![expr::verdict(&Verdict::Jump(chain.to_owned()))];
    for chain in ["prerouting", "output"] {
        add(chain, jump("services"));
    }
    let of_new_connections = [
        ("filter-prerouting-pre-dnat", "firewall"),
        ("filter-output-pre-dnat", "firewall"),
        ("filter-input", "refuse-nodeports"),
        ("filter-input", "refuse"),
        ("filter-forward", "refuse"),
        ("filter-output", "refuse"),
        ("filter-forward", "refuse-cluster-ips"),
        ("filter-output", "refuse-cluster-ips"),
    ];
    for (from, to) in of_new_connections {
        add(from, [is_new(), jump(to)].concat());
    }
    add("postrouting", masquerade_marked());
    add("postrouting", masquerade_hairpin());
    add("services", mark_strangers(shape.cluster_range));
    add("services", chain(destination(), expr::verdict_map(SERVICES, R[0])));
    add("services", chain(node_port(), expr::verdict_map(NODE_PORTS, R[0])));
    add("firewall", chain(destination(), expr::verdict_map(FIREWALL, R[0])));
    add("refuse", chain(destination(), expr::verdict_map(NO_ENDPOINTS, R[0])));
    add("refuse-nodeports", chain(node_port(), expr::verdict_map(NO_ENDPOINT_NODE_PORTS, R[0])));
    // A cluster address that is still the destination has no such port.
    add(
        "refuse-cluster-ips",
        vec![expr::destination_address(R[0]), expr::in_set(CLUSTER_IPS, R[0]), expr::reject()],
    );
    // An address that no service has might get one; until then nobody is there.
    let unallocated =
        [vec![expr::destination_address(R[0])], within(shape.service_range, Is::Equal)].concat();
    add("refuse-cluster-ips", chain(unallocated, expr::verdict(&Verdict::Drop)));
    add(REJECT, vec![expr::reject()]);
}

fn chain(mut head: Vec<Expr>, last: Expr) -> Vec<Expr> {
    head.push(last);
    head
}

fn is_new() -> Vec<Expr> {
    vec![
        expr::ct(expr::Ct::State, R[0]),
        expr::bitwise(R[0], &expr::CT_STATE_NEW.to_ne_bytes(), &[0; 4]),
        expr::compare(R[0], Is::NotEqual, &[0; 4]),
    ]
}

fn destination() -> Vec<Expr> {
    vec![expr::destination_address(R[0]), expr::meta(Meta::L4Protocol, R[1]), expr::destination_port(R[2])]
}

fn node_port() -> Vec<Expr> {
    vec![
        expr::destination_address(R[0]),
        expr::in_set(NODE_ADDRESSES, R[0]),
        expr::meta(Meta::L4Protocol, R[0]),
        expr::destination_port(R[1]),
    ]
}

/// Marks what comes to a cluster address from outside the pods: the pod must answer through this node.
fn mark_strangers(cluster: Ipv4Range) -> Vec<Expr> {
    let to_service =
        vec![expr::destination_address(R[0]), expr::in_set(CLUSTER_IPS, R[0]), expr::source_address(R[0])];
    [to_service, within(cluster, Is::NotEqual), mark()].concat()
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

/// A pod that reaches itself through a service must see another sender, or it would answer itself directly.
fn masquerade_hairpin() -> Vec<Expr> {
    vec![
        expr::ct(expr::Ct::Status, R[0]),
        expr::bitwise(R[0], &expr::CT_STATUS_DNAT.to_ne_bytes(), &[0; 4]),
        expr::compare(R[0], Is::NotEqual, &[0; 4]),
        expr::source_address(R[0]),
        expr::destination_address(R[1]),
        expr::meta(Meta::L4Protocol, R[2]),
        expr::destination_port(R[3]),
        expr::in_set(HAIRPIN, R[0]),
        expr::masquerade(),
    ]
}
