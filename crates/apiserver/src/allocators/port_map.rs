//! Which node ports are taken, and which of them a service takes and gives up. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rand::Rng;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::status::ApiError;

/// The ports of a range that are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMap {
    range: RangeInclusive<u16>,
    taken: BTreeSet<u16>,
}

/// Why a port cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Somebody has it.
    #[error("provided port is already allocated")]
    Taken,
    /// It is not in the range.
    #[error("provided port is not in the valid range. The range of valid ports is {0}")]
    Outside(String),
    /// All are taken.
    #[error("range is full")]
    Full,
}

/// The range as upstream writes it.
pub fn range_text(range: &RangeInclusive<u16>) -> String {
    format!("{}-{}", range.start(), range.end())
}

impl PortMap {
    /// A range with nothing taken.
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, taken: BTreeSet::new() }
    }

    /// The map of a stored bitmap: a big-endian number of which bit `n` is the range's port `n`.
    pub fn of_bytes(range: RangeInclusive<u16>, bytes: &[u8]) -> Self {
        let bit = |offset: u16| {
            let byte = bytes.len().checked_sub(1 + usize::from(offset / 8)).map_or(0, |at| bytes[at]);
            byte >> (offset % 8) & 1 == 1
        };
        let taken = range.clone().filter(|port| bit(port - range.start())).collect();
        Self { range, taken }
    }

    /// What [`Self::of_bytes`] reads, as Go writes a number: without leading zeros.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Some(last) = self.taken.last() else { return Vec::new() };
        let mut bytes = vec![0u8; usize::from((last - self.range.start()) / 8) + 1];
        for port in &self.taken {
            let offset = port - self.range.start();
            bytes[usize::from(offset / 8)] |= 1 << (offset % 8);
        }
        bytes.reverse();
        bytes
    }

    /// Takes this port.
    pub fn claim(&mut self, port: i64) -> Result<u16, Unavailable> {
        let inside = u16::try_from(port).ok().filter(|port| self.range.contains(port));
        let port = inside.ok_or_else(|| Unavailable::Outside(range_text(&self.range)))?;
        if self.taken.insert(port) { Ok(port) } else { Err(Unavailable::Taken) }
    }

    /// Takes any port: of the upper part while there are some, so that users can choose from the lower (KEP-3668).
    pub fn take(&mut self) -> Result<u16, Unavailable> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let middle = first + self.reserved();
        let bands = [(middle, last), (first, middle.saturating_sub(1))];
        let bands = bands.into_iter().filter(|(from, to)| from <= to);
        let mut free = bands.filter_map(|(from, to)| self.free_between(from, to));
        let port = free.next().ok_or(Unavailable::Full)?;
        self.taken.insert(port);
        Ok(port)
    }

    /// Gives a port back.
    pub fn release(&mut self, port: u16) {
        self.taken.remove(&port);
    }

    /// Whether somebody has the port.
    pub fn has(&self, port: u16) -> bool {
        self.taken.contains(&port)
    }

    /// The ports that are taken.
    pub fn taken(&self) -> impl Iterator<Item = u16> {
        self.taken.iter().copied()
    }

    fn free_between(&self, from: u16, to: u16) -> Option<u16> {
        let start = rand::rng().random_range(from..=to);
        (start..=to).chain(from..start).find(|port| !self.taken.contains(port))
    }

    /// Upstream keeps a thirty-second, but 16 to 128, and nothing of 16 or less.
    fn reserved(&self) -> u16 {
        let size = self.range.end() - self.range.start();
        if size < 16 { 0 } else { ((u32::from(size) + 1) / 32).clamp(16, 128) as u16 }
    }
}

/// The ports that a service has newly, and those that it has no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Taken for it.
    pub got: Vec<u16>,
    /// To be given back once it is stored.
    pub lost: Vec<u16>,
}

/// Every node port of a service, its health check's too.
pub fn held(service: &Tree) -> BTreeSet<u16> {
    let ports = service.items_at("spec.ports").iter().filter_map(|port| port.i64_at("nodePort"));
    let health = service.i64_at("spec.healthCheckNodePort").filter(|_| needs_health_check(service));
    ports.chain(health).filter_map(|port| u16::try_from(port).ok()).filter(|port| *port != 0).collect()
}

/// Gives `new` the node ports it needs and says what changes hands.
pub fn assign(map: &mut PortMap, new: &mut Tree, old: Option<&Tree>) -> Result<Exchange, ApiError> {
    let had = old.map(held).unwrap_or_default();
    let mut got = Vec::new();
    if matches!(new.str_at("spec.type"), "NodePort" | "LoadBalancer") {
        let mut ports = new.items_at("spec.ports").to_vec();
        let wanted = allocates(new);
        let assigned = if old.is_some() {
            update_ports(map, &mut ports, wanted, &had, &mut got)
        } else {
            create_ports(map, &mut ports, wanted, &mut got)
        };
        assigned.map_err(|refused| refused.tell(new))?;
        if !ports.is_empty() {
            new.set("spec.ports", ports);
        }
    }
    if needs_health_check(new) && !old.is_some_and(needs_health_check) {
        health_check(map, new, &mut got)?;
    }
    let has = held(new);
    Ok(Exchange { got, lost: had.into_iter().filter(|port| !has.contains(port)).collect() })
}

