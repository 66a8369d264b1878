//! The phase of a pod, from the states of its containers.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec};

use super::find;
use crate::pod::{Role, is_sidecar, restarts};

#[derive(Default)]
struct Count {
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
    restarting: usize,
}

/// `Pending`, `Running`, `Succeeded` or `Failed`. With `stopped` no container is started again.
pub fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    stopped: bool,
) -> &'static str {
    let (pending, failed) = count_init(spec, init, stopped);
    if failed {
        return "Failed";
    }
    let count = count_regular(spec, regular, stopped);
    let begun = count.running + count.stopped > 0;
    if pending && !(stopped && begun) {
        return if stopped { "Failed" } else { "Pending" };
    }
    match count {
        Count { waiting: 1.., .. } if stopped => "Failed",
        Count { waiting: 1.., .. } => "Pending",
        Count { running: 1.., .. } => "Running",
        Count { stopped: 0, .. } => "Pending",
        Count { restarting: 1.., .. } => "Running",
        Count { stopped, succeeded, .. } if stopped == succeeded => "Succeeded",
        Count { .. } => "Failed",
    }
}

/// Whether an init container is still to finish, and whether one has failed for good.
fn count_init(spec: &PodSpec, statuses: &[ContainerStatus], stopped: bool) -> (bool, bool) {
    let (mut pending, mut failed) = (false, false);
    for container in spec.init_containers.iter().flatten() {
        let Some(status) = find(Some(statuses), &container.name) else {
            pending = true;
            continue;
        };
        if is_sidecar(container) {
            pending |= status.started != Some(true) && !stopped;
            continue;
        }
        match exit_code(status) {
            Some(0) => {}
            Some(code) if !restarts(spec, Role::Init, container, code) => failed = true,
            Some(_) if stopped => failed = true,
            _ => pending = true,
        }
    }
    (pending, failed)
}

fn count_regular(spec: &PodSpec, statuses: &[ContainerStatus], stopped: bool) -> Count {
    let mut count = Count::default();
    for container in &spec.containers {
        let Some(status) = find(Some(statuses), &container.name) else {
            count.waiting += 1;
            continue;
        };
        let state = status.state.clone().unwrap_or_default();
        if state.running.is_some() {
            count.running += 1;
        } else if let Some(code) = exit_code(status) {
            count.stopped += 1;
            count.succeeded += usize::from(code == 0 && state.terminated.is_some());
            count.restarting += usize::from(!stopped && will_restart(spec, container, status, code));
        } else {
            count.waiting += 1;
        }
    }
    count
}

fn will_restart(spec: &PodSpec, container: &Container, status: &ContainerStatus, code: i32) -> bool {
    // A container that waits again has been judged already.
    let waits = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
    waits || restarts(spec, Role::Regular, container, code)
}

/// How the container ended, or its predecessor when it waits to be started again.
fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let state = status.state.as_ref()?;
    if state.running.is_some() {
        return None;
    }
    let ended = state.terminated.as_ref();
    let before = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    ended.or(before).map(|terminated| terminated.exit_code)
}
