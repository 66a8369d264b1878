//! Decides what a pod needs next, from its specification and what the runtime has of it. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::pod::{PodExt, Role, as_container, container_hash, is_sidecar, restarts};
use crate::probe::{Kind, Results};
use crate::view::{PodView, Sandbox, State};

/// One container to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// The runtime's id.
    pub id: String,
    /// Name in the pod.
    pub name: String,
    /// Why, for the event.
    pub message: String,
    /// The probe that failed, when one did: it may bring a grace period of its own.
    pub probe: Option<Kind>,
}

/// One container to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Which list it stands in.
    pub role: Role,
    /// Name in the pod.
    pub name: String,
    /// How many containers of this name came before.
    pub attempt: u32,
}

/// What to do next, in this order: kill the pod, or kill containers; make a sandbox; start containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// End everything that runs, the sandbox too.
    pub kill_pod: bool,
    /// Make a sandbox, the one with this attempt number.
    pub create_sandbox: Option<u32>,
    /// End these.
    pub kill: Vec<Kill>,
    /// Start these, in order.
    pub start: Vec<Start>,
}

/// Plans the next step of a pod that is to run.
pub fn plan(pod: &Pod, view: &PodView, probes: &Results) -> Plan {
    match sandbox_to_make(pod, view) {
        Some(attempt) => plan_new_sandbox(pod, view, attempt),
        None => plan_in_sandbox(pod, view, probes),
    }
}

/// Attempt number of the sandbox to make, when the pod has none that serves.
fn sandbox_to_make(pod: &Pod, view: &PodView) -> Option<u32> {
    let Some(newest) = view.sandbox() else { return Some(0) };
    let ready = view.sandboxes.iter().filter(|sandbox| sandbox.ready).count();
    let has_network = |sandbox: &Sandbox| pod.host_network() || !sandbox.ips.is_empty();
    (ready > 1 || !newest.ready || !has_network(newest)).then_some(newest.attempt + 1)
}

fn plan_new_sandbox(pod: &Pod, view: &PodView, attempt: u32) -> Plan {
    let spec = pod.spec();
    let never = spec.restart_policy.as_deref() == Some("Never") && !has_own_policies(pod);
    if never && attempt > 0 && !view.containers.is_empty() {
        return Plan { kill_pod: true, ..Plan::default() };
    }
    let start: Vec<Start> =
        spec.containers.iter().filter_map(|c| start_unless_done(pod, view, Role::Regular, c)).collect();
    if start.is_empty() && !view.containers.is_empty() {
        return Plan { kill_pod: true, ..Plan::default() };
    }
    let start = match spec.init_containers.iter().flatten().next() {
        Some(first) => vec![start_again(view, Role::Init, first)],
        None => start,
    };
    Plan { kill_pod: true, create_sandbox: Some(attempt), start, ..Plan::default() }
}

fn has_own_policies(pod: &Pod) -> bool {
    pod.spec().containers.iter().any(|container| container.restart_policy.is_some())
}

fn plan_in_sandbox(pod: &Pod, view: &PodView, probes: &Results) -> Plan {
    let mut plan = Plan::default();
    for ephemeral in pod.spec().ephemeral_containers.iter().flatten() {
        if view.latest(&ephemeral.name).is_none() {
            plan.start.push(start_again(view, Role::Ephemeral, &as_container(ephemeral)));
        }
    }
    match plan_init(pod, view, probes, &mut plan) {
        Init::Done => {}
        Init::Waiting => return plan,
        Init::Failed => return Plan { kill_pod: true, ..Plan::default() },
    }
    let mut kept = 0;
    for container in &pod.spec().containers {
        match judge(pod, view, probes, Role::Regular, container) {
            Verdict::Keep => kept += 1,
            Verdict::Leave => {}
            Verdict::Start => plan.start.push(start_again(view, Role::Regular, container)),
            Verdict::Replace(kill) => {
                plan.kill.push(kill);
                plan.start.push(start_again(view, Role::Regular, container));
                kept += 1;
            }
            Verdict::End(kill) => plan.kill.push(kill),
        }
    }
    let starts_regular = plan.start.iter().any(|start| start.role == Role::Regular);
    if kept == 0 && !starts_regular && plan.kill.is_empty() {
        return Plan { kill_pod: true, ..Plan::default() };
    }
    plan
}

