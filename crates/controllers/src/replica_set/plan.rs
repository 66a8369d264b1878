//! How many pods to make, or which to delete. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::pods::{created, is_ready, most_restarts, node_name, phase, ready_since};

/// Pods made or deleted in one go at most.
pub(super) const BURST: usize = 500;
/// Lets a user say which pods go first; the lower number does.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    Settled,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

/// Brings the number of active pods to `want`.
pub(super) fn plan(want: usize, active: &[Arc<Pod>], now: Timestamp) -> Plan {
    match active.len().cmp(&want) {
        Ordering::Less => Plan::Create((want - active.len()).min(BURST)),
        Ordering::Equal => Plan::Settled,
        Ordering::Greater => {
            let surplus = (active.len() - want).min(BURST);
            Plan::Delete(least_useful_first(active, now).into_iter().take(surplus).collect())
        }
    }
}

/// The pods in the order in which they are given up: not bound, pending, not ready, of low deletion cost, doubled up on
/// a node, ready for a shorter time, restarted more often, younger.
fn least_useful_first(pods: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut ready_on: HashMap<&str, usize> = HashMap::new();
    for pod in pods.iter().filter(|pod| is_ready(pod)) {
        *ready_on.entry(node_name(pod)).or_default() += 1;
    }
    let doubled = |pod: &Pod| ready_on.get(node_name(pod)).copied().unwrap_or(0);
    let mut order: Vec<_> = pods.iter().map(|pod| (usefulness(pod, doubled(pod), now), pod)).collect();
    order.sort_by_key(|(usefulness, _)| *usefulness);
    order.into_iter().map(|(_, pod)| pod.clone()).collect()
}

/// Sorts ascending from what is least useful. Times are compared by their order of magnitude, so that among pods of
/// about the same age chance (the UID) decides, not always the youngest (`LogarithmicScaleDown` upstream).
type Usefulness<'a> = (bool, u8, bool, i32, Reverse<usize>, i64, Reverse<i32>, i64, &'a str);

fn usefulness(pod: &Pod, ready_beside: usize, now: Timestamp) -> Usefulness<'_> {
    let ready = is_ready(pod);
    (
        !node_name(pod).is_empty(),
        match phase(pod) {
            "Running" => 2,
            "Unknown" => 1,
            _ => 0,
        },
        ready,
        deletion_cost(pod),
        Reverse(ready_beside),
        if ready { magnitude(ready_since(pod), now) } else { 0 },
        Reverse(most_restarts(pod)),
        magnitude(created(pod), now),
        pod.metadata.uid.as_deref().unwrap_or_default(),
    )
}

fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The binary order of magnitude of the time since `at`; an unknown time counts as the shortest.
fn magnitude(at: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(at) = at else { return -1 };
    let age = now.duration_since(at).as_nanos().max(0);
    u128::try_from(age).ok().and_then(|age| age.checked_ilog2()).map_or(0, i64::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: &str, phase: &str, ready: Option<&str>) -> Arc<Pod> {
        let conditions =
            ready.map(|since| json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]));
        let pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase, "conditions": conditions.unwrap_or(json!([]))},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn with(mut pod: Arc<Pod>, change: impl FnOnce(&mut Pod)) -> Arc<Pod> {
        change(Arc::make_mut(&mut pod));
        pod
    }

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().expect("a time")
    }

    #[test]
    fn plan_follows_the_replica_count() {
        let pods: Vec<_> = (0..3).map(|i| pod(&i.to_string(), "n", "Running", None)).collect();
        assert_eq!(plan(2, &[], now()), Plan::Create(2));
        assert_eq!(plan(900, &[], now()), Plan::Create(BURST));
        assert_eq!(plan(3, &pods, now()), Plan::Settled);
        let Plan::Delete(doomed) = plan(1, &pods, now()) else { panic!("two are too many") };
        assert_eq!(doomed.len(), 2);
    }

    #[test]
    fn the_least_useful_pod_goes_first() {
        let (early, late) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-01T23:59:00Z"));
        let cost = |pod: &mut Pod| {
            let annotations = pod.metadata.annotations.get_or_insert_default();
            annotations.insert(DELETION_COST.to_owned(), "-5".to_owned());
        };
        let young = |pod: &mut Pod| {
            let at = "2026-01-01T23:59:00Z".parse().expect("a time");
            pod.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
        };
        let cases = [
            ("unassigned", pod("a", "", "Pending", None), pod("b", "n", "Pending", None)),
            ("pending", pod("a", "n", "Pending", None), pod("b", "n", "Running", None)),
            ("not ready", pod("a", "n", "Running", None), pod("b", "m", "Running", early)),
            ("cheap", with(pod("z", "n", "Running", early), cost), pod("b", "m", "Running", late)),
            ("ready later", pod("z", "n", "Running", late), pod("b", "m", "Running", early)),
            ("younger", with(pod("z", "n", "Running", None), young), pod("b", "m", "Running", None)),
        ];
        for (what, first, second) in cases {
            let order = least_useful_first(&[second.clone(), first.clone()], now());
            assert_eq!(order, [first, second], "{what}");
        }
        let trio = [
            pod("a", "n", "Running", late),
            pod("b", "m", "Running", early),
            pod("c", "m", "Running", early),
        ];
        assert_eq!(
            least_useful_first(&trio, now())[2].metadata.uid.as_deref(),
            Some("a"),
            "alone on its node"
        );
    }
}
