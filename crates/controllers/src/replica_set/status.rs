//! What a replica set's status says. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::ReconcileError;
use crate::conditions::{time_until, unless_zero, whole_second};
use crate::pods::{available_at, is_ready};
use crate::selectors::{Labels, has_all};

const FAILURE: &str = "ReplicaFailure";

/// The status for these active pods, and for what went wrong while bringing them to the wanted number.
pub(super) fn observed_status(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    failure: Option<&ReconcileError>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let old = set.status.clone().unwrap_or_default();
    let spec = set.spec.clone();
    let none = Labels::new();
    let template_labels = spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let template_labels = template_labels.and_then(|meta| meta.labels.as_ref()).unwrap_or(&none);
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let available = |pod: &Pod| available_at(pod, min_ready).is_some_and(|at| at <= now);
    let count = |counts: &dyn Fn(&Pod) -> bool| {
        i32::try_from(active.iter().filter(|pod| counts(pod)).count()).unwrap_or(i32::MAX)
    };
    let replicas = count(&|_| true);
    let difference = replicas - spec.replicas.unwrap_or(1);
    ReplicaSetStatus {
        replicas,
        fully_labeled_replicas: unless_zero(count(&|pod| {
            has_all(template_labels, pod.metadata.labels.as_ref())
        })),
        ready_replicas: unless_zero(count(&is_ready)),
        available_replicas: unless_zero(count(&available)),
        terminating_replicas: old.terminating_replicas,
        observed_generation: set.metadata.generation,
        conditions: conditions(old.conditions.unwrap_or_default(), difference, failure, now),
    }
}

/// The failure condition stands while acting fails; a second failure leaves the first one's words.
fn conditions(
    mut old: Vec<ReplicaSetCondition>,
    difference: i32,
    failure: Option<&ReconcileError>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    match failure {
        None => old.retain(|condition| condition.type_.as_deref() != Some(FAILURE)),
        Some(error) if old.iter().all(|condition| condition.type_.as_deref() != Some(FAILURE)) => {
            old.push(ReplicaSetCondition {
                type_: Some(FAILURE.to_owned()),
                status: Some("True".to_owned()),
                reason: Some(if difference < 0 { "FailedCreate" } else { "FailedDelete" }.to_owned()),
                message: Some(error.detail()),
                last_transition_time: Some(Time(whole_second(now))),
            });
        }
        Some(_) => {}
    }
    (!old.is_empty()).then_some(old)
}

/// How long until the next ready pod becomes available by mere time.
pub(super) fn next_availability(set: &ReplicaSet, active: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let min_ready = set.spec.min_ready_seconds.unwrap_or(0);
    let times = active.iter().filter_map(|pod| available_at(pod, min_ready)).filter(|at| *at > now);
    times.min().map(|at| time_until(at, now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(min_ready: i32) -> ReplicaSet {
        let set = json!({
            "metadata": {"name": "web", "generation": 4},
            "spec": {
                "replicas": 3, "minReadySeconds": min_ready, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web", "tier": "a"}}},
            },
        });
        serde_json::from_value(set).expect("a replica set")
    }

    fn pod(labels: &serde_json::Value, ready_since: &str) -> Arc<Pod> {
        let pod = json!({
            "metadata": {"labels": labels},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": ready_since},
            ]},
        });
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    #[test]
    fn counts_follow_labels_readiness_and_time() {
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().expect("a time");
        let pods = [
            pod(&json!({"app": "web", "tier": "a"}), "2026-01-01T00:00:00Z"),
            pod(&json!({"app": "web"}), "2026-01-01T00:00:07Z"),
        ];
        let status = observed_status(&set(5), &pods, None, now);
        assert_eq!(status.replicas, 2);
        assert_eq!(status.fully_labeled_replicas, Some(1));
        assert_eq!(status.ready_replicas, Some(2));
        assert_eq!(status.available_replicas, Some(1));
        assert_eq!(status.observed_generation, Some(4));
        assert_eq!(status.conditions, None);
        assert_eq!(next_availability(&set(5), &pods, now), Some(Duration::from_secs(2)));
        assert_eq!(next_availability(&set(0), &pods, now), None);
    }

    #[test]
    fn a_failure_is_told_until_it_is_over() {
        let now = Timestamp::UNIX_EPOCH;
        let failure = ReconcileError::Unusable("quota exceeded".to_owned());
        let mut set = set(0);
        let status = observed_status(&set, &[], Some(&failure), now);
        let told = status.conditions.clone().expect("a condition");
        assert_eq!(told[0].reason.as_deref(), Some("FailedCreate"));
        assert_eq!(told[0].message.as_deref(), Some("quota exceeded"));
        set.status = Some(status.clone());
        let other = ReconcileError::Unusable("another".to_owned());
        assert_eq!(observed_status(&set, &[], Some(&other), now), status, "the first failure stays");
        assert_eq!(observed_status(&set, &[], None, now).conditions, None);
    }
}