enum Init {
    Done,
    Waiting,
    Failed,
}

/// Init containers run one after the other; a sidecar lets the next one begin once it has started.
/// When a regular container exists in this sandbox the plain ones are behind us, even if their remains are gone.
fn plan_init(pod: &Pod, view: &PodView, probes: &Results, plan: &mut Plan) -> Init {
    let begun = pod.spec().containers.iter().any(|container| view.current(&container.name).is_some());
    for container in pod.spec().init_containers.iter().flatten() {
        let sidecar = is_sidecar(container);
        if begun && !sidecar {
            continue;
        }
        let Some(current) = view.current(&container.name) else {
            plan.start.push(start_again(view, Role::Init, container));
            if begun {
                continue;
            }
            return Init::Waiting;
        };
        if !sidecar && current.state == State::Exited && current.exit_code == 0 {
            continue;
        }
        match judge(pod, view, probes, Role::Init, container) {
            Verdict::Keep if sidecar && probes.started(container, &current.id) => continue,
            Verdict::Keep => {}
            Verdict::Leave => return Init::Failed,
            Verdict::Start => plan.start.push(start_again(view, Role::Init, container)),
            Verdict::Replace(kill) => {
                plan.kill.push(kill);
                plan.start.push(start_again(view, Role::Init, container));
            }
            Verdict::End(kill) => plan.kill.push(kill),
        }
        if !begun {
            return Init::Waiting;
        }
    }
    Init::Done
}

enum Verdict {
    /// It runs as it should.
    Keep,
    /// It is dead and stays so.
    Leave,
    /// It does not run and should.
    Start,
    /// It runs and must be ended, then started again.
    Replace(Kill),
    /// It runs and must be ended for good.
    End(Kill),
}

fn judge(pod: &Pod, view: &PodView, probes: &Results, role: Role, container: &Container) -> Verdict {
    let Some(latest) = view.latest(&container.name) else { return Verdict::Start };
    match latest.state {
        State::Created => Verdict::Start,
        State::Exited if restarts(pod.spec(), role, container, latest.exit_code) => Verdict::Start,
        State::Exited => Verdict::Leave,
        State::Unknown => {
            let message =
                format!("Container {} is in unknown state, try killing it before restart", latest.name);
            Verdict::Replace(Kill { id: latest.id.clone(), name: latest.name.clone(), message, probe: None })
        }
        State::Running => judge_running(pod, probes, role, container, latest),
    }
}

fn judge_running(
    pod: &Pod,
    probes: &Results,
    role: Role,
    container: &Container,
    running: &crate::view::Container,
) -> Verdict {
    let name = &container.name;
    let (reason, probe) = if running.hash != container_hash(container) {
        (format!("Container {name} definition changed"), None)
    } else if probes.failed(&running.id, Kind::Liveness) {
        (format!("Container {name} failed liveness probe"), Some(Kind::Liveness))
    } else if probes.failed(&running.id, Kind::Startup) {
        (format!("Container {name} failed startup probe"), Some(Kind::Startup))
    } else {
        return Verdict::Keep;
    };
    // A killed container ends with a failure, so that is the code its policy is asked about.
    let again = probe.is_none() || restarts(pod.spec(), role, container, 137);
    let message = if again { format!("{reason}, will be restarted") } else { reason };
    let kill = Kill { id: running.id.clone(), name: name.clone(), message, probe };
    if again { Verdict::Replace(kill) } else { Verdict::End(kill) }
}

fn start_unless_done(pod: &Pod, view: &PodView, role: Role, container: &Container) -> Option<Start> {
    let done = view.latest(&container.name).is_some_and(|latest| {
        latest.state == State::Exited && !restarts(pod.spec(), role, container, latest.exit_code)
    });
    (!done).then(|| start_again(view, role, container))
}

fn start_again(view: &PodView, role: Role, container: &Container) -> Start {
    let attempt = view.latest(&container.name).map_or(0, |latest| latest.attempt + 1);
    Start { role, name: container.name.clone(), attempt }
}

#[cfg(test)]
mod tests;
