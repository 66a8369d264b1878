//! Requests and limits as the kernel takes them: CPU shares, quota, memory limit, OOM score.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use steersman_cri::LinuxContainerResources;

use crate::pod::{PodExt, is_sidecar, qos_class};
use crate::quantity::{self, ResourceList};

const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
/// Period of the CPU quota, microseconds.
pub const QUOTA_PERIOD: i64 = 100_000;
const MIN_QUOTA: i64 = 1_000;
/// Priority from which a pod is critical.
const CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// CPU shares of a request in thousandths of a core.
pub fn cpu_shares(milli: i64) -> i64 {
    (milli * 1024 / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// Microseconds of each period for a limit in thousandths of a core; 0 means no limit.
pub fn cpu_quota(milli: i64) -> i64 {
    if milli == 0 { 0 } else { (milli * QUOTA_PERIOD / 1000).max(MIN_QUOTA) }
}

/// How readily the kernel kills the container when memory runs out: the less it asked for, the sooner.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory_capacity: i64) -> i64 {
    if pod.spec().priority.is_some_and(|priority| priority >= CRITICAL_PRIORITY) {
        return -997;
    }
    match qos_class(pod) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let requests = container.resources.as_ref().and_then(|r| r.requests.as_ref());
            let request = quantity::value_of(requests, "memory").unwrap_or(0);
            let share = i128::from(request) * 1000 / i128::from(memory_capacity.max(1));
            // Guaranteed pods stay below every burstable one, best-effort ones above.
            i64::try_from(1000 - share).unwrap_or(3).clamp(3, 999)
        }
    }
}

/// Limits of one container.
pub fn container_resources(
    pod: &Pod,
    container: &Container,
    memory_capacity: i64,
    unified: bool,
) -> LinuxContainerResources {
    let amounts = Amounts::of(container.resources.as_ref());
    let mut resources = amounts.to_cri();
    resources.oom_score_adj = oom_score_adj(pod, container, memory_capacity);
    if unified {
        // The processes of a container die together, as users expect since cgroup v2.
        resources.unified.insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    resources
}

/// What is asked for and allowed; `None` where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_request: Option<i64>,
    /// Thousandths of a core.
    pub cpu_limit: Option<i64>,
    /// Bytes.
    pub memory_request: Option<i64>,
    /// Bytes.
    pub memory_limit: Option<i64>,
}

impl Amounts {
    /// Reads a specification.
    pub fn of(resources: Option<&ResourceRequirements>) -> Self {
        let requests = resources.and_then(|r| r.requests.as_ref());
        let limits = resources.and_then(|r| r.limits.as_ref());
        let present = |n: Option<i64>| n.filter(|n| *n > 0);
        Self {
            cpu_request: quantity::milli_of(requests, "cpu"),
            cpu_limit: present(quantity::milli_of(limits, "cpu")),
            memory_request: quantity::value_of(requests, "memory"),
            memory_limit: present(quantity::value_of(limits, "memory")),
        }
    }

    /// In the terms of the runtime interface.
    pub fn to_cri(self) -> LinuxContainerResources {
        let cpu = self.cpu_request.or(self.cpu_limit).unwrap_or(0);
        LinuxContainerResources {
            cpu_shares: cpu_shares(cpu),
            cpu_period: QUOTA_PERIOD,
            cpu_quota: cpu_quota(self.cpu_limit.unwrap_or(0)),
            memory_limit_in_bytes: self.memory_limit.unwrap_or(0),
            ..LinuxContainerResources::default()
        }
    }

    fn combine(self, other: Self, join: fn(i64, i64) -> i64, both: bool) -> Self {
        // A limit exists for the pod only when every container has one; requests add up regardless.
        let requests = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(join(a, b)),
            (a, b) => a.or(b),
        };
        let limits = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(join(a, b)),
            _ if both => None,
            (a, b) => a.or(b),
        };
        Self {
            cpu_request: requests(self.cpu_request, other.cpu_request),
            cpu_limit: limits(self.cpu_limit, other.cpu_limit),
            memory_request: requests(self.memory_request, other.memory_request),
            memory_limit: limits(self.memory_limit, other.memory_limit),
        }
    }
}

