//! Validation of endpoints.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{ip, label, ordinary_ip, port_number, qualified, required, required_word, subdomain};
use crate::tree::Read;

/// Checks endpoints.
pub(super) fn endpoints(endpoints: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    for (index, subset) in endpoints.items("subsets").iter().enumerate() {
        let path = Path::new("subsets").index(index);
        if subset.items("addresses").is_empty() && subset.items("notReadyAddresses").is_empty() {
            let why = "must specify `addresses` or `notReadyAddresses`";
            found.push(Error::required(path.clone(), why));
        }
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in subset.items(list).iter().enumerate() {
                self::address(&mut found, address, &path.child(list).index(index));
            }
        }
        let ports = subset.items("ports");
        for (index, port) in ports.iter().enumerate() {
            self::port(&mut found, port, ports.len() > 1, &path.child("ports").index(index));
        }
    }
    found
}

fn address(found: &mut ErrorList, address: &Tree, path: &Path) {
    let at = path.child("ip");
    if ip(found, &at, address.text("ip")).is_some() {
        ordinary_ip(found, &at, address.text("ip"));
    }
    if !address.text("hostname").is_empty() {
        label(found, &path.child("hostname"), address.text("hostname"));
    }
    if address.has("nodeName") {
        subdomain(found, &path.child("nodeName"), address.text("nodeName"));
    }
}

fn port(found: &mut ErrorList, port: &Tree, named: bool, path: &Path) {
    let name = port.text("name");
    if !name.is_empty() {
        label(found, &path.child("name"), name);
    } else if named {
        required(found, path.child("name"), name);
    }
    port_number(found, &path.child("port"), port.int("port").unwrap_or(0));
    required_word(found, path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    if port.has("appProtocol") {
        qualified(found, &path.child("appProtocol"), port.text("appProtocol"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let port = json!({"port": 80, "protocol": "TCP"});
        let cases = [
            (json!({}), vec!["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]),
            (
                json!({"addresses": [{"ip": "127.0.0.1"}], "ports": [port]}),
                vec![
                    "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                ],
            ),
            (
                json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [port, port]}),
                vec!["subsets[0].ports[0].name: Required value", "subsets[0].ports[1].name: Required value"],
            ),
        ];
        for (subset, want) in cases {
            assert_eq!(texts(&endpoints(&json!({"subsets": [subset]}))), want);
        }
    }
}
