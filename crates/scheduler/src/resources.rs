//! What a pod requests and a node offers, as plain numbers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use steersman_apimachinery::quantity::Quantity as Exact;

/// What a container that requests no CPU counts as when nodes are scored, in thousandths of a core.
const DEFAULT_MILLI_CPU: i64 = 100;
/// What a container that requests no memory counts as when nodes are scored, in bytes.
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else by name (`nvidia.com/gpu`, `hugepages-2Mi`), in whole units.
    pub scalar: BTreeMap<String, i64>,
}

impl Resources {
    /// The amounts of a `requests`, `capacity` or `allocatable` map. `pods` is not a resource in this sense.
    pub fn from_map(map: &BTreeMap<String, Quantity>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in map {
            let Some(exact) = parse(quantity) else { continue };
            match name.as_str() {
                "cpu" => resources.milli_cpu = exact.milli_value(),
                "memory" => resources.memory = exact.value(),
                "ephemeral-storage" => resources.ephemeral_storage = exact.value(),
                "pods" => {}
                _ => drop(resources.scalar.insert(name.clone(), exact.value())),
            }
        }
        resources
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a.saturating_add(b));
    }

    /// Takes `other` away.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, |a, b| a.saturating_sub(b));
    }

    /// Raises each amount to at least `other`'s.
    pub fn max(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, f: fn(i64, i64) -> i64) {
        self.milli_cpu = f(self.milli_cpu, other.milli_cpu);
        self.memory = f(self.memory, other.memory);
        self.ephemeral_storage = f(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalar {
            let mine = self.scalar.entry(name.clone()).or_insert(0);
            *mine = f(*mine, *amount);
        }
    }
}

fn parse(quantity: &Quantity) -> Option<Exact> {
    quantity.0.parse().ok()
}

/// The number under `name`, rounded up to whole units; 0 if absent.
pub fn whole(map: Option<&BTreeMap<String, Quantity>>, name: &str) -> i64 {
    map.and_then(|map| map.get(name)).and_then(parse).map_or(0, |exact| exact.value())
}

/// What a pod requests: the larger of its containers together and its hungriest moment of initialization (each init
/// container runs beside the sidecars started before it), pod-level requests instead where given (KEP-2837), plus
/// overhead.
pub fn pod_requests(spec: &PodSpec) -> Resources {
    pod_sum(spec, container_requests)
}

/// The same for scoring, where a container without a request counts as a small one.
pub fn pod_requests_for_scoring(spec: &PodSpec) -> Resources {
    pod_sum(spec, |container| {
        let mut requests = container_requests(container);
        let map = container.resources.as_ref().and_then(|r| r.requests.as_ref());
        let given = |name: &str| map.is_some_and(|map| map.contains_key(name));
        if !given("cpu") {
            requests.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !given("memory") {
            requests.memory = DEFAULT_MEMORY;
        }
        requests
    })
}

fn container_requests(container: &Container) -> Resources {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests.map(Resources::from_map).unwrap_or_default()
}

fn pod_sum(spec: &PodSpec, of: impl Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&of(container));
    }
    let (mut sidecars, mut peak) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        let mut moment = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            running.add(&moment);
            sidecars.add(&moment);
            moment = sidecars.clone();
        } else {
            moment.add(&sidecars);
        }
        peak.max(&moment);
    }
    running.max(&peak);
    if let Some(pod_level) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        let (given, amounts) = (pod_level, Resources::from_map(pod_level));
        if given.contains_key("cpu") {
            running.milli_cpu = amounts.milli_cpu;
        }
        if given.contains_key("memory") {
            running.memory = amounts.memory;
        }
        running.scalar.extend(amounts.scalar);
    }
    if let Some(overhead) = &spec.overhead {
        running.add(&Resources::from_map(overhead));
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).expect("a pod spec")
    }

    fn cpu(milli: &str) -> serde_json::Value {
        serde_json::json!({ "requests": { "cpu": milli } })
    }

    #[test]
    fn a_pod_requests_its_hungriest_moment() {
        let pod = spec(serde_json::json!({
            "containers": [{ "name": "a", "resources": cpu("100m") }, { "name": "b", "resources": cpu("200m") }],
            "initContainers": [
                { "name": "i", "resources": cpu("1") },
                { "name": "s", "restartPolicy": "Always", "resources": cpu("300m") },
                { "name": "j", "resources": cpu("900m") },
            ],
            "overhead": { "cpu": "10m" },
        }));
        // j beside the sidecar: 1200m; running: 100 + 200 + 300.
        assert_eq!(pod_requests(&pod).milli_cpu, 1210);
    }

    #[test]
    fn scoring_counts_small_what_requests_nothing() {
        let pod = spec(serde_json::json!({ "containers": [{ "name": "a" }] }));
        assert_eq!(pod_requests(&pod), Resources::default());
        let scored = pod_requests_for_scoring(&pod);
        assert_eq!((scored.milli_cpu, scored.memory), (100, 200 << 20));
    }
}
