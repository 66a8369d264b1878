//! What all containers of a pod ask for together, when each kind of container runs at its time.

use std::collections::BTreeMap;

use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;

use crate::tree::Read;

/// Amounts by resource.
pub(crate) type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// The most that the containers of `spec` request at any time: the ordinary ones and the sidecars together, or one
/// init container beside the sidecars before it.
pub(crate) fn requests(spec: &Tree) -> Amounts<'_> {
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in spec.items("initContainers") {
        let own = amounts(container);
        if container.text("restartPolicy") == "Always" {
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut beside = sidecars.clone();
            add(&mut beside, &own);
            raise(&mut starting, &beside);
        }
    }
    let mut running = sidecars;
    spec.items("containers").iter().for_each(|container| add(&mut running, &amounts(container)));
    raise(&mut running, &starting);
    running
}

/// Whether a resource can be given to a pod as a whole.
pub(crate) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn amounts(container: &Tree) -> Amounts<'_> {
    let requests = container.entries("resources.requests");
    requests.filter_map(|(name, value)| Some((name, Quantity::from_tree(value).ok()?))).collect()
}

fn add<'a>(to: &mut Amounts<'a>, more: &Amounts<'a>) {
    more.iter().for_each(|(name, amount)| to.entry(name).or_default().add(amount));
}

fn raise<'a>(to: &mut Amounts<'a>, least: &Amounts<'a>) {
    for (name, amount) in least {
        let own = to.entry(name).or_default();
        if *own < *amount {
            *own = amount.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_count_while_they_run() {
        let asks = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let spec = json!({
            "initContainers": [
                {"resources": asks("3")},
                {"restartPolicy": "Always", "resources": asks("1")},
                {"resources": asks("4")},
            ],
            "containers": [{"resources": asks("1")}, {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}],
        });
        let sums = requests(&spec);
        assert_eq!(sums["cpu"].to_string(), "5");
        assert_eq!(sums["memory"].to_string(), "1Gi");
    }
}
