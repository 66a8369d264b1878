//! The step of a pod that is to run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use steersman_controller_runtime::EventType;
use tokio::time::Instant;

use super::start::Ground;
use super::{Life, PodWorker, StepError, kill, now};
use crate::actions::{self, Kill, Plan};
use crate::env::Objects;
use crate::env::downward::Downward;
use crate::hosts;
use crate::logs::rotate;
use crate::pod::PodExt;
use crate::probe::Kind;
use crate::references::{References, references};
use crate::resources;
use crate::status::Waiting;
use crate::text::rpc_error;
use crate::view::State;
use crate::volumes::{self, VolumeError};

const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

impl PodWorker {
    pub(super) async fn sync(&mut self) -> Result<(), StepError> {
        self.check_deadline();
        let plan = actions::plan(&self.pod, &self.view, &self.probes);
        self.forget_settled();
        self.report(false);
        if self.must_end() || (plan.kill_pod && plan.create_sandbox.is_none()) {
            self.life = Life::Ending;
            return Ok(());
        }
        self.end_planned(&plan).await?;
        if self.ground_is_needed(&plan) {
            match self.prepare_ground(&plan).await? {
                Some(ground) => self.start_planned(&plan, &ground).await?,
                None => {
                    self.sync_probes(&Kind::ALL);
                    return Ok(());
                }
            }
            self.view = self.shared.runtime.pod_view(self.pod.uid()).await?;
            self.report(false);
        }
        self.sync_probes(&Kind::ALL);
        self.remove_old().await;
        self.retries.forget("step");
        Ok(())
    }

    /// Fails a pod that has run longer than it may, or looks again when that will be.
    fn check_deadline(&mut self) {
        let (Some(seconds), Some(start)) = (self.pod.spec().active_deadline_seconds, &self.status.start_time)
        else {
            return;
        };
        let end = start.0.as_second().saturating_add(seconds);
        let left = end - jiff::Timestamp::now().as_second();
        match u64::try_from(left) {
            Ok(left) if left > 0 => self.look_at(Instant::now() + Duration::from_secs(left)),
            _ if self.failed.is_none() => {
                let failed =
                    Waiting { reason: "DeadlineExceeded".into(), message: DEADLINE_MESSAGE.to_owned() };
                self.shared.pod_event(&self.pod, EventType::Normal, &failed.reason, &failed.message);
                self.failed = Some(failed);
            }
            _ => {}
        }
    }

    /// Containers that run wait for nothing.
    fn forget_settled(&mut self) {
        let view = &self.view;
        let runs = |name: &str| view.latest(name).is_some_and(|latest| latest.state == State::Running);
        self.waiting.retain(|name, _| !runs(name));
    }

    async fn end_planned(&mut self, plan: &Plan) -> Result<(), StepError> {
        if plan.kill_pod {
            if self.view.sandbox().is_some() {
                let message = "Pod sandbox changed, it will be killed and re-created.";
                self.shared.pod_event(&self.pod, EventType::Normal, "SandboxChanged", message);
            }
            let jobs = self.jobs();
            kill::end_all(self.shared.clone(), self.pod.clone(), jobs, self.own_grace()).await;
            for sandbox in &self.view.sandboxes {
                self.shared.runtime.stop_sandbox(&sandbox.id).await?;
            }
        }
        for Kill { id, name, message, probe } in &plan.kill {
            let grace =
                probe.and_then(|kind| self.probe_grace(name, kind)).unwrap_or_else(|| self.own_grace());
            let job = self.job(id, name, message.clone());
            kill::end_one(&self.shared, &self.pod, &job, Instant::now() + grace).await;
        }
        if plan.kill_pod || !plan.kill.is_empty() {
            self.view = self.shared.runtime.pod_view(self.pod.uid()).await?;
            self.read_messages().await;
            self.report(false);
        }
        Ok(())
    }