/// Why a port of the list cannot be had.
enum Refused {
    /// Asked for by the port of that index.
    Asked(usize, i64, Unavailable),
    /// None is left.
    None(Unavailable),
    /// Two ports of the service are the same.
    Twice(String, i64),
}

impl Refused {
    fn tell(self, service: &Tree) -> ApiError {
        match self {
            Self::Asked(index, port, why) => {
                let path = Path::new("spec").child("ports").index(index).child("nodePort");
                let problem = Error::invalid(path, port, why.to_string());
                ApiError::invalid("", "Service", service.name(), &vec![problem])
            }
            Self::None(why) => ApiError::internal(format!("failed to allocate a nodePort: {why}")),
            Self::Twice(protocol, port) => {
                ApiError::new(500, "", format!("duplicate nodePort: {{{protocol} {port}}}"))
            }
        }
    }
}

/// Ports of the same number (of TCP and UDP, say) share their node port.
fn create_ports(
    map: &mut PortMap,
    ports: &mut [Tree],
    wanted: bool,
    got: &mut Vec<u16>,
) -> Result<(), Refused> {
    let mut by_port: BTreeMap<i64, i64> = BTreeMap::new();
    for index in 0..ports.len() {
        let (port, asked) = (number(&ports[index], "port"), number(&ports[index], "nodePort"));
        if asked == 0 && !wanted {
            continue;
        }
        let claim =
            |map: &mut PortMap, asked| map.claim(asked).map_err(|why| Refused::Asked(index, asked, why));
        let has = match by_port.get(&port) {
            Some(shared) if asked == 0 || asked == *shared => *shared,
            Some(_) => {
                got.push(claim(map, asked)?);
                continue;
            }
            None => {
                let same = |other: &&Tree| number(other, "port") == port && number(other, "nodePort") != 0;
                let taken = match ports.iter().find(same) {
                    Some(other) => claim(map, number(other, "nodePort"))?,
                    None => map.take().map_err(Refused::None)?,
                };
                got.push(taken);
                taken.into()
            }
        };
        by_port.insert(port, has);
        ports[index].set("nodePort", has);
    }
    Ok(())
}

fn update_ports(
    map: &mut PortMap,
    ports: &mut [Tree],
    wanted: bool,
    had: &BTreeSet<u16>,
    got: &mut Vec<u16>,
) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter_mut().enumerate() {
        let mut asked = number(port, "nodePort");
        if asked == 0 && !wanted {
            continue;
        }
        let known =
            |asked| u16::try_from(asked).is_ok_and(|asked| had.contains(&asked) || got.contains(&asked));
        if asked == 0 {
            let taken = map.take().map_err(Refused::None)?;
            got.push(taken);
            asked = taken.into();
            port.set("nodePort", asked);
        } else if !known(asked) {
            got.push(map.claim(asked).map_err(|why| Refused::Asked(index, asked, why))?);
        }
        let protocol = port.str_at("protocol").to_owned();
        if !seen.insert((protocol.clone(), asked)) {
            return Err(Refused::Twice(protocol, asked));
        }
    }
    Ok(())
}

fn health_check(map: &mut PortMap, service: &mut Tree, got: &mut Vec<u16>) -> Result<(), ApiError> {
    let asked = number(service, "spec.healthCheckNodePort");
    let taken = match asked {
        0 => map.take().map_err(|why| format!("failed to allocate a HealthCheck NodePort 0: {why}")),
        _ => map
            .claim(asked)
            .map_err(|why| format!("failed to allocate requested HealthCheck NodePort {asked}: {why}")),
    };
    let taken = taken.map_err(ApiError::internal)?;
    got.push(taken);
    service.set("spec.healthCheckNodePort", taken);
    Ok(())
}

fn number(tree: &Tree, path: &str) -> i64 {
    tree.i64_at(path).unwrap_or(0)
}

fn needs_health_check(service: &Tree) -> bool {
    service.str_at("spec.type") == "LoadBalancer" && service.str_at("spec.externalTrafficPolicy") == "Local"
}

