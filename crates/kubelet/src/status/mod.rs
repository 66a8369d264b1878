//! What the API is told about a pod. Pure: specification, runtime view and verdicts in, `PodStatus` out.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pod::{PodExt, Role, qos_class};
use crate::probe::Results;
use crate::view::PodView;

pub mod conditions;
pub mod containers;
pub mod patch;
pub mod phase;

/// Why a container does not run: goes into `state.waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `CrashLoopBackOff`, `ErrImagePull`, ….
    pub reason: String,
    /// The sentence for people.
    pub message: String,
}

/// Everything a status is made of.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The status it had: times and terminal facts are kept from it.
    pub old: &'a PodStatus,
    /// What the runtime has.
    pub view: &'a PodView,
    /// Verdicts of the probes.
    pub probes: &'a Results,
    /// Containers that could not be started, by name.
    pub waiting: &'a HashMap<String, Waiting>,
    /// Termination messages by container id.
    pub messages: &'a HashMap<String, String>,
    /// Scheme of container ids, the name of the runtime.
    pub runtime: &'a str,
    /// Addresses of the node.
    pub host_ips: &'a [String],
    /// The pod runs no more and never will: no container is started again.
    pub stopped: bool,
    /// The kubelet ended the pod for this reason and with this message.
    pub failed: Option<&'a Waiting>,
    /// Now.
    pub now: Timestamp,
}

/// The status of a pod.
pub fn pod_status(input: Input<'_>) -> PodStatus {
    let pod = input.pod;
    let init = containers::statuses(&input, Role::Init);
    let regular = containers::statuses(&input, Role::Regular);
    let ephemeral = containers::statuses(&input, Role::Ephemeral);
    let phase = match input.old.phase.as_deref() {
        Some(terminal @ ("Succeeded" | "Failed")) => terminal,
        old => match decided_phase(&input, &init, &regular) {
            // A sidecar or a leftover still runs: the pod is over only when nothing does.
            "Succeeded" | "Failed" if input.view.alive().next().is_some() => old.unwrap_or("Running"),
            phase => phase,
        },
    };
    // Why a pod fails is told when it has failed.
    let failed = input.failed.filter(|_| phase == "Failed");
    let conditions = conditions::conditions(&input, phase, &init, &regular);
    let ips = pod_ips(&input);
    PodStatus {
        phase: Some(phase.to_owned()),
        reason: failed.map(|failed| failed.reason.clone()).or_else(|| input.old.reason.clone()),
        message: failed.map(|failed| failed.message.clone()).or_else(|| input.old.message.clone()),
        conditions: Some(conditions),
        host_ip: input.host_ips.first().cloned(),
        host_ips: some(input.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: some(ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: Some(input.old.start_time.clone().unwrap_or_else(|| Time(whole_second(input.now)))),
        qos_class: Some(qos_class(pod).to_owned()),
        init_container_statuses: some(init),
        container_statuses: some(regular),
        ephemeral_container_statuses: some(ephemeral),
        observed_generation: pod.metadata.generation,
        ..input.old.clone()
    }
}

fn decided_phase(input: &Input<'_>, init: &[ContainerStatus], regular: &[ContainerStatus]) -> &'static str {
    if input.failed.is_some() {
        return "Failed";
    }
    phase::phase(input.pod.spec(), init, regular, input.stopped)
}

/// The pod's addresses: the node's with its network, else those of the sandbox, else what was known: a pod that
/// stopped keeps showing where it was.
fn pod_ips(input: &Input<'_>) -> Vec<String> {
    if input.pod.host_network() {
        // Only a sandbox makes the node's address the pod's.
        return if input.view.sandboxes.is_empty() { known_ips(input.old) } else { input.host_ips.to_vec() };
    }
    match input.view.sandboxes.iter().find(|sandbox| sandbox.ready && !sandbox.ips.is_empty()) {
        Some(sandbox) => sandbox.ips.clone(),
        None => known_ips(input.old),
    }
}

fn known_ips(old: &PodStatus) -> Vec<String> {
    old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Times of the API have no fractions.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a second that was in range still is")
}

/// The status of a container by its name.
pub fn find<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|status| status.name == name)
}

#[cfg(test)]
mod tests;
