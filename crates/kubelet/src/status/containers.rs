//! The status of each container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, ContainerUser, LinuxContainerUser, ResourceRequirements,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Input, Waiting, find};
use crate::backoff::Nanos;
use crate::pod::{PodExt, Role, is_sidecar};
use crate::view::{Container, State};

/// The statuses of one list of containers, in the order of the specification.
pub fn statuses(input: &Input<'_>, role: Role) -> Vec<ContainerStatus> {
    let old = match role {
        Role::Init => input.old.init_container_statuses.as_deref(),
        Role::Regular => input.old.container_statuses.as_deref(),
        Role::Ephemeral => input.old.ephemeral_container_statuses.as_deref(),
    };
    let all = input.pod.every_container().into_iter().filter(|(its, _)| *its == role);
    all.map(|(_, container)| status(input, role, &container, find(old, &container.name))).collect()
}

fn status(input: &Input<'_>, role: Role, spec: &Spec, old: Option<&ContainerStatus>) -> ContainerStatus {
    let mut runs = input.view.named(&spec.name);
    let Some(latest) = runs.next() else { return unmade(input, role, spec, old) };
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: latest.image.clone(),
        image_id: latest.image_ref.clone(),
        container_id: Some(container_id(input, latest)),
        restart_count: restart_count(latest, old),
        state: Some(state(input, role, latest)),
        last_state: Some(last_state(input, latest, runs.next(), old)),
        started: Some(false),
        user: latest.user.as_ref().map(user),
        stop_signal: latest.stop_signal.clone(),
        ..declared(spec)
    };
    match latest.state {
        State::Running => {
            let started = input.probes.started(spec, &latest.id);
            status.started = Some(started);
            status.ready = started && input.probes.ready(spec, &latest.id) && !plain_init(role, spec);
        }
        State::Exited if plain_init(role, spec) => status.ready = latest.exit_code == 0,
        State::Exited | State::Created | State::Unknown => {}
    }
    if let (Some(waiting), false) = (input.waiting.get(&spec.name), latest.state == State::Running) {
        wait(&mut status, waiting);
    }
    status
}

fn plain_init(role: Role, spec: &Spec) -> bool {
    role == Role::Init && !is_sidecar(spec)
}

/// A container that the runtime does not have: not made yet, or removed since.
fn unmade(input: &Input<'_>, role: Role, spec: &Spec, old: Option<&ContainerStatus>) -> ContainerStatus {
    let mut status = match old {
        Some(old) if has_ended(old) => return old.clone(),
        Some(old) if was_running(old) => lost(old, input),
        _ => ContainerStatus {
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            restart_count: old.map_or(0, |old| old.restart_count),
            last_state: Some(old.and_then(|old| old.last_state.clone()).unwrap_or_default()),
            started: Some(false),
            state: Some(waiting_state(initial_reason(input, role), None)),
            ..declared(spec)
        },
    };
    if let Some(waiting) = input.waiting.get(&spec.name) {
        wait(&mut status, waiting);
    }
    status
}

fn has_ended(old: &ContainerStatus) -> bool {
    old.state.as_ref().is_some_and(|state| state.terminated.is_some())
}

fn was_running(old: &ContainerStatus) -> bool {
    old.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// The container ran when last seen and has vanished from the runtime.
fn lost(old: &ContainerStatus, input: &Input<'_>) -> ContainerStatus {
    let message = if input.stopped {
        "The container could not be located when the pod was terminated"
    } else {
        "The container could not be located when the pod was deleted.  The container used to be Running"
    };
    let terminated = ContainerStateTerminated {
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some(message.to_owned()),
        ..ContainerStateTerminated::default()
    };
    let gone = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
    let (state, last_state, restarts) = if input.stopped {
        (gone, old.last_state.clone().unwrap_or_default(), 0)
    } else {
        (waiting_state("ContainerCreating", None), gone, 1)
    };
    ContainerStatus {
        state: Some(state),
        last_state: Some(last_state),
        restart_count: old.restart_count + restarts,
        ready: false,
        started: Some(false),
        ..old.clone()
    }
}

fn initial_reason(input: &Input<'_>, role: Role) -> &'static str {
    let has_init = input.pod.spec().init_containers.as_ref().is_some_and(|init| !init.is_empty());
    if has_init && role != Role::Ephemeral { "PodInitializing" } else { "ContainerCreating" }
}

/// Shows why a container does not start; how it ended moves to the last state.
fn wait(status: &mut ContainerStatus, waiting: &Waiting) {
    if let Some(state) = status.state.take().filter(|state| state.terminated.is_some()) {
        status.last_state = Some(state);
    }
    status.ready = false;
    status.started = Some(false);
    status.state = Some(waiting_state(&waiting.reason, Some(waiting.message.clone())));
}

fn waiting_state(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message: message.filter(|message| !message.is_empty()),
    };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn state(input: &Input<'_>, role: Role, container: &Container) -> ContainerState {
    match container.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning { started_at: time(container.started_at) }),
            ..ContainerState::default()
        },
        State::Exited => terminated(input, container),
        State::Created | State::Unknown => waiting_state(initial_reason(input, role), None),
    }
}

