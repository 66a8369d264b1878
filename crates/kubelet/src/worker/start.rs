//! Starts one container: back-off, image, configuration, create, start, hook.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use steersman_controller_runtime::EventType;
use steersman_cri::PodSandboxConfig;
use tokio::time::Instant;

use super::image::Image;
use super::{PodWorker, hooks, now};
use crate::actions::Start;
use crate::cri_config::container::{Parts, container_config};
use crate::cri_config::security::{self, ImageUser};
use crate::env::downward::Downward;
use crate::env::{self, Objects};
use crate::hosts::PodName;
use crate::pod::{PodExt, Role};
use crate::resources;
use crate::status::Waiting;
use crate::text::{go_duration, rpc_error};
use crate::view::State;

/// How soon a container whose configuration is wrong is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How often whoever watches is told that a start or a pull still waits for its back-off.
pub(super) const BACKOFF_NEWS: Duration = Duration::from_secs(12);

/// What the containers of a pod stand on.
pub(super) struct Ground {
    pub(super) objects: Objects,
    pub(super) volumes: HashMap<String, PathBuf>,
    pub(super) name: PodName,
    pub(super) sandbox: PodSandboxConfig,
    pub(super) pull_secrets: Vec<String>,
}

/// Why a container was not started; the reason is for the status, the text for the event.
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Text of the event that goes with it; none when there was one already.
    pub(super) event: Option<String>,
    /// When to try again by the clock; otherwise something else will wake the worker.
    pub(super) retry: Option<Duration>,
}

impl Refusal {
    fn new(reason: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { reason, event: Some(format!("Error: {message}")), message, retry: Some(RETRY) }
    }
}

impl PodWorker {
    /// Starts a container, or notes why it waits.
    pub(super) async fn start(&mut self, start: &Start, sandbox: &str, ground: &Ground) {
        match self.try_start(start, sandbox, ground).await {
            Ok(true) => {
                self.waiting.remove(&start.name);
            }
            Ok(false) => {} // Its image is being pulled; the end of the pull wakes the worker.
            Err(refusal) => self.refused(&start.name, refusal),
        }
    }

    fn refused(&mut self, name: &str, refusal: Refusal) {
        if let Some(event) = refusal.event {
            self.shared.container_event(&self.pod, name, EventType::Warning, "Failed", event);
        }
        if let Some(retry) = refusal.retry {
            self.look_at(Instant::now() + retry);
        }
        let waiting = Waiting { reason: refusal.reason.to_owned(), message: refusal.message };
        self.waiting.insert(name.to_owned(), waiting);
    }

    /// False when the image is still on its way.
    async fn try_start(&mut self, start: &Start, sandbox: &str, ground: &Ground) -> Result<bool, Refusal> {
        let Some((_, container)) = self.pod.find_container(&start.name) else { return Ok(true) };
        self.check_crash_loop(&start.name)?;
        let Image::Ready { image_ref, user } = self.image(&container, ground).await? else {
            return Ok(false);
        };
        let config_error =
            |error: &dyn ToString| Refusal::new("CreateContainerConfigError", error.to_string());
        security::check_non_root(&self.pod, &container, &user).map_err(|error| config_error(&error))?;
        let env = self.environment(&container, ground).map_err(|error| config_error(&error))?;
        let mounts = self.mounts(&container, ground, &env).await.map_err(|error| config_error(&error))?;
        let security = self.security(start, &container, &user)?;
        let unified = self.shared.cgroups.is_unified();
        let memory = self.shared.machine.memory_bytes;
        let parts = Parts {
            attempt: start.attempt,
            image_ref,
            env,
            mounts,
            security,
            resources: resources::container_resources(&self.pod, &container, memory, unified),
        };
        let config = container_config(&self.pod, &container, parts);
        let logs = format!("{}/{}", ground.sandbox.log_directory, start.name);
        tokio::fs::create_dir_all(&logs).await.map_err(|error| config_error(&error))?;
        let runtime = self.shared.runtime.clone();
        let created = runtime.create_container(sandbox, config, ground.sandbox.clone()).await;
        let id = created.map_err(|status| Refusal::new("CreateContainerError", status.message()))?;
        let event = |reason: &str, message: &str| {
            self.shared.container_event(&self.pod, &start.name, EventType::Normal, reason, message);
        };
        event("Created", "Container created");
        if let Err(status) = runtime.start_container(&id).await {
            return Err(Refusal::new("RunContainerError", status.message()));
        }
        event("Started", "Container started");
        self.after_start(&id, &container).await?;
        Ok(true)
    }

