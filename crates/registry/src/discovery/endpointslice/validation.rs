//! Validation of endpoint slices.

use std::net::IpAddr;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{
    Seen, immutable, known_word, label, ordinary_ip, port_number, qualified, required_word, subdomain,
};
use crate::tree::Read;

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20000;
const MAX_HINTS: usize = 8;
const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

/// Checks a slice.
pub(super) fn create(slice: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let kind = slice.text("addressType");
    required_word(&mut found, Path::new("addressType"), kind, &TYPES);
    endpoints(&mut found, slice.items("endpoints"), kind, &Path::new("endpoints"));
    ports(&mut found, slice.items("ports"), &Path::new("ports"));
    found
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    immutable(&mut found, Path::new("addressType"), new.at("addressType"), old.at("addressType"));
    found
}

fn endpoints(found: &mut ErrorList, endpoints: &[Tree], kind: &str, path: &Path) {
    if endpoints.len() > MAX_ENDPOINTS {
        found.push(Error::too_many(path.clone(), endpoints.len(), MAX_ENDPOINTS));
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = path.index(index);
        addresses(found, endpoint, kind, &path.child("addresses"));
        if endpoint.has("nodeName") {
            subdomain(found, &path.child("nodeName"), endpoint.text("nodeName"));
        }
        if endpoint.has("hostname") {
            label(found, &path.child("hostname"), endpoint.text("hostname"));
        }
        hints(found, endpoint, &path.child("hints"));
    }
}

fn addresses(found: &mut ErrorList, endpoint: &Tree, kind: &str, path: &Path) {
    let addresses = endpoint.texts("addresses");
    if addresses.is_empty() {
        found.push(Error::required(path.clone(), "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        found.push(Error::too_many(path.clone(), addresses.len(), MAX_ADDRESSES));
    }
    for (index, address) in addresses.into_iter().enumerate() {
        let path = path.index(index);
        let parsed = address.parse::<IpAddr>();
        let why = match (kind, parsed) {
            ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => None,
            ("IPv4", _) => Some("must be a valid IPv4 address"),
            ("IPv6", _) => Some("must be a valid IPv6 address"),
            ("FQDN", _) => {
                subdomain(found, &path, address);
                continue;
            }
            _ => continue,
        };
        match why {
            Some(why) => found.push(Error::invalid(path, address, why)),
            None => ordinary_ip(found, &path, address),
        }
    }
}

fn hints(found: &mut ErrorList, endpoint: &Tree, path: &Path) {
    for list in ["forZones", "forNodes"] {
        let (hints, path) = (endpoint.at("hints").items(list), path.child(list));
        if hints.len() > MAX_HINTS {
            found.push(Error::too_many(path, hints.len(), MAX_HINTS));
            continue;
        }
        let mut seen = Seen::default();
        for (index, hint) in hints.iter().enumerate() {
            let (name, path) = (hint.text("name"), path.index(index).child("name"));
            seen.unique(found, path.clone(), name);
            subdomain(found, &path, name);
        }
    }
}

fn ports(found: &mut ErrorList, ports: &[Tree], path: &Path) {
    if ports.len() > MAX_PORTS {
        found.push(Error::too_many(path.clone(), ports.len(), MAX_PORTS));
        return;
    }
    let mut names = Seen::default();
    for (index, port) in ports.iter().enumerate() {
        let (name, path) = (port.text("name"), path.index(index));
        if !name.is_empty() {
            label(found, &path.child("name"), name);
        }
        names.unique(found, path.child("name"), name);
        match port.text("protocol") {
            "" => found.push(Error::required(path.child("protocol"), "")),
            protocol => known_word(found, path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]),
        }
        if let Some(number) = port.int("port") {
            port_number(found, &path.child("port"), number);
        }
        if port.has("appProtocol") {
            qualified(found, &path.child("appProtocol"), port.text("appProtocol"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (json!({"addressType": "IPv4"}), vec![]),
            (json!({}), vec!["addressType: Required value"]),
            (
                json!({"addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1"]}, {}]}),
                vec![
                    "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address",
                    "endpoints[1].addresses: Required value: must contain at least 1 address",
                ],
            ),
            (
                json!({"addressType": "IPv4", "ports": [{"protocol": "TCP"}, {"protocol": "TCP"}]}),
                vec!["ports[1].name: Duplicate value: \"\""],
            ),
        ];
        for (slice, want) in cases {
            assert_eq!(texts(&create(&slice)), want, "{slice}");
        }
        let (old, new) = (json!({"addressType": "IPv4"}), json!({"addressType": "IPv6"}));
        assert_eq!(texts(&update(&new, &old)), ["addressType: Invalid value: \"IPv6\": field is immutable"]);
    }
}
