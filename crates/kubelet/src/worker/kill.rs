//! Ends containers: hook, signal, grace, then force.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};
use steersman_controller_runtime::EventType;
use tokio::time::Instant;

use super::{PodWorker, hooks};
use crate::pod::{PodExt, is_sidecar};
use crate::probe::check::Target;
use crate::shared::Shared;
use crate::view::State;

/// A process always gets this long between the signal and the end.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// One container to end.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) name: String,
    pub(super) spec: Option<Spec>,
    pub(super) message: String,
    /// A container that never ran has nobody to tell.
    pub(super) ran: bool,
}

impl PodWorker {
    /// A job for each container that may be alive.
    pub(super) fn jobs(&self) -> Vec<Job> {
        let alive = self.view.alive();
        alive.map(|container| self.job(&container.id, &container.name, String::new())).collect()
    }

    pub(super) fn job(&self, id: &str, name: &str, message: String) -> Job {
        let message = if message.is_empty() { format!("Stopping container {name}") } else { message };
        Job {
            target: self.target(id),
            name: name.to_owned(),
            spec: self.pod.find_container(name).map(|(_, container)| container),
            message,
            ran: self.view.by_id(id).is_some_and(|container| container.state == State::Running),
        }
    }
}

/// Ends all containers of a pod within `grace`: the regular ones together, then sidecars, the last one first.
pub(super) async fn end_all(shared: Arc<Shared>, pod: Arc<Pod>, jobs: Vec<Job>, grace: Duration) {
    let deadline = Instant::now() + grace;
    let (mut sidecars, others): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.spec.as_ref().is_some_and(is_sidecar));
    join_all(others.iter().map(|job| end_one(&shared, &pod, job, deadline))).await;
    let order = |job: &Job| {
        let inits = pod.spec().init_containers.as_deref().unwrap_or_default();
        inits.iter().position(|container| container.name == job.name)
    };
    sidecars.sort_by_key(|job| std::cmp::Reverse(order(job)));
    for job in &sidecars {
        end_one(&shared, &pod, job, deadline).await;
    }
}

/// Ends one container: its preStop hook and its signal share the time until `deadline`.
pub(super) async fn end_one(shared: &Shared, pod: &Pod, job: &Job, deadline: Instant) {
    if job.ran {
        shared.container_event(pod, &job.name, EventType::Normal, "Killing", job.message.clone());
    }
    let hook = job
        .spec
        .as_ref()
        .and_then(|spec| spec.lifecycle.as_ref()?.pre_stop.as_ref().map(|hook| (spec, hook)));
    if let (Some((spec, hook)), true) = (hook, job.ran && deadline > Instant::now()) {
        match tokio::time::timeout_at(deadline, hooks::run(&job.target, spec, hook)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(pod = %pod.long_name(), container = %job.name, %error, "preStop hook failed");
                let reason = "FailedPreStopHook";
                shared.container_event(pod, &job.name, EventType::Warning, reason, "PreStopHook failed");
            }
            Err(_) => {
                tracing::info!(pod = %pod.long_name(), container = %job.name, "preStop hook outlived the grace");
            }
        }
    }
    let grace = deadline.saturating_duration_since(Instant::now()).max(LEAST_GRACE);
    if let Err(status) = shared.runtime.stop_container(&job.target.container_id, grace).await {
        tracing::warn!(pod = %pod.long_name(), container = %job.name, %status, "container not stopped");
    }
}
