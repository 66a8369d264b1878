//! Validation of nodes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::label_value_problems;

use crate::checks::{Seen, as_go, invalid, qualified};
use crate::core::podspec::validation::{resource_quantity, taint_effect};
use crate::rules::differs;
use crate::tree::Read;

/// Checks a new node.
pub(super) fn create(node: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    taints(&mut found, node);
    amounts(&mut found, node);
    pod_ranges(&mut found, node, &Path::new("spec").child("podCIDRs"));
    found
}

/// Checks a change: what a node is called by its cloud and which addresses it hands out stay, once said.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let spec = Path::new("spec");
    amounts(&mut found, new);
    addresses(&mut found, new.items("status.addresses"));
    if differs(new, old, "spec.podCIDRs") && !old.items("spec.podCIDRs").is_empty() {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        found.push(Error::forbidden(spec.child("podCIDRs"), why));
    }
    if differs(new, old, "spec.providerID") && !old.text("spec.providerID").is_empty() {
        let why = "node updates may not change providerID except from \"\" to valid";
        found.push(Error::forbidden(spec.child("providerID"), why));
    }
    taints(&mut found, new);
    if differs(new, old, "spec.externalID") {
        found.push(Error::forbidden(spec.child("externalID"), "may not be updated"));
    }
    found
}

fn amounts(found: &mut ErrorList, node: &Tree) {
    for part in ["capacity", "allocatable"] {
        let path = Path::new("status").child(part);
        for (name, value) in node.at("status").entries(part) {
            resource_quantity(found, name, value, &path.child(name));
        }
    }
}

fn addresses(found: &mut ErrorList, addresses: &[Tree]) {
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            let shown = as_go(address, &[("type", "Type"), ("address", "Address")]);
            found.push(Error::duplicate(Path::new("status").child("addresses").index(index), shown));
        }
    }
}

fn taints(found: &mut ErrorList, node: &Tree) {
    const SHOWN: [(&str, &str); 4] =
        [("key", "Key"), ("value", "Value"), ("effect", "Effect"), ("timeAdded", "TimeAdded")];
    let mut seen = Seen::default();
    for (index, taint) in node.items("spec.taints").iter().enumerate() {
        // Upstream says `metadata` here, though they are in `spec`.
        let path = Path::new("metadata").child("taints").index(index);
        let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
        qualified(found, &path.child("key"), key);
        let problems = label_value_problems(value);
        if !problems.is_empty() {
            found.push(Error::invalid(path.child("value"), value, problems.join(";")));
        }
        taint_effect(found, effect, path.child("effect"));
        if !effect.is_empty() && !seen.first(format!("{key}:{effect}")) {
            let mut error = Error::duplicate(path, as_go(taint, &SHOWN));
            error.detail = "taints must be unique by key and effect pair".to_owned();
            found.push(error);
        }
    }
}

fn pod_ranges(found: &mut ErrorList, node: &Tree, path: &Path) {
    let ranges = node.texts("spec.podCIDRs");
    if ranges.len() > 2 {
        let shown = node.at("spec.podCIDRs").clone();
        found.push(Error::invalid(
            path.clone(),
            shown,
            "may specify no more than one CIDR for each IP family",
        ));
    }
    let mut seen = Seen::default();
    for (index, range) in ranges.iter().copied().enumerate() {
        seen.unique(found, path.index(index), range);
        let valid = range.split_once('/').is_some_and(|(ip, bits)| {
            let most = if ip.contains(':') { 128 } else { 32 };
            ip.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        });
        if !valid {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned();
            invalid(found, &path.index(index), range, vec![why]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn taints_are_unique_by_key_and_effect() {
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        let node = json!({"spec": {"taints": [taint, taint, {"key": "b", "effect": "Away"}]}});
        let want = [
            "metadata.taints[1]: Duplicate value: {\"Effect\":\"NoSchedule\",\"Key\":\"a\",\"TimeAdded\":null,\"Value\":\"\"}: taints must be unique by key and effect pair",
            "metadata.taints[2].effect: Unsupported value: \"Away\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
        ];
        assert_eq!(texts(&create(&node)), want);
    }

    #[test]
    fn ranges_and_provider_stay() {
        let old = json!({"spec": {"podCIDRs": ["10.42.0.0/24"], "providerID": "a://1"}});
        let new = json!({"spec": {"podCIDRs": ["10.43.0.0/24"], "providerID": "a://2"}});
        let want = [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ];
        assert_eq!(texts(&update(&new, &old)), want);
        assert!(texts(&update(&old, &json!({}))).is_empty());
    }
}