    /// Refuses a container that crashed a short while ago.
    fn check_crash_loop(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(latest) = self.view.latest(name).filter(|latest| latest.state == State::Exited) else {
            return Ok(());
        };
        let ended = latest.finished_at;
        // A pull that is under way for this start has passed the gate already.
        if self.pulled.contains_key(name) || self.awaits_pull(name) {
            return Ok(());
        }
        let Some(left) = self.crashes.remaining(name, ended, now()) else {
            self.crashes.next(name, ended);
            return Ok(());
        };
        let pod = self.pod.long_name();
        let delay = go_duration(self.crashes.delay(name));
        let message = format!("Back-off restarting failed container {name} in pod {pod}");
        self.shared.container_event(&self.pod, name, EventType::Warning, "BackOff", message);
        Err(Refusal {
            reason: "CrashLoopBackOff",
            message: format!("back-off {delay} restarting failed container={name} pod={pod}"),
            event: None,
            retry: Some(left.min(BACKOFF_NEWS)),
        })
    }

    fn environment(
        &self,
        container: &k8s_openapi::api::core::v1::Container,
        ground: &Ground,
    ) -> Result<env::Environment, env::EnvError> {
        let ips = self.pod_ips();
        let downward = Downward {
            pod: &self.pod,
            pod_ips: &ips,
            host_ips: &self.shared.config.node_ips,
            allocatable: &self.shared.machine.allocatable,
        };
        let services = self.shared.services.cache().list();
        let links = self.pod.spec().enable_service_links.unwrap_or(true);
        let services = services.iter().map(AsRef::as_ref);
        let variables = env::services::variables(services, self.pod.namespace(), links);
        env::environment(container, &ground.objects, &downward, &variables)
    }

    fn security(
        &self,
        start: &Start,
        container: &k8s_openapi::api::core::v1::Container,
        user: &ImageUser,
    ) -> Result<steersman_cri::LinuxContainerSecurityContext, Refusal> {
        let target = match start.role {
            Role::Ephemeral => self.ephemeral_target(&start.name)?,
            Role::Init | Role::Regular => None,
        };
        Ok(self.shared.with_facts(|facts| {
            security::container_security(&self.pod, container, user, target.as_deref(), facts.seccomp_root)
        }))
    }

    /// The container whose processes an ephemeral container is to see.
    fn ephemeral_target(&self, name: &str) -> Result<Option<String>, Refusal> {
        let ephemeral = self.pod.spec().ephemeral_containers.iter().flatten().find(|c| c.name == name);
        let Some(target) =
            ephemeral.and_then(|c| c.target_container_name.as_deref()).filter(|t| !t.is_empty())
        else {
            return Ok(None);
        };
        match self.view.latest(target).filter(|latest| latest.state == State::Running) {
            Some(running) => Ok(Some(running.id.clone())),
            None => {
                let message = format!("unable to find target container \"{target}\"");
                Err(Refusal::new("CreateContainerConfigError", message))
            }
        }
    }

    /// Runs the postStart hook; a container whose hook fails is ended.
    async fn after_start(
        &mut self,
        id: &str,
        container: &k8s_openapi::api::core::v1::Container,
    ) -> Result<(), Refusal> {
        let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
        else {
            return Ok(());
        };
        let target = self.target(id);
        let mut desired = self.desired.clone();
        let ended = desired.wait_for(|desired| desired.removed || desired.pod.is_deleting());
        let outcome = tokio::select! {
            outcome = hooks::run(&target, container, hook) => outcome,
            // The pod is to end: its hook need not.
            _ = ended => return Ok(()),
        };
        let Err(error) = outcome else { return Ok(()) };
        tracing::warn!(pod = %self.pod.long_name(), container = %container.name, %error, "postStart hook failed");
        let name = &container.name;
        let (reason, text) = ("FailedPostStartHook", "PostStartHook failed");
        self.shared.container_event(&self.pod, name, EventType::Warning, reason, text);
        let mut job = self.job(id, name, "FailedPostStartHook".to_owned());
        job.ran = true;
        let deadline = Instant::now() + self.own_grace();
        super::kill::end_one(&self.shared, &self.pod, &job, deadline).await;
        Err(Refusal {
            reason: "PostStartHookError",
            message: text.to_owned(),
            event: None,
            retry: Some(RETRY),
        })
    }
}

/// The message of an image that could not be asked about.
pub(super) fn inspect_failed(image: &str, status: &tonic::Status) -> String {
    format!("Failed to inspect image \"{image}\": {}", rpc_error(status))
}
