//! The node ports as the services say them, against those that are stored. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;

use crate::allocators::events::Notice;
use crate::allocators::port_map::{PortMap, Unavailable, range_text};

/// In so many looks a port that no service has is given up: one may be on its way into the store.
const LOOKS: u8 = 3;

/// The ports that no service has, with how often they are still to be left alone.
pub type Leaks = BTreeMap<u16, u8>;

/// What is to be stored and told.
pub struct Rebuilt {
    /// The ports.
    pub map: PortMap,
    /// The ports to look at again.
    pub leaks: Leaks,
    /// By the service they are about.
    pub notices: Vec<(Arc<Tree>, Notice)>,
}

/// Takes every port that a service has, and keeps those that nobody has for a while.
pub fn rebuild(
    range: &RangeInclusive<u16>,
    stored: &PortMap,
    services: &[Arc<Tree>],
    leaks: &Leaks,
) -> Rebuilt {
    let mut map = PortMap::new(range.clone());
    let mut notices = Vec::new();
    for service in services {
        for port in ports_of(service) {
            let notice = match map.claim(port) {
                Ok(port) if stored.has(port) => continue,
                Ok(port) => notice("PortNotAllocated", format!("Port {port} is not allocated; repairing")),
                Err(Unavailable::Outside(_)) => notice(
                    "PortOutOfRange",
                    format!(
                        "Port {port} is not within the port range {}; please recreate service",
                        range_text(range)
                    ),
                ),
                Err(Unavailable::Taken | Unavailable::Full) => notice(
                    "PortAlreadyAllocated",
                    format!("Port {port} was assigned to multiple services; please recreate service"),
                ),
            };
            notices.push((service.clone(), notice));
        }
    }
    let mut after = Leaks::new();
    let unused: Vec<u16> = stored.taken().filter(|port| !map.has(*port)).collect();
    for port in unused {
        let left = leaks.get(&port).copied().unwrap_or(LOOKS - 1);
        if left == 0 {
            tracing::warn!(port, "a node port that no service has is given up");
        } else if map.claim(port.into()).is_ok() {
            after.insert(port, left - 1);
        }
    }
    Rebuilt { map, leaks: after, notices }
}

fn notice(reason: &str, note: String) -> Notice {
    Notice { reason: reason.to_owned(), action: "PortAllocation", note }
}

/// The node ports of a service, one of several protocols once.
fn ports_of(service: &Tree) -> Vec<i64> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let ports = service.items_at("spec.ports").iter();
    let ports = ports.map(|port| (port.i64_at("nodePort").unwrap_or(0), port.str_at("protocol")));
    let health = (service.i64_at("spec.healthCheckNodePort").unwrap_or(0), "TCP");
    for (port, protocol) in ports.chain([health]).filter(|(port, _)| *port != 0) {
        let known = seen.iter().any(|(other, _)| *other == port);
        if !seen.insert((port, protocol)) || !known {
            found.push(port);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(ports: Tree) -> Arc<Tree> {
        Arc::new(json!({"metadata": {"name": "s"}, "spec": {"ports": ports}}))
    }

    #[test]
    fn what_services_have_is_taken_and_told_about() {
        let services = [
            service(json!([{"nodePort": 30001, "protocol": "TCP"}, {"nodePort": 30001, "protocol": "UDP"}])),
            service(json!([{"nodePort": 30001, "protocol": "TCP"}])),
            service(json!([{"nodePort": 80, "protocol": "TCP"}])),
            service(json!([{"nodePort": 30002, "protocol": "TCP"}])),
        ];
        let mut stored = PortMap::new(30000..=30009);
        stored.claim(30002).unwrap();
        let rebuilt = rebuild(&(30000..=30009), &stored, &services, &Leaks::new());
        let notes: Vec<&str> = rebuilt.notices.iter().map(|(_, notice)| notice.note.as_str()).collect();
        assert_eq!(
            notes,
            [
                "Port 30001 is not allocated; repairing",
                "Port 30001 was assigned to multiple services; please recreate service",
                "Port 80 is not within the port range 30000-30009; please recreate service",
            ]
        );
        assert_eq!(rebuilt.map.taken().collect::<Vec<_>>(), [30001, 30002]);
    }

    #[test]
    fn a_port_that_nobody_has_is_given_up_at_the_third_look() {
        let mut stored = PortMap::new(30000..=30009);
        stored.claim(30003).unwrap();
        let mut leaks = Leaks::new();
        let mut kept = Vec::new();
        for _ in 0..3 {
            let rebuilt = rebuild(&(30000..=30009), &stored, &[], &leaks);
            (stored, leaks) = (rebuilt.map, rebuilt.leaks);
            kept.push(stored.has(30003));
        }
        assert_eq!(kept, [true, true, false]);
    }
}
