//! Which endpoints of a service port this node sends to. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint as WireEndpoint, EndpointSlice};

use crate::model::protocol_number;

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address of the pod.
    pub address: Ipv4Addr,
    /// Port of the pod.
    pub port: u16,
    /// Whether the pod is on this node.
    pub local: bool,
}

/// What endpoints are chosen by.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Name of this node.
    pub name: String,
    /// The zone that the node is in.
    pub zone: Option<String>,
}

/// The endpoints of one service port, all lists sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// For traffic policy `Cluster`.
    pub cluster: Vec<Endpoint>,
    /// For traffic policy `Local`.
    pub local: Vec<Endpoint>,
    /// Whether there is an endpoint that could be used on any node.
    pub exist: bool,
    /// Pods of this node that are ready.
    pub ready_local: Vec<Ipv4Addr>,
    /// Those that flows under way may stay with: all that serve, or if none does all there are.
    pub answering: Vec<Endpoint>,
}

/// Which lists are needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uses {
    pub cluster: bool,
    pub local: bool,
}

/// One endpoint as its slice describes it.
struct Candidate<'a> {
    endpoint: Endpoint,
    ready: bool,
    serving: bool,
    terminating: bool,
    wire: &'a WireEndpoint,
}

impl Candidate<'_> {
    /// Used where no endpoint is ready (KEP-1669).
    fn is_last_resort(&self) -> bool {
        self.serving && self.terminating
    }

    fn zones(&self) -> impl Iterator<Item = &str> {
        let hints = self.wire.hints.iter().flat_map(|hints| hints.for_zones.iter().flatten());
        hints.map(|zone| zone.name.as_str())
    }

    fn nodes(&self) -> impl Iterator<Item = &str> {
        let hints = self.wire.hints.iter().flat_map(|hints| hints.for_nodes.iter().flatten());
        hints.map(|node| node.name.as_str())
    }
}

/// The endpoints of the port of this name and protocol.
pub(crate) fn endpoints(
    slices: &[Arc<EndpointSlice>],
    port: &str,
    protocol: u8,
    uses: Uses,
    node: &NodeFacts,
) -> Endpoints {
    let ipv4 = slices.iter().filter(|slice| slice.address_type == "IPv4");
    let candidates: Vec<Candidate<'_>> =
        ipv4.flat_map(|slice| of_slice(slice, port, protocol, node)).collect();
    let chosen = |wanted: &dyn Fn(&Candidate<'_>) -> bool| {
        let found: BTreeSet<Endpoint> = candidates.iter().filter(|c| wanted(c)).map(|c| c.endpoint).collect();
        found.into_iter().collect::<Vec<_>>()
    };
    let or = |first: Vec<Endpoint>, wanted: &dyn Fn(&Candidate<'_>) -> bool| {
        if first.is_empty() { chosen(wanted) } else { first }
    };
    let ready_local = chosen(&|c| c.endpoint.local && c.ready);
    let mut endpoints = Endpoints {
        exist: candidates.iter().any(|candidate| candidate.ready || candidate.is_last_resort()),
        ready_local: ready_local.iter().map(|endpoint| endpoint.address).collect(),
        answering: or(chosen(&|c| c.serving), &|_| true),
        ..Endpoints::default()
    };
    if uses.cluster {
        let near = nearness(&candidates, node);
        let ready = chosen(&|c| c.ready && near.allows(c, node));
        endpoints.cluster = or(ready, &|c| c.is_last_resort());
    }
    if uses.local {
        endpoints.local = or(ready_local, &|c| c.endpoint.local && c.is_last_resort());
    }
    endpoints
}

/// How near endpoints must be, as the hints of their slices say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nearness {
    Anywhere,
    SameZone,
    SameNode,
}

impl Nearness {
    fn allows(self, candidate: &Candidate<'_>, node: &NodeFacts) -> bool {
        match self {
            Self::Anywhere => true,
            Self::SameNode => candidate.nodes().any(|name| name == node.name),
            Self::SameZone => candidate.zones().any(|zone| Some(zone) == node.zone.as_deref()),
        }
    }
}

