//! What a deployment's status says, in upstream's words. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::Limits;
use super::sets::{Rollout, replicas};
use crate::conditions::{after_seconds, time_until, unless_zero, whole_second};

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// Whether this look at the deployment was a step of its rollout, so that progress is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Judged,
    Unjudged,
}

/// A condition that begins now.
pub(super) fn new_condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    let now = Time(whole_second(now));
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    }
}

/// Puts a condition in. One of the same status and reason stays as it is; one of the same status keeps the time of its
/// transition.
pub(super) fn set_condition(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    let conditions = status.conditions.get_or_insert_default();
    if let Some(current) = conditions.iter().find(|current| current.type_ == condition.type_) {
        if current.status == condition.status {
            if current.reason == condition.reason {
                return;
            }
            condition.last_transition_time = current.last_transition_time.clone();
        }
        conditions.retain(|current| current.type_ != condition.type_);
    }
    conditions.push(condition);
}

fn remove_condition(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_.as_deref() != Some(kind));
    }
}

/// The deployment's condition of this type.
pub(super) fn condition_of<'a>(deployment: &'a Deployment, kind: &str) -> Option<&'a DeploymentCondition> {
    deployment.status.as_ref().and_then(|status| find(status, kind))
}

fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(kind))
}

/// Seconds that a rollout may stand still; `i32::MAX` means for ever.
fn deadline(deployment: &Deployment) -> Option<i32> {
    let seconds = deployment.spec.progress_deadline_seconds;
    seconds.filter(|seconds| *seconds != i32::MAX)
}

/// Whether the deployment's progress is watched at all.
pub(super) fn has_deadline(deployment: &Deployment) -> bool {
    deadline(deployment).is_some()
}

/// Whether all pods are new and available.
pub(super) fn is_complete(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|status| completes(deployment, status))
}

fn completes(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let counts = [status.updated_replicas, status.replicas, status.available_replicas];
    counts.iter().all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation >= deployment.metadata.generation
}

fn count<'a>(
    sets: impl Iterator<Item = &'a ReplicaSet>,
    of: impl Fn(&ReplicaSetStatus) -> Option<i32>,
) -> i32 {
    sets.filter_map(|set| set.status.as_ref().and_then(&of)).sum()
}

/// The status of the deployment whose sets are `rollout`'s; `before` is the deployment as it was.
pub(super) fn observed_status(
    before: &Deployment,
    rollout: &Rollout,
    progress: Progress,
    now: Timestamp,
) -> DeploymentStatus {
    let deployment = &rollout.deployment;
    let old = deployment.status.clone().unwrap_or_default();
    let all = || rollout.all().map(|set| &**set);
    let available = count(all(), |status| status.available_replicas);
    let total: i32 = all().map(replicas).sum();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: unless_zero(count(all(), |status| Some(status.replicas))),
        updated_replicas: unless_zero(count(rollout.new.as_deref().into_iter(), |status| {
            Some(status.replicas)
        })),
        ready_replicas: unless_zero(count(all(), |status| status.ready_replicas)),
        available_replicas: unless_zero(available),
        unavailable_replicas: unless_zero((total - available).max(0)),
        ..old
    };
    set_condition(&mut status, availability(&Limits::of(deployment), available, now));
    if progress == Progress::Judged {
        judge_progress(before, rollout, &mut status, now);
        tell_failures(rollout, &mut status);
    }
    status
}

fn availability(limits: &Limits, available: i32, now: Timestamp) -> DeploymentCondition {
    if available >= limits.replicas - limits.unavailable {
        let message = "Deployment has minimum availability.".to_owned();
        new_condition(AVAILABLE, "True", "MinimumReplicasAvailable", message, now)
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        new_condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message, now)
    }
}