fn allocates(service: &Tree) -> bool {
    service.str_at("spec.type") == "NodePort"
        || service.bool_at("spec.allocateLoadBalancerNodePorts") != Some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map() -> PortMap {
        PortMap::new(30000..=30100)
    }

    fn service(spec: Tree) -> Tree {
        json!({"metadata": {"name": "s"}, "spec": spec})
    }

    fn node_ports(service: &Tree) -> Vec<i64> {
        service.items_at("spec.ports").iter().map(|port| number(port, "nodePort")).collect()
    }

    #[test]
    fn the_upper_part_comes_first() {
        let mut map = map();
        let taken: BTreeSet<u16> = (0..85).map(|_| map.take().unwrap()).collect();
        assert!(taken.len() == 85 && taken.iter().all(|port| *port >= 30016), "{taken:?}");
        assert_eq!(map.claim(30003), Ok(30003));
        let rest: BTreeSet<u16> = (0..15).map(|_| map.take().unwrap()).collect();
        assert!(rest.iter().all(|port| *port < 30016 && *port != 30003), "{rest:?}");
        assert_eq!(map.take(), Err(Unavailable::Full));
        map.release(30003);
        assert_eq!(map.take(), Ok(30003));
        let mut small = PortMap::new(30000..=30000);
        assert_eq!((small.take(), small.take()), (Ok(30000), Err(Unavailable::Full)));
    }

    #[test]
    fn the_bitmap_is_a_number_as_go_writes_it() {
        let mut map = map();
        assert_eq!(map.to_bytes(), [0u8; 0]);
        for port in [30000, 30001, 30009, 30100] {
            map.claim(port).unwrap();
        }
        let bytes = map.to_bytes();
        assert_eq!((bytes.len(), bytes[0], bytes[11], bytes[12]), (13, 0b1_0000, 0b10, 0b11));
        assert_eq!(PortMap::of_bytes(30000..=30100, &bytes), map);
    }

    #[test]
    fn ports_of_one_number_share_their_node_port() {
        let mut dns = service(json!({"type": "NodePort", "ports": [
            {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}]}));
        let exchange = assign(&mut map(), &mut dns, None).unwrap();
        let ports = node_ports(&dns);
        assert!(ports[0] == ports[1] && ports[0] != ports[2] && exchange.got.len() == 2, "{ports:?}");

        let mut asked = service(json!({"type": "NodePort", "ports": [
            {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "nodePort": 30053}]}));
        assert_eq!(assign(&mut map(), &mut asked, None).unwrap().got, [30053]);
        assert_eq!(node_ports(&asked), [30053, 30053]);
    }

    #[test]
    fn refusals_are_in_upstreams_words() {
        let node_port = |port: i64| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
        let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001,
            "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]});
        let at = "Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value:";
        let cases = [
            (node_port(30001), 422, format!("{at} 30001: provided port is already allocated")),
            (
                node_port(80),
                422,
                format!("{at} 80: provided port is not in the valid range. The range of valid ports is 30000-30100"),
            ),
            (
                local,
                500,
                "Internal error occurred: failed to allocate requested HealthCheck NodePort 30001: provided port is already allocated".into(),
            ),
        ];
        for (spec, code, message) in cases {
            let mut map = map();
            map.claim(30001).unwrap();
            let refused = assign(&mut map, &mut service(spec), None).unwrap_err();
            assert_eq!((refused.code, refused.message), (code, message));
        }
        let mut full = PortMap::new(30000..=30000);
        let mut two = service(json!({"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}));
        let refused = assign(&mut full, &mut two, None).unwrap_err();
        let message = "Internal error occurred: failed to allocate a nodePort: range is full";
        assert_eq!((refused.code, refused.message.as_str()), (500, message));
    }

    #[test]
    fn an_update_keeps_what_it_has_and_gives_up_what_it_drops() {
        let mut map = map();
        let mut old = service(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [
            {"port": 80, "protocol": "TCP", "nodePort": 30005}]}));
        let first = assign(&mut map, &mut old, None).unwrap();
        let health = u16::try_from(number(&old, "spec.healthCheckNodePort")).unwrap();
        assert_eq!(first, Exchange { got: vec![30005, health], lost: vec![] });

        let mut more = old.clone();
        more["spec"]["ports"].as_array_mut().unwrap().push(json!({"port": 81, "protocol": "TCP"}));
        let exchange = assign(&mut map, &mut more, Some(&old)).unwrap();
        assert_eq!((exchange.got.len(), exchange.lost.len()), (1, 0));

        let mut inner = service(json!({"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]}));
        let exchange = assign(&mut map, &mut inner, Some(&old)).unwrap();
        let lost: BTreeSet<u16> = exchange.lost.into_iter().collect();
        assert_eq!((exchange.got, lost), (vec![], [30005, health].into()));

        let mut twice = old.clone();
        twice["spec"]["ports"]
            .as_array_mut()
            .unwrap()
            .push(json!({"port": 81, "protocol": "TCP", "nodePort": 30005}));
        let refused = assign(&mut map, &mut twice, Some(&old)).unwrap_err();
        assert_eq!(refused.message, "duplicate nodePort: {TCP 30005}");
    }
}