/// Limits of the whole pod: containers and sidecars together, or the largest init container if that is more.
pub fn pod_amounts(spec: &PodSpec) -> Amounts {
    let add = |a: Amounts, b: Amounts| a.combine(b, |a, b| a + b, true);
    let of = |container: &Container| Amounts::of(container.resources.as_ref());
    let inits = spec.init_containers.iter().flatten();
    let sidecars = inits.clone().filter(|container| is_sidecar(container));
    let running = spec.containers.iter().chain(sidecars).map(of).reduce(add).unwrap_or_default();
    let mut all = running;
    for init in inits.filter(|container| !is_sidecar(container)) {
        all = all.combine(of(init), i64::max, true);
    }
    let own = Amounts::of(spec.resources.as_ref());
    let all = Amounts {
        cpu_request: own.cpu_request.or(all.cpu_request),
        cpu_limit: own.cpu_limit.or(all.cpu_limit),
        memory_request: own.memory_request.or(all.memory_request),
        memory_limit: own.memory_limit.or(all.memory_limit),
    };
    match &spec.overhead {
        Some(overhead) => with_overhead(all, overhead),
        None => all,
    }
}

fn with_overhead(all: Amounts, overhead: &ResourceList) -> Amounts {
    let (cpu, memory) =
        (quantity::milli_of(Some(overhead), "cpu"), quantity::value_of(Some(overhead), "memory"));
    let extra = |amount: Option<i64>, extra: Option<i64>| amount.map(|amount| amount + extra.unwrap_or(0));
    Amounts {
        cpu_request: Some(all.cpu_request.unwrap_or(0) + cpu.unwrap_or(0)),
        memory_request: Some(all.memory_request.unwrap_or(0) + memory.unwrap_or(0)),
        cpu_limit: extra(all.cpu_limit, cpu),
        memory_limit: extra(all.memory_limit, memory),
    }
}

/// The cgroup of a pod below `root`, by quality of service: `/kubepods/burstable/pod<uid>`.
pub fn cgroup_parent(root: &str, pod: &Pod) -> String {
    let root = root.trim_end_matches('/');
    let class = match qos_class(pod) {
        "Guaranteed" => "",
        "Burstable" => "/burstable",
        _ => "/besteffort",
    };
    format!("{root}/kubepods{class}/pod{}", pod.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;
    use serde_json::json;

    #[test]
    fn shares_and_quota_stay_in_their_bounds() {
        for (milli, shares, quota) in [
            (0, 2, 0),
            (1, 2, 1000),
            (100, 102, 10_000),
            (2000, 2048, 200_000),
            (999_999, 262_144, 99_999_900),
        ] {
            assert_eq!((cpu_shares(milli), cpu_quota(milli)), (shares, quota), "{milli}");
        }
    }

    #[test]
    fn the_less_memory_is_asked_for_the_sooner_it_is_killed() {
        let cases = [
            (json!({}), 1000),
            (json!({ "requests": { "memory": "250Mi" } }), 750),
            (json!({ "requests": { "memory": "1Ki" } }), 999),
            (json!({ "requests": { "memory": "1000Mi" } }), 3),
            (json!({ "limits": { "cpu": "1", "memory": "1Mi" } }), -997),
        ];
        for (resources, want) in cases {
            let pod = pod(json!({ "containers": [{ "name": "a", "resources": resources.clone() }] }));
            let container = &pod.spec().containers[0];
            assert_eq!(oom_score_adj(&pod, container, 1000 << 20), want, "{resources}");
        }
    }

    #[test]
    fn a_pod_is_limited_when_all_its_containers_are() {
        let limits = |cpu: &str, memory: &str| json!({ "limits": { "cpu": cpu, "memory": memory } });
        let both = pod(json!({ "containers": [
            { "name": "a", "resources": limits("1", "1Mi") }, { "name": "b", "resources": limits("2", "2Mi") }],
            "initContainers": [{ "name": "i", "resources": limits("500m", "8Mi") }] }));
        let amounts = pod_amounts(both.spec());
        assert_eq!((amounts.cpu_limit, amounts.memory_limit), (Some(3000), Some(8 << 20)));
        let one =
            pod(json!({ "containers": [{ "name": "a", "resources": limits("1", "1Mi") }, { "name": "b" }] }));
        assert_eq!(pod_amounts(one.spec()).cpu_limit, None);
        assert_eq!(cgroup_parent("/", &one), "/kubepods/burstable/podu1");
    }
}
