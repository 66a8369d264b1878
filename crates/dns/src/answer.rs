//! What the answer to a query is. Pure: the same cluster and the same query give the same reply.

use std::collections::HashSet;
use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::service::{Port, ServiceRecords, Target, undashed};
use crate::world::World;
use crate::zone::TTL;

/// The version of the service discovery specification that is followed.
const SCHEMA_VERSION: &str = "1.1.0";

/// How many aliases inside the cluster are followed; a longer chain is a loop.
const MOST_ALIASES: usize = 8;

/// What to answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Reply {
    /// These records.
    Found { answers: Vec<Record>, additionals: Vec<Record> },
    /// The name exists, but has no record of this type.
    NoData,
    /// There is no such name, nor one below it.
    NoName,
    /// An alias of a name outside the cluster, whose records belong into the answer too.
    Chase { chain: Vec<Record>, target: Name },
    /// Somebody else's name.
    #[default]
    NotOurs,
}

/// Answers a query for the records of `kind` of `name`.
pub(crate) fn answer(world: &World, name: &Name, kind: RecordType) -> Reply {
    let (mut chain, mut current) = (Vec::new(), name.clone());
    loop {
        match direct(world, &current, kind) {
            Reply::Chase { chain: alias, target } if chain.len() < MOST_ALIASES => {
                chain.extend(alias);
                current = target;
            }
            Reply::Found { answers, additionals } => {
                chain.extend(answers);
                return Reply::Found { answers: chain, additionals };
            }
            reply if chain.is_empty() => return reply,
            Reply::NotOurs => return Reply::Chase { chain, target: current },
            Reply::NoData | Reply::NoName | Reply::Chase { .. } => {
                return Reply::Found { answers: chain, additionals: Vec::new() };
            }
        }
    }
}

/// The answer without following an alias.
fn direct(world: &World, name: &Name, kind: RecordType) -> Reply {
    let lower = name.to_lowercase();
    let Some(labels) = world.zone.relative(&lower) else {
        return pointer(world, name, &lower, kind);
    };
    match labels[..] {
        [] => apex(world, name, kind),
        ["svc" | "pod" | "dns"] => Reply::NoData,
        ["dns-version"] => version(name, kind),
        ["ns", "dns"] => addresses(name, kind, server_addresses(world)),
        [namespace, "svc" | "pod"] if world.has_namespace(namespace) => Reply::NoData,
        [pod, namespace, "pod"] if world.has_namespace(namespace) => match undashed(pod) {
            Some(address) => addresses(name, kind, vec![address]),
            None => Reply::NoName,
        },
        [ref below @ .., service, namespace, "svc"] => match world.service(namespace, service) {
            Some(service) => in_service(service, below, name, kind),
            None => Reply::NoName,
        },
        _ => Reply::NoName,
    }
}

/// A name in `in-addr.arpa` or `ip6.arpa`. Only addresses of the cluster are ours.
fn pointer(world: &World, name: &Name, lower: &Name, kind: RecordType) -> Reply {
    let is_reverse = lower.iter().next_back() == Some(b"arpa".as_slice());
    let Some(network) = is_reverse.then(|| lower.parse_arpa_name().ok()).flatten() else {
        return Reply::NotOurs;
    };
    if network.prefix_len() != network.max_prefix_len() {
        return Reply::NotOurs;
    }
    let names = world.names_of(network.addr());
    if names.is_empty() {
        return Reply::NotOurs;
    }
    if !matches!(kind, RecordType::PTR | RecordType::ANY) {
        return Reply::NoData;
    }
    found(names.into_iter().map(|target| record(name, RData::PTR(PTR(target.clone())))).collect())
}

fn apex(world: &World, name: &Name, kind: RecordType) -> Reply {
    match kind {
        RecordType::SOA | RecordType::ANY => found(vec![world.zone.soa(world.serial)]),
        RecordType::NS => {
            let Some(server) = server_name(world) else {
                return Reply::NoData;
            };
            let additionals =
                server_addresses(world).into_iter().map(|ip| address_record(&server, ip)).collect();
            Reply::Found { answers: vec![record(name, RData::NS(NS(server)))], additionals }
        }
        _ => Reply::NoData,
    }
}

/// The Service under which a cluster's DNS is known, where it exists.
fn dns_service(world: &World) -> Option<&ServiceRecords> {
    world.service("kube-system", "kube-dns").map(AsRef::as_ref)
}

fn server_name(world: &World) -> Option<Name> {
    match dns_service(world) {
        Some(service) => Some(service.name.clone()),
        None => world.zone.child(&["ns", "dns"]),
    }
}

fn server_addresses(world: &World) -> Vec<IpAddr> {
    match dns_service(world).map(|service| &service.target) {
        Some(Target::Cluster { addresses, .. }) => addresses.clone(),
        _ => Vec::new(),
    }
}

fn version(name: &Name, kind: RecordType) -> Reply {
    match kind {
        RecordType::TXT | RecordType::ANY => {
            found(vec![record(name, RData::TXT(TXT::new(vec![SCHEMA_VERSION.to_owned()])))])
        }
        _ => Reply::NoData,
    }
}

/// One address that a name of a Service leads to.
struct Hit<'a> {
    address: IpAddr,
    /// The name that a service record gives: the Service's or the endpoint's.
    target: &'a Name,
    port: Option<u16>,
}

/// Which part of a Service a name asks for.
#[derive(Clone, Copy)]
enum Part<'a> {
    Whole,
    Host(&'a str),
    Port { name: &'a str, protocol: &'a str },
}

