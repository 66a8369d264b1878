//! Addresses and node ports of services.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;

use super::pool::{Pool, Unavailable};
use crate::hooks::{Hooks, Outcome, Reservation};

/// The IPv4 addresses that services get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    network: Ipv4Addr,
    prefix_length: u8,
}

impl AddressRange {
    /// The range `network/prefix_length`; `None` if it has no room for services.
    pub fn new(network: Ipv4Addr, prefix_length: u8) -> Option<Self> {
        if !(8..=30).contains(&prefix_length) {
            return None;
        }
        let mask = u32::MAX << (32 - prefix_length);
        Some(Self { network: Ipv4Addr::from(u32::from(network) & mask), prefix_length })
    }

    /// The first address: the `kubernetes` service's.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) + 1)
    }

    fn pool(&self) -> Pool {
        let start = u32::from(self.network);
        let size = 1u32 << (32 - self.prefix_length);
        // Upstream keeps a sixteenth, but 16 to 256 addresses, for users to choose from.
        Pool::new(start + 1..start + size - 1, (size / 16).clamp(16, 256))
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_length)
    }
}

struct Pools {
    addresses: Pool,
    ports: Pool,
}

/// What a service has, or wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holdings {
    addresses: Vec<u32>,
    ports: Vec<u32>,
}

/// Hands out the addresses and node ports of services.
pub struct ServiceAllocations {
    range: AddressRange,
    ports: RangeInclusive<u16>,
    pools: Arc<Mutex<Pools>>,
}

impl ServiceAllocations {
    /// Allocations from these ranges, with nothing taken.
    pub fn new(range: AddressRange, ports: RangeInclusive<u16>) -> Self {
        let port_range = u32::from(*ports.start())..u32::from(*ports.end()) + 1;
        // Upstream keeps a thirty-second of the ports, but 16 to 128, for users to choose from.
        let reserved = (port_range.end.saturating_sub(port_range.start) / 32).clamp(16, 128);
        let pools = Pools { addresses: range.pool(), ports: Pool::new(port_range, reserved) };
        Self { range, ports, pools: Arc::new(Mutex::new(pools)) }
    }

    fn reserve_all(&self, new: &mut Tree, had: &Holdings, got: &mut Holdings) -> Result<(), Error> {
        let kind = new.str_at("spec.type").to_owned();
        if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
            self.reserve_address(new, had, got)?;
        }
        let ports_wanted = kind == "NodePort"
            || kind == "LoadBalancer" && new.bool_at("spec.allocateLoadBalancerNodePorts") != Some(false);
        self.reserve_ports(new, had, got, ports_wanted)
    }

    fn reserve_address(&self, new: &mut Tree, had: &Holdings, got: &mut Holdings) -> Result<(), Error> {
        let path = Path::new("spec").child("clusterIPs");
        let asked = new.str_at("spec.clusterIP").to_owned();
        if asked == "None" {
            return Ok(());
        }
        if asked.is_empty() {
            let number = self.pools.lock().addresses.take().map_err(|_| {
                Error::invalid(
                    path,
                    Value::Array(Vec::new()),
                    "failed to allocate a serviceIP: range is full",
                )
            })?;
            got.addresses.push(number);
            let address = Ipv4Addr::from(number).to_string();
            new.set("spec.clusterIP", address.as_str());
            new.set("spec.clusterIPs", vec![address]);
            return Ok(());
        }
        let listed = new.at("spec.clusterIPs").cloned().unwrap_or_else(|| vec![asked.as_str()].into());
        let Ok(IpAddr::V4(address)) = asked.parse() else {
            return Ok(()); // Not an address: validation says so.
        };
        let number = u32::from(address);
        if had.addresses.contains(&number) {
            return Ok(());
        }
        self.pools.lock().addresses.claim(number).map_err(|why| {
            let why = match why {
                Unavailable::Outside => format!(
                    "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
                    self.range
                ),
                Unavailable::Taken | Unavailable::Full => "provided IP is already allocated".to_owned(),
            };
            Error::invalid(path, listed, format!("failed to allocate IP {address}: {why}"))
        })?;
        got.addresses.push(number);
        Ok(())
    }

    fn reserve_ports(
        &self,
        new: &mut Tree,
        had: &Holdings,
        got: &mut Holdings,
        wanted: bool,
    ) -> Result<(), Error> {
        let mut ports = new.items_at("spec.ports").to_vec();
        for (index, port) in ports.iter_mut().enumerate() {
            let path = Path::new("spec").child("ports").index(index).child("nodePort");
            match port.i64_at("nodePort").unwrap_or(0) {
                0 if wanted => {
                    let number = self.pools.lock().ports.take().map_err(|_| {
                        Error::invalid(path, 0, "failed to allocate a nodePort: range is full")
                    })?;
                    got.ports.push(number);
                    port.set("nodePort", number);
                }
                0 => {}
                asked => self.claim_port(asked, had, got).map_err(|why| Error::invalid(path, asked, why))?,
            }
        }
        if !ports.is_empty() {
            new.set("spec.ports", ports);
        }
        Ok(())
    }

    fn claim_port(&self, asked: i64, had: &Holdings, got: &mut Holdings) -> Result<(), String> {
        let outside = || {
            let (from, to) = (self.ports.start(), self.ports.end());
            format!("provided port is not in the valid range. The range of valid ports is {from}-{to}")
        };
        let number = u32::try_from(asked).map_err(|_| outside())?;
        // Ports of one service may share a number under different protocols.
        if had.ports.contains(&number) || got.ports.contains(&number) {
            return Ok(());
        }
        self.pools.lock().ports.claim(number).map_err(|why| match why {
            Unavailable::Outside => outside(),
            Unavailable::Taken | Unavailable::Full => "provided port is already allocated".to_owned(),
        })?;
        got.ports.push(number);
        Ok(())
    }
}