fn last_state(
    input: &Input<'_>,
    latest: &Container,
    previous: Option<&Container>,
    old: Option<&ContainerStatus>,
) -> ContainerState {
    if let Some(previous) = previous.filter(|previous| previous.state == State::Exited) {
        return terminated(input, previous);
    }
    // The one before may have been removed: what was told about it stands.
    let old = old.filter(|_| latest.attempt > 0);
    old.and_then(|old| {
        let same = old.container_id.as_deref() == Some(container_id(input, latest).as_str());
        let ended = old.state.clone().filter(|state| state.terminated.is_some() && !same);
        ended.or_else(|| old.last_state.clone())
    })
    .unwrap_or_default()
}

fn terminated(input: &Input<'_>, container: &Container) -> ContainerState {
    let message = input.messages.get(&container.id).unwrap_or(&container.message);
    let reason = match container.reason.as_str() {
        "" if container.exit_code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    let terminated = ContainerStateTerminated {
        exit_code: container.exit_code,
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then(|| message.clone()),
        // One that never ran has the epoch for its start.
        started_at: time(container.started_at.max(1)),
        finished_at: time(container.finished_at.max(1)),
        container_id: Some(container_id(input, container)),
        signal: None,
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// Never less than was told before: the runtime may have lost the containers that were counted.
fn restart_count(latest: &Container, old: Option<&ContainerStatus>) -> i32 {
    let counted = i32::try_from(latest.attempt).unwrap_or(i32::MAX);
    old.map_or(counted, |old| counted.max(old.restart_count))
}

/// What the specification alone says: resources and mounts.
fn declared(spec: &Spec) -> ContainerStatus {
    let resources = spec.resources.clone().unwrap_or_default();
    let declared = ResourceRequirements { claims: None, ..resources };
    let allocated = declared.requests.clone().filter(|requests| !requests.is_empty());
    ContainerStatus {
        allocated_resources: allocated,
        resources: Some(declared),
        volume_mounts: super::some(spec.volume_mounts.iter().flatten().map(mount_status).collect()),
        ..ContainerStatus::default()
    }
}

fn mount_status(mount: &k8s_openapi::api::core::v1::VolumeMount) -> VolumeMountStatus {
    let read_only = mount.read_only.unwrap_or(false);
    VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: read_only.then_some(true),
        recursive_read_only: read_only.then(|| match mount.recursive_read_only.as_deref() {
            Some("Enabled" | "IfPossible") => "Enabled".to_owned(),
            _ => "Disabled".to_owned(),
        }),
        ..VolumeMountStatus::default()
    }
}

fn user((uid, gid, groups): &(i64, i64, Vec<i64>)) -> ContainerUser {
    let linux = LinuxContainerUser { uid: *uid, gid: *gid, supplemental_groups: Some(groups.clone()) };
    ContainerUser { linux: Some(linux) }
}

fn container_id(input: &Input<'_>, container: &Container) -> String {
    format!("{}://{}", input.runtime, container.id)
}

fn time(nanos: Nanos) -> Option<Time> {
    (nanos > 0).then(|| Timestamp::from_second(nanos / 1_000_000_000).ok().map(Time)).flatten()
}