/// A name that is a Service's (`below` is empty) or under it.
fn in_service(service: &ServiceRecords, below: &[&str], name: &Name, kind: RecordType) -> Reply {
    let part = match *below {
        [] => Part::Whole,
        [protocol] if protocol.starts_with('_') => return protocol_name(service, &protocol[1..]),
        [host] => Part::Host(host),
        [port, protocol] => match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
            (Some(name), Some(protocol)) => Part::Port { name, protocol },
            _ => return Reply::NoName,
        },
        _ => return Reply::NoName,
    };
    let hits = match (&service.target, part) {
        (Target::External(Some(target)), Part::Whole) => return alias(name, target, kind),
        (Target::External(_), _) => return Reply::NoName,
        (Target::Cluster { addresses, ports }, Part::Whole | Part::Port { .. }) => {
            cluster_hits(service, addresses, ports, part)
        }
        (Target::Cluster { .. } | Target::Headless, _) => endpoint_hits(service, part),
    };
    match (hits.is_empty(), kind) {
        // A Service exists before it has its address; a headless one is there as long as it has endpoints.
        (true, _) if matches!((&service.target, part), (Target::Cluster { .. }, Part::Whole)) => {
            Reply::NoData
        }
        (true, _) => Reply::NoName,
        (false, RecordType::SRV) => services(name, &hits),
        (false, _) => addresses(name, kind, hits.iter().map(|hit| hit.address).collect()),
    }
}

/// `_tcp.web.default.svc…` has no records, but exists where a port below it does.
fn protocol_name(service: &ServiceRecords, protocol: &str) -> Reply {
    let has = |ports: &[Port]| ports.iter().any(|port| port.protocol == protocol && !port.name.is_empty());
    let exists = match &service.target {
        Target::Cluster { ports, .. } => has(ports),
        Target::Headless => service.endpoints.iter().any(|endpoint| has(&endpoint.ports)),
        Target::External(_) => false,
    };
    if exists { Reply::NoData } else { Reply::NoName }
}

fn alias(name: &Name, target: &Name, kind: RecordType) -> Reply {
    let alias = record(name, RData::CNAME(CNAME(target.clone())));
    match kind {
        RecordType::CNAME | RecordType::ANY => found(vec![alias]),
        _ => Reply::Chase { chain: vec![alias], target: target.clone() },
    }
}

fn cluster_hits<'a>(
    service: &'a ServiceRecords,
    addresses: &[IpAddr],
    ports: &[Port],
    part: Part<'_>,
) -> Vec<Hit<'a>> {
    let mut hits = Vec::with_capacity(addresses.len() * ports.len());
    for &address in addresses {
        push_hits(&mut hits, address, &service.name, ports, part);
    }
    hits
}

fn endpoint_hits<'a>(service: &'a ServiceRecords, part: Part<'_>) -> Vec<Hit<'a>> {
    let mut hits = Vec::with_capacity(service.endpoints.len());
    for endpoint in &service.endpoints {
        if matches!(part, Part::Host(host) if endpoint.host != host) {
            continue;
        }
        push_hits(&mut hits, endpoint.address, &endpoint.name, &endpoint.ports, part);
    }
    hits
}

/// One hit for each port that is asked for. What has no ports at all is still found by its name.
fn push_hits<'a>(hits: &mut Vec<Hit<'a>>, address: IpAddr, target: &'a Name, ports: &[Port], part: Part<'_>) {
    let wanted = |port: &&Port| match part {
        Part::Whole | Part::Host(_) => true,
        Part::Port { name, protocol } => !name.is_empty() && port.name == name && port.protocol == protocol,
    };
    if ports.is_empty() && !matches!(part, Part::Port { .. }) {
        hits.push(Hit { address, target, port: None });
    }
    let ports = ports.iter().filter(wanted);
    hits.extend(ports.map(|port| Hit { address, target, port: Some(port.number) }));
}

/// The service records of `hits`, all of one priority and of equal weight, and the addresses of their targets.
fn services(name: &Name, hits: &[Hit<'_>]) -> Reply {
    let share = u16::try_from(100 / hits.len()).unwrap_or(100).max(1);
    let (mut targets, mut hosts) = (HashSet::new(), HashSet::new());
    let (mut answers, mut additionals) = (Vec::new(), Vec::new());
    for hit in hits {
        let Some(port) = hit.port else {
            continue;
        };
        if targets.insert((hit.target, port)) {
            answers.push(record(name, RData::SRV(SRV::new(0, share, port, hit.target.clone()))));
        }
        if hosts.insert((hit.target, hit.address)) {
            additionals.push(address_record(hit.target, hit.address));
        }
    }
    if answers.is_empty() { Reply::NoData } else { Reply::Found { answers, additionals } }
}

/// The address records of one family, or of any for a query for everything.
fn addresses(name: &Name, kind: RecordType, mut addresses: Vec<IpAddr>) -> Reply {
    addresses.retain(|address| match kind {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        RecordType::ANY => true,
        _ => false,
    });
    if addresses.len() > 1 {
        addresses.sort_unstable();
        addresses.dedup();
    }
    if addresses.is_empty() {
        return Reply::NoData;
    }
    found(addresses.into_iter().map(|address| address_record(name, address)).collect())
}

fn found(answers: Vec<Record>) -> Reply {
    Reply::Found { answers, additionals: Vec::new() }
}

fn address_record(name: &Name, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    record(name, data)
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}