/// Hints count only if every ready endpoint has one, and one of them is for us.
fn nearness(candidates: &[Candidate<'_>], node: &NodeFacts) -> Nearness {
    let ready = || candidates.iter().filter(|candidate| candidate.ready);
    let ours = |nearness: Nearness| ready().any(|candidate| nearness.allows(candidate, node));
    if ready().all(|candidate| candidate.nodes().next().is_some()) && ours(Nearness::SameNode) {
        return Nearness::SameNode;
    }
    if ready().all(|candidate| candidate.zones().next().is_some()) && ours(Nearness::SameZone) {
        return Nearness::SameZone;
    }
    Nearness::Anywhere
}

fn of_slice<'a>(
    slice: &'a EndpointSlice,
    port: &str,
    protocol: u8,
    node: &NodeFacts,
) -> impl Iterator<Item = Candidate<'a>> {
    let matching = slice.ports.iter().flatten().find(|candidate| {
        candidate.name.as_deref().unwrap_or_default() == port
            && protocol_number(candidate.protocol.as_deref()) == Some(protocol)
    });
    let number = matching.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok());
    let wire = number.map(|_| slice.endpoints.iter().flatten()).into_iter().flatten();
    wire.filter_map(move |wire| {
        let local = wire.node_name.as_deref() == Some(node.name.as_str());
        let endpoint = Endpoint { address: wire.addresses.first()?.parse().ok()?, port: number?, local };
        // What is not said counts as ready and serving.
        let said = |read: fn(&k8s_openapi::api::discovery::v1::EndpointConditions) -> Option<bool>| {
            wire.conditions.as_ref().and_then(read)
        };
        Some(Candidate {
            endpoint,
            ready: said(|conditions| conditions.ready).unwrap_or(true),
            serving: said(|conditions| conditions.serving).unwrap_or(true),
            terminating: said(|conditions| conditions.terminating).unwrap_or(false),
            wire,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BOTH: Uses = Uses { cluster: true, local: true };

    fn read(endpoints: Value) -> Endpoints {
        let slice = json!({
            "metadata": { "name": "web-1" }, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }], "endpoints": endpoints,
        });
        let slices = [Arc::new(serde_json::from_value(slice).expect("a slice"))];
        let node = NodeFacts { name: "n1".to_owned(), zone: Some("z1".to_owned()) };
        super::endpoints(&slices, "http", 6, BOTH, &node)
    }

    /// The last parts of addresses.
    fn last(endpoints: &[Endpoint]) -> Vec<u8> {
        endpoints.iter().map(|endpoint| endpoint.address.octets()[3]).collect()
    }

    fn endpoint(number: u8, node: &str, ready: bool, serving: bool, terminating: bool) -> Value {
        json!({ "addresses": [format!("10.0.0.{number}")], "nodeName": node,
            "conditions": { "ready": ready, "serving": serving, "terminating": terminating } })
    }

    #[test]
    fn ready_endpoints_come_first_then_those_that_still_serve() {
        let ready = |number, node| endpoint(number, node, true, true, false);
        let ending = |number, node| endpoint(number, node, false, true, true);
        let unready = |number, node| endpoint(number, node, false, false, false);
        let silent = json!({ "addresses": ["10.0.0.9"], "nodeName": "n1" });
        type Case = (&'static str, Value, Vec<u8>, Vec<u8>, bool, Vec<u8>);
        let cases: Vec<Case> = vec![
            ("nothing", json!([]), vec![], vec![], false, vec![]),
            ("no conditions", json!([silent]), vec![9], vec![9], true, vec![9]),
            ("ready only", json!([ready(2, "n1"), ending(3, "n1")]), vec![2], vec![2], true, vec![2, 3]),
            ("last resort", json!([ending(3, "n2"), unready(4, "n1")]), vec![3], vec![], true, vec![3]),
            ("each for itself", json!([ready(2, "n2"), ending(3, "n1")]), vec![2], vec![3], true, vec![2, 3]),
            ("none usable", json!([unready(4, "n1"), unready(5, "n2")]), vec![], vec![], false, vec![4, 5]),
        ];
        for (name, given, cluster, local, exist, answering) in cases {
            let endpoints = read(given);
            let got = (last(&endpoints.cluster), last(&endpoints.local), endpoints.exist);
            assert_eq!(got, (cluster, local, exist), "{name}");
            assert_eq!(last(&endpoints.answering), answering, "{name}");
            let ready_local = if name == "each for itself" { vec![] } else { endpoints.local.clone() };
            let ready_local: Vec<_> = ready_local.iter().map(|endpoint| endpoint.address).collect();
            assert_eq!(endpoints.ready_local, ready_local, "{name}");
        }
    }

    #[test]
    fn hints_keep_traffic_near_where_all_have_one() {
        let hinted = |number: u8, hints: Value| json!({ "addresses": [format!("10.0.0.{number}")], "nodeName": "n2", "hints": hints });
        let zones = |names: &[&str]| json!({ "forZones": names.iter().map(|n| json!({ "name": n })).collect::<Vec<_>>() });
        let cases = [
            ("our zone", json!([hinted(2, zones(&["z1"])), hinted(3, zones(&["z2"]))]), vec![2]),
            ("not for us", json!([hinted(2, zones(&["z3"])), hinted(3, zones(&["z2"]))]), vec![2, 3]),
            ("one has none", json!([hinted(2, zones(&["z1"])), hinted(3, json!({}))]), vec![2, 3]),
            (
                "our node before our zone",
                json!([
                    hinted(2, json!({ "forZones": [{ "name": "z1" }], "forNodes": [{ "name": "n2" }] })),
                    hinted(3, json!({ "forZones": [{ "name": "z1" }], "forNodes": [{ "name": "n1" }] })),
                ]),
                vec![3],
            ),
        ];
        for (name, given, want) in cases {
            assert_eq!(last(&read(given).cluster), want, "{name}");
        }
    }
}
