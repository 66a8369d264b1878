//! The conditions that the kubelet owns. Others, such as readiness gates and `DisruptionTarget`, are kept.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Input, find, whole_second};
use crate::pod::{PodExt, is_sidecar};
use crate::text::go_list;

/// Types of the conditions that only the kubelet writes.
pub const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

struct Verdict {
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    const TRUE: Self = Self { status: true, reason: None, message: None };

    fn no(reason: &'static str, message: Option<String>) -> Self {
        Self { status: false, reason: Some(reason), message }
    }
}

/// All conditions, those of others after the kubelet's own.
pub fn conditions(
    input: &Input<'_>,
    phase: &str,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
) -> Vec<PodCondition> {
    let containers = containers_ready(input, phase, init, regular);
    let ready = match &containers {
        Verdict { status: true, .. } => gates(input),
        not => Verdict { status: false, reason: not.reason, message: not.message.clone() },
    };
    let sandbox = input.view.sandboxes.iter().any(|sandbox| sandbox.ready);
    let verdicts = [
        Verdict { status: sandbox, reason: None, message: None },
        initialized(input, phase, init, regular),
        ready,
        containers,
        Verdict::TRUE,
    ];
    let own = OWNED.iter().zip(verdicts).map(|(kind, verdict)| condition(input, kind, verdict));
    let others = input.old.conditions.iter().flatten().filter(|other| !OWNED.contains(&other.type_.as_str()));
    own.chain(others.cloned()).collect()
}

fn condition(input: &Input<'_>, kind: &str, verdict: Verdict) -> PodCondition {
    let status = if verdict.status { "True" } else { "False" };
    let old = input.old.conditions.iter().flatten().find(|old| old.type_ == kind);
    let since = old.filter(|old| old.status == status).and_then(|old| old.last_transition_time.clone());
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        last_transition_time: Some(since.unwrap_or_else(|| Time(whole_second(input.now)))),
        last_probe_time: None,
        observed_generation: input.pod.metadata.generation,
    }
}

fn initialized(
    input: &Input<'_>,
    phase: &str,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
) -> Verdict {
    let containers = input.pod.spec().init_containers.as_deref().unwrap_or_default();
    if phase == "Succeeded" {
        return Verdict { reason: Some("PodCompleted"), ..Verdict::TRUE };
    }
    // Once a regular container ran, initialization is over, whatever a sidecar does now.
    let begun = regular.iter().any(|status| {
        status.started == Some(true)
            || status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    });
    if begun {
        return Verdict::TRUE;
    }
    let incomplete: Vec<&str> = containers
        .iter()
        .filter(|container| {
            let status = find(Some(init), &container.name);
            !status.is_some_and(|status| {
                if is_sidecar(container) { status.started == Some(true) } else { status.ready }
            })
        })
        .map(|container| container.name.as_str())
        .collect();
    if incomplete.is_empty() {
        return Verdict::TRUE;
    }
    let message = format!("containers with incomplete status: {}", go_list(&incomplete));
    Verdict::no("ContainersNotInitialized", Some(message))
}

fn containers_ready(
    input: &Input<'_>,
    phase: &str,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::no("PodCompleted", None),
        "Failed" => return Verdict::no("PodFailed", None),
        _ => {}
    }
    let spec = input.pod.spec();
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let wanted = sidecars.map(|c| (c, init)).chain(spec.containers.iter().map(|c| (c, regular)));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for (container, statuses) in wanted {
        match find(Some(statuses), &container.name) {
            Some(status) if status.ready => {}
            Some(_) => unready.push(container.name.as_str()),
            None => unknown.push(container.name.as_str()),
        }
    }
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", go_list(&unknown)));
    }
    if !unready.is_empty() {
        parts.push(format!("containers with unready status: {}", go_list(&unready)));
    }
    if parts.is_empty() { Verdict::TRUE } else { Verdict::no("ContainersNotReady", Some(parts.join(", "))) }
}

fn gates(input: &Input<'_>) -> Verdict {
    let conditions = input.old.conditions.as_deref().unwrap_or_default();
    let problems: Vec<String> = input
        .pod
        .spec()
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match conditions.iter().find(|condition| condition.type_ == *kind) {
                None => {
                    Some(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist."))
                }
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if problems.is_empty() {
        return Verdict::TRUE;
    }
    Verdict::no("ReadinessGatesNotReady", Some(problems.join(", ")))
}