    pub(super) fn own_grace(&self) -> Duration {
        let seconds = self.pod.spec().termination_grace_period_seconds.unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    fn probe_grace(&self, container: &str, kind: Kind) -> Option<Duration> {
        let (_, container) = self.pod.find_container(container)?;
        let seconds = kind.of(&container)?.termination_grace_period_seconds?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Volumes are looked after on every step, since what they are made from may have changed.
    fn ground_is_needed(&self, plan: &Plan) -> bool {
        let has_volumes = self.pod.spec().volumes.as_ref().is_some_and(|volumes| !volumes.is_empty());
        has_volumes || plan.create_sandbox.is_some() || !plan.start.is_empty()
    }

    /// Objects, directories, cgroup, volumes: what containers stand on. `None` when something is missing; it has
    /// been reported and will be looked at again.
    async fn prepare_ground(&mut self, plan: &Plan) -> Result<Option<Ground>, StepError> {
        let found = references(&self.pod);
        let objects = self.objects(&found).await;
        let amounts = resources::pod_amounts(self.pod.spec());
        let cgroup = resources::cgroup_parent(&self.shared.config.cgroup_root, &self.pod);
        if plan.create_sandbox.is_some() {
            let made = self.shared.cgroups.apply(&cgroup, amounts);
            made.map_err(|source| StepError::Io { action: "make the pod's cgroup", source })?;
        }
        let ips = self.pod_ips();
        let errors = self.set_up_volumes(&objects, &ips).await;
        for error in &errors {
            self.shared.pod_event(&self.pod, EventType::Warning, "FailedMount", error.to_string());
        }
        if errors.is_empty() {
            self.retries.forget("volumes");
        } else {
            let delay = self.retry_delay("volumes");
            self.look_at(Instant::now() + delay);
        }
        // A volume that was in place keeps its content when its source has gone.
        if errors.iter().any(|error| !self.mounted.contains_key(&error.volume)) {
            return Ok(None);
        }
        let volumes = self.mounted.clone();
        let name = match hosts::pod_name(&self.pod, &self.shared.config.cluster_domain) {
            Ok(name) => name,
            Err(error) => {
                self.shared.pod_event(
                    &self.pod,
                    EventType::Warning,
                    "FailedCreatePodSandBox",
                    error.to_string(),
                );
                self.look_at(Instant::now() + Duration::from_secs(60));
                return Ok(None);
            }
        };
        let dns = crate::dns::config(&self.pod, &self.shared.cluster_dns(), &self.shared.node_dns());
        let attempt = plan.create_sandbox.or(self.view.sandbox().map(|sandbox| sandbox.attempt)).unwrap_or(0);
        let sandbox = self.shared.with_facts(|facts| {
            crate::cri_config::sandbox::sandbox_config(&self.pod, attempt, &name.hostname, dns, facts)
        });
        Ok(Some(Ground { objects, volumes, name, sandbox, pull_secrets: found.pull_secrets }))
    }

    async fn objects(&self, found: &References) -> Objects {
        let (uid, namespace) = (self.pod.uid(), self.pod.namespace());
        let names: Vec<String> = found.config_maps.iter().cloned().collect();
        self.shared.config_maps.keep(uid, namespace, &names, &self.wake);
        let mut objects = Objects::default();
        for name in names {
            let object = self.shared.config_maps.get(namespace, &name).await;
            objects.config_maps.insert(name, object);
        }
        let names: Vec<String> = found.secrets.iter().cloned().collect();
        self.shared.secrets.keep(uid, namespace, &names, &self.wake);
        for name in names {
            let object = self.shared.secrets.get(namespace, &name).await;
            objects.secrets.insert(name, object);
        }
        objects
    }

    /// The pod's addresses as they are now.
    pub(super) fn pod_ips(&self) -> Vec<String> {
        if self.pod.host_network() {
            return self.shared.config.node_ips.clone();
        }
        self.view
            .sandbox()
            .filter(|sandbox| sandbox.ready)
            .map(|sandbox| sandbox.ips.clone())
            .unwrap_or_default()
    }

    /// Puts the volumes in place and notes where; what failed is given back.
    async fn set_up_volumes(&mut self, objects: &Objects, ips: &[String]) -> Vec<VolumeError> {
        let tokens = self.tokens.collect(&self.shared.client, &self.pod).await;
        if let Some(renewal) = self.tokens.next_renewal() {
            self.look_at(renewal);
        }
        let downward = Downward {
            pod: &self.pod,
            pod_ips: ips,
            host_ips: &self.shared.config.node_ips,
            allocatable: &self.shared.machine.allocatable,
        };
        let (mut errors, mut work) = (Vec::new(), Vec::new());
        let dir = self.shared.pod_dir(self.pod.uid());
        for volume in self.pod.spec().volumes.iter().flatten() {
            match volumes::prepare(volume, objects, &downward, &tokens) {
                Ok(prepared) => {
                    let at = volumes::location(&dir, &volume.name, &prepared);
                    work.push((volume.name.clone(), at, prepared));
                }
                Err(error) => errors.push(error),
            }
        }
        let group = volumes::fs_group(&self.pod);
        let place_all = move || {
            let place =
                |(volume, at, prepared): (String, PathBuf, volumes::Prepared)| match volumes::put_in_place(
                    &at, &prepared, group,
                ) {
                    Ok(()) => Ok((volume, at)),
                    Err(message) => Err(VolumeError { volume, message }),
                };
            work.into_iter().map(place).collect::<Vec<_>>()
        };
        match tokio::task::spawn_blocking(place_all).await {
            Ok(done) => {
                for volume in done {
                    match volume {
                        Ok((volume, at)) => drop(self.mounted.insert(volume, at)),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(VolumeError { volume: String::new(), message: error.to_string() }),
        }
        errors
    }

    async fn start_planned(&mut self, plan: &Plan, ground: &Ground) -> Result<(), StepError> {
        if plan.create_sandbox.is_some() && !self.make_sandbox(ground).await? {
            return Ok(());
        }
        let Some(sandbox) = self.view.sandbox().map(|sandbox| sandbox.id.clone()) else { return Ok(()) };
        for start in &plan.start {
            self.start(start, &sandbox, ground).await;
        }
        Ok(())
    }

    /// Makes the sandbox; false when that failed and was reported.
    async fn make_sandbox(&mut self, ground: &Ground) -> Result<bool, StepError> {
        let logs = tokio::fs::create_dir_all(&ground.sandbox.log_directory).await;
        logs.map_err(|source| StepError::Io { action: "make the pod's log directory", source })?;
        let handler = self.pod.spec().runtime_class_name.clone().unwrap_or_default();
        match self.shared.runtime.run_sandbox(ground.sandbox.clone(), &handler).await {
            Ok(_) => {
                self.retries.forget("sandbox");
                self.view = self.shared.runtime.pod_view(self.pod.uid()).await?;
                self.report(false);
                Ok(true)
            }
            Err(status) => {
                let message = format!("Failed to create pod sandbox: {}", rpc_error(&status));
                self.shared.pod_event(&self.pod, EventType::Warning, "FailedCreatePodSandBox", message);
                let delay = self.retry_delay("sandbox");
                self.look_at(Instant::now() + delay);
                Ok(false)
            }
        }
    }

    /// Removes what nobody will ask about: dead containers but the last of each name, and dead sandboxes that hold
    /// nothing any more.
    async fn remove_old(&self) {
        let mut kept: Vec<&str> = Vec::new();
        let dead = self.view.containers.iter().filter(|c| matches!(c.state, State::Exited | State::Created));
        let mut remaining: Vec<&str> =
            self.view.alive().map(|container| container.sandbox.as_str()).collect();
        for container in dead {
            let fresh =
                now().saturating_sub(container.created_at) < Duration::from_secs(10).as_nanos() as i64;
            if !kept.contains(&container.name.as_str()) || fresh {
                kept.push(&container.name);
                remaining.push(&container.sandbox);
                continue;
            }
            if let Err(status) = self.shared.runtime.remove_container(&container.id).await {
                tracing::warn!(container = %container.id, %status, "dead container not removed");
                continue;
            }
            remove_log(&container.log_path);
        }
        for sandbox in self.view.sandboxes.iter().skip(1) {
            if !sandbox.ready
                && !remaining.contains(&sandbox.id.as_str())
                && let Err(status) = self.shared.runtime.remove_sandbox(&sandbox.id).await
            {
                tracing::warn!(sandbox = %sandbox.id, %status, "dead sandbox not removed");
            }
        }
    }
}

/// Removes a log with what was rotated away from it.
fn remove_log(path: &str) {
    for rotated in rotate::rotated(Path::new(path)).unwrap_or_default() {
        remove_file(&rotated.to_string_lossy());
    }
    remove_file(path);
}

fn remove_file(path: &str) {
    match std::fs::remove_file(path) {
        Err(error) if !path.is_empty() && error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path, %error, "log of a dead container not removed");
        }
        _ => {}
    }
}