fn give_back(pools: &Mutex<Pools>, holdings: &Holdings) {
    let mut pools = pools.lock();
    holdings.addresses.iter().for_each(|number| pools.addresses.release(*number));
    holdings.ports.iter().for_each(|number| pools.ports.release(*number));
}

fn held(service: &Tree) -> Holdings {
    let addresses = service.items_at("spec.clusterIPs").iter().filter_map(Value::as_str);
    let addresses = addresses.filter_map(|text| text.parse::<Ipv4Addr>().ok()).map(u32::from).collect();
    let ports = service.items_at("spec.ports").iter().filter_map(|port| port.i64_at("nodePort"));
    let ports = ports.filter_map(|port| u32::try_from(port).ok()).filter(|port| *port != 0).collect();
    Holdings { addresses, ports }
}

impl Hooks for ServiceAllocations {
    fn restores(&self) -> bool {
        true
    }

    fn restore(&self, service: &Tree) {
        let mut pools = self.pools.lock();
        let held = held(service);
        let clashes = held.addresses.iter().filter(|number| pools.addresses.claim(**number).is_err()).count()
            + held.ports.iter().filter(|number| pools.ports.claim(**number).is_err()).count();
        if clashes > 0 {
            let (namespace, name) = (service.namespace(), service.name());
            tracing::warn!(
                namespace,
                name,
                "a service has an address or port of another one or outside the range"
            );
        }
    }

    fn reserve(&self, new: &mut Tree, old: Option<&Tree>) -> Result<Reservation, ApiError> {
        let had = old.map(held).unwrap_or_default();
        let mut got = Holdings::default();
        if let Err(problem) = self.reserve_all(new, &had, &mut got) {
            give_back(&self.pools, &got);
            return Err(ApiError::invalid("", "Service", new.name(), &vec![problem]));
        }
        let has = held(new);
        let lost = Holdings {
            addresses: had.addresses.into_iter().filter(|n| !has.addresses.contains(n)).collect(),
            ports: had.ports.into_iter().filter(|n| !has.ports.contains(n)).collect(),
        };
        let pools = self.pools.clone();
        Ok(Reservation::new(move |outcome| match outcome {
            Outcome::Stored => give_back(&pools, &lost),
            Outcome::Abandoned => give_back(&pools, &got),
        }))
    }

    fn released(&self, old: &Tree) {
        give_back(&self.pools, &held(old));
    }

    fn answers_delete_with_object(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn allocations() -> ServiceAllocations {
        let range = AddressRange::new(Ipv4Addr::new(10, 96, 0, 0), 24).expect("a range");
        ServiceAllocations::new(range, 30000..=30100)
    }

    fn service(spec: Tree) -> Tree {
        json!({"metadata": {"name": "s", "namespace": "default"}, "spec": spec})
    }

    #[test]
    fn addresses_and_ports_are_given_and_come_back() {
        let all = allocations();
        let mut one =
            service(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}, {"port": 81}]}));
        all.reserve(&mut one, None).expect("is free").keep();
        assert!(one.str_at("spec.clusterIP").starts_with("10.96.0."));
        assert_eq!(one["spec"]["clusterIPs"][0], one["spec"]["clusterIP"]);
        assert!(one["spec"]["ports"][1]["nodePort"].as_i64().is_some_and(|p| (30000..=30100).contains(&p)));

        let mut same = service(json!({"type": "ClusterIP", "clusterIP": one["spec"]["clusterIP"]}));
        let refused = all.reserve(&mut same, None).err().expect("is taken");
        assert!(refused.message.ends_with("provided IP is already allocated"), "{}", refused.message);
        all.released(&one);
        drop(all.reserve(&mut same, None).expect("is free again"));
        drop(all.reserve(&mut same, None).expect("a dropped reservation gives back"));
    }

    #[test]
    fn an_update_keeps_what_it_has_and_frees_what_it_drops() {
        let all = allocations();
        let mut old = service(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30005}]}));
        all.reserve(&mut old, None).expect("is free").keep();
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        new["spec"]["ports"] = json!([{"port": 80}]);
        all.reserve(&mut new, Some(&old)).expect("keeps its address").keep();
        let mut other = service(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30005}]}));
        assert!(all.reserve(&mut other, None).is_ok());
    }

    #[test]
    fn what_is_outside_is_refused_in_upstreams_words() {
        let all = allocations();
        for (spec, end) in [
            (
                json!({"type": "ClusterIP", "clusterIP": "10.97.0.1"}),
                "The range of valid IPs is 10.96.0.0/24",
            ),
            (
                json!({"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]}),
                "The range of valid ports is 30000-30100",
            ),
        ] {
            let refused = all.reserve(&mut service(spec), None).err().expect("is outside");
            assert!(refused.message.ends_with(end), "{}", refused.message);
        }
    }

    #[test]
    fn stored_services_are_remembered() {
        let all = allocations();
        let stored = service(json!({"clusterIPs": ["10.96.0.9"], "ports": [{"port": 1, "nodePort": 30009}]}));
        all.restore(&stored);
        let mut asks = service(json!({"type": "ClusterIP", "clusterIP": "10.96.0.9"}));
        assert!(all.reserve(&mut asks, None).is_err());
    }
}
