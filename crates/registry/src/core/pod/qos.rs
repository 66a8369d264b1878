//! The quality of service class of a pod: who is first to go when a node runs short.

use std::collections::BTreeMap;

use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;

use crate::tree::Read;

/// The resources that count.
const COUNTED: [&str; 2] = ["cpu", "memory"];

type Sums<'a> = BTreeMap<&'a str, Quantity>;

/// `Guaranteed` if everything asked for is also the limit, `BestEffort` if nothing is asked for, else `Burstable`.
pub(super) fn qos_class(spec: &Tree) -> &'static str {
    let (mut requests, mut limits) = (Sums::new(), Sums::new());
    let mut all_limited = true;
    for resources in counted_resources(spec) {
        add(&mut requests, resources.at("requests"));
        let limited = add(&mut limits, resources.at("limits"));
        all_limited &= limited == COUNTED.len();
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// The resources of the pod as a whole if it has some, else of each container.
fn counted_resources(spec: &Tree) -> Vec<&Tree> {
    if spec.has("resources") {
        return vec![spec.at("resources")];
    }
    let containers = spec.items("containers").iter().chain(spec.items("initContainers"));
    containers.map(|container| container.at("resources")).collect()
}

/// Adds what counts and is more than nothing; gives how many there were.
fn add<'a>(sums: &mut Sums<'a>, list: &'a Tree) -> usize {
    let counted = list.entries("").filter(|(name, _)| COUNTED.contains(name));
    let given = counted.filter_map(|(name, value)| Some((name, Quantity::from_tree(value).ok()?)));
    let mut count = 0;
    for (name, quantity) in given.filter(|(_, quantity)| quantity.signum() > 0) {
        sums.entry(name).or_default().add(&quantity);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_and_limits_make_the_class() {
        let full = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}});
        let some = json!({"requests": {"cpu": "1"}});
        let none = json!({});
        let limits_only = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let zero = json!({"requests": {"cpu": "0"}, "limits": {"example.com/gpu": "1"}});
        let cases = [
            (vec![&none], None, "BestEffort"),
            (vec![&zero], None, "BestEffort"),
            (vec![&full], None, "Guaranteed"),
            (vec![&full, &full], None, "Guaranteed"),
            (vec![&full, &none], None, "Burstable"),
            (vec![&some], None, "Burstable"),
            (vec![&limits_only], None, "Burstable"),
            (vec![&none], Some(&full), "Guaranteed"),
            (vec![&full], Some(&some), "Burstable"),
        ];
        for (containers, whole, want) in cases {
            let containers: Vec<Tree> = containers.iter().map(|r| json!({"resources": r})).collect();
            let spec = json!({"containers": containers, "resources": whole});
            assert_eq!(qos_class(&spec), want, "{spec}");
        }
    }
}