fn judge_progress(before: &Deployment, rollout: &Rollout, status: &mut DeploymentStatus, now: Timestamp) {
    let deployment = &rollout.deployment;
    let Some(deadline) = deadline(deployment) else {
        return remove_condition(status, PROGRESSING);
    };
    let current = find(status, PROGRESSING).cloned();
    let reason = current.as_ref().and_then(|condition| condition.reason.as_deref());
    if status.replicas == status.updated_replicas && reason == Some(COMPLETE) {
        return;
    }
    let say = |what: &str| match &rollout.new {
        Some(set) => format!("ReplicaSet \"{}\" {what}.", set.metadata.name.as_deref().unwrap_or_default()),
        None => format!("Deployment \"{}\" {what}.", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if completes(deployment, status) {
        let message = say("has successfully progressed");
        set_condition(status, new_condition(PROGRESSING, "True", COMPLETE, message, now));
    } else if moved(before.status.as_ref(), status) {
        let message = say("is progressing");
        let mut condition = new_condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
        if let Some(current) = current.filter(|current| current.status.as_deref() == Some("True")) {
            condition.last_transition_time = current.last_transition_time;
        }
        remove_condition(status, PROGRESSING); // the time of the update counts, even if nothing else is new
        set_condition(status, condition);
    } else if timed_out(current.as_ref(), deadline, now) {
        let message = say("has timed out progressing");
        set_condition(status, new_condition(PROGRESSING, "False", TIMED_OUT, message, now));
    }
}

/// Whether more pods are new, ready or available than before, or fewer are old.
fn moved(before: Option<&DeploymentStatus>, after: &DeploymentStatus) -> bool {
    let nothing = DeploymentStatus::default();
    let before = before.unwrap_or(&nothing);
    let n = |count: Option<i32>| count.unwrap_or(0);
    let old_pods = |status: &DeploymentStatus| n(status.replicas) - n(status.updated_replicas);
    n(after.updated_replicas) > n(before.updated_replicas)
        || old_pods(after) < old_pods(before)
        || n(after.ready_replicas) > n(before.ready_replicas)
        || n(after.available_replicas) > n(before.available_replicas)
}

fn timed_out(current: Option<&DeploymentCondition>, deadline: i32, now: Timestamp) -> bool {
    let Some(condition) = current else { return false };
    match condition.reason.as_deref() {
        Some(COMPLETE) => false,
        Some(TIMED_OUT) => true,
        _ => due(condition, deadline).is_some_and(|due| due < now),
    }
}

fn due(condition: &DeploymentCondition, deadline: i32) -> Option<Timestamp> {
    let updated = condition.last_update_time.as_ref()?.0;
    Some(after_seconds(updated, i64::from(deadline)))
}

/// A set that cannot make its pods says so on the deployment too; the new set first.
fn tell_failures(rollout: &Rollout, status: &mut DeploymentStatus) {
    let failures = rollout.new.iter().chain(&rollout.old).flat_map(|set| {
        let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.filter(|condition| condition.type_.as_deref() == Some(FAILURE))
    });
    let Some(failure) = failures.into_iter().next() else { return remove_condition(status, FAILURE) };
    let condition = DeploymentCondition {
        type_: Some(FAILURE.to_owned()),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_transition_time: failure.last_transition_time.clone(),
        last_update_time: failure.last_transition_time.clone(),
    };
    set_condition(status, condition);
}

/// When a rollout that stands still has to be looked at, because its deadline passes.
pub(super) fn next_progress_check(deployment: &Deployment, now: Timestamp) -> Option<Duration> {
    let deadline = deadline(deployment)?;
    let condition = condition_of(deployment, PROGRESSING)?;
    let paused = deployment.spec.paused == Some(true);
    if paused || is_complete(deployment) || condition.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    Some(time_until(due(condition, deadline)?, now) + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn deployment(status: serde_json::Value) -> Deployment {
        let deployment = json!({
            "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 2, "progressDeadlineSeconds": 60, "selector": {}, "template": {}},
            "status": status,
        });
        serde_json::from_value(deployment).expect("a deployment")
    }

    fn set(ready: i32) -> Arc<ReplicaSet> {
        let set = json!({
            "metadata": {"name": "web-1"},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": {"replicas": 2, "readyReplicas": ready, "availableReplicas": ready},
        });
        Arc::new(serde_json::from_value(set).expect("a replica set"))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    fn said(status: &DeploymentStatus, kind: &str) -> String {
        let condition = find(status, kind).expect("the condition is there");
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{} {}: {}", text(&condition.status), text(&condition.reason), text(&condition.message))
    }

    #[test]
    fn a_rollout_progresses_completes_or_times_out() {
        let mut before = deployment(json!({}));
        let mut look = |ready, second| {
            let rollout = Rollout::new(&before, vec![set(ready)]);
            before.status = Some(observed_status(&before, &rollout, Progress::Judged, at(second)));
            before.clone()
        };
        let started = look(0, 0);
        let status = started.status.clone().expect("a status");
        assert_eq!(
            said(&status, PROGRESSING),
            "True ReplicaSetUpdated: ReplicaSet \"web-1\" is progressing."
        );
        assert_eq!(
            said(&status, AVAILABLE),
            "False MinimumReplicasUnavailable: Deployment does not have minimum availability."
        );
        assert_eq!(status.unavailable_replicas, Some(2));
        assert_eq!(next_progress_check(&started, at(0)), Some(Duration::from_secs(61)));
        assert_eq!(look(0, 30).status, Some(status), "nothing moved, nothing is written");
        let stuck = look(0, 61);
        assert_eq!(
            said(stuck.status.as_ref().expect("a status"), PROGRESSING),
            "False ProgressDeadlineExceeded: ReplicaSet \"web-1\" has timed out progressing."
        );
        assert_eq!(next_progress_check(&stuck, at(61)), None);
        let done = look(2, 70);
        let status = done.status.clone().expect("a status");
        assert_eq!(
            said(&status, PROGRESSING),
            "True NewReplicaSetAvailable: ReplicaSet \"web-1\" has successfully progressed."
        );
        assert_eq!(
            said(&status, AVAILABLE),
            "True MinimumReplicasAvailable: Deployment has minimum availability."
        );
        assert_eq!(status.unavailable_replicas, None);
        assert_eq!(look(2, 80).status, Some(status));
        assert_eq!(
            look(1, 90).status.expect("a status").conditions.expect("some")[0].reason.as_deref(),
            Some(COMPLETE)
        );
    }
}
