//! The end of a pod: containers, sandbox, last status, volumes, cgroup, and the API object.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::time::Instant;

use super::{Life, PodWorker, StepError, kill};
use crate::cri_config::sandbox::log_directory;
use crate::pod::PodExt;
use crate::probe::Kind;
use crate::resources;
use crate::status::Waiting;

/// How soon containers that outlived their end are ended again.
const AGAIN: Duration = Duration::from_secs(1);
const CALL_LIMIT: Duration = Duration::from_secs(30);

impl PodWorker {
    /// Ends what runs; once nothing does, tells the last status.
    pub(super) async fn end(&mut self) -> Result<(), StepError> {
        self.sync_probes(&[Kind::Readiness]);
        if self.view.alive().next().is_some() {
            self.report(false);
            self.end_containers();
            return Ok(());
        }
        self.kills.abort_all();
        self.pulls.abort_all();
        for sandbox in self.view.sandboxes.iter().filter(|sandbox| sandbox.ready) {
            self.shared.runtime.stop_sandbox(&sandbox.id).await?;
        }
        self.view = self.shared.runtime.pod_view(self.pod.uid()).await?;
        if !self.view.is_stopped() {
            self.look_at(Instant::now() + AGAIN);
            return Ok(());
        }
        self.read_messages().await;
        self.sync_probes(&[]);
        // What a container waited for it will not get; how it ended last is what counts.
        self.waiting.retain(|_, waiting: &mut Waiting| waiting.reason != "CrashLoopBackOff");
        self.report(true);
        self.life = Life::Ended;
        Ok(())
    }

    fn end_containers(&mut self) {
        let grace = self.end_grace();
        let under_way = !self.kills.is_empty();
        if under_way && self.kill_grace.is_some_and(|running| running <= grace) {
            return;
        }
        if self.kill_grace == Some(grace) {
            // The last round ended and something still lives.
            self.look_at(Instant::now() + AGAIN);
        }
        self.kills.abort_all();
        self.kill_grace = Some(grace);
        self.kills.spawn(kill::end_all(self.shared.clone(), self.pod.clone(), self.jobs(), grace));
    }

    /// How long containers have: what the deletion says, else what the pod says.
    fn end_grace(&self) -> Duration {
        match self.pod.metadata.deletion_grace_period_seconds {
            Some(seconds) if self.pod.is_deleting() => {
                Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
            }
            _ => self.own_grace(),
        }
    }

    /// Gives back what the pod held on the node. A pod that only finished keeps its containers, for their logs.
    pub(super) async fn clean_up(&mut self) -> Result<(), StepError> {
        let uid = self.pod.uid().to_owned();
        let cgroup = resources::cgroup_parent(&self.shared.config.cgroup_root, &self.pod);
        let (dir, cgroups) = (self.shared.pod_dir(&uid), self.shared.cgroups.clone());
        let remove = move || {
            steersman_volume::mount::remove_tree(&dir)?;
            cgroups.remove(&cgroup)
        };
        let removed = tokio::task::spawn_blocking(remove).await.map_err(std::io::Error::other);
        removed
            .flatten()
            .map_err(|source| StepError::Io { action: "remove the pod's volumes and cgroup", source })?;
        self.shared.config_maps.keep(&uid, self.pod.namespace(), &[], &self.wake);
        self.shared.secrets.keep(&uid, self.pod.namespace(), &[], &self.wake);
        if !self.removed && !self.pod.is_deleting() {
            return Ok(());
        }
        self.remove_from_runtime().await?;
        if !self.removed && !self.deleted {
            self.delete_object().await?;
        }
        if self.removed {
            self.shared.statuses.forget(&uid);
            self.life = Life::Gone;
        }
        Ok(())
    }

    async fn remove_from_runtime(&self) -> Result<(), StepError> {
        for container in &self.view.containers {
            self.shared.runtime.remove_container(&container.id).await?;
        }
        for sandbox in &self.view.sandboxes {
            self.shared.runtime.remove_sandbox(&sandbox.id).await?;
        }
        let logs = log_directory(&self.shared.config.logs_dir.to_string_lossy(), &self.pod);
        match tokio::fs::remove_dir_all(&logs).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StepError::Io { action: "remove the pod's logs", source: error })
            }
            _ => Ok(()),
        }
    }

    /// Deletes the object for good, but only this very pod, and only after its last status is told. With finalizers
    /// it stays until they are gone; that is for others to do.
    async fn delete_object(&mut self) -> Result<(), StepError> {
        let (uid, name) = (self.pod.uid().to_owned(), self.pod.name().to_owned());
        if tokio::time::timeout(CALL_LIMIT, self.shared.statuses.settle(&uid)).await.is_err() {
            return Err(StepError::Api(kube::Error::Service("the last status is not written yet".into())));
        }
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteParams::default()
        };
        let api = Api::<Pod>::namespaced(self.shared.client.clone(), self.pod.namespace());
        let answer = tokio::time::timeout(CALL_LIMIT, api.delete(&name, &params)).await;
        match answer {
            Ok(Ok(_)) => {}
            // Gone already, or another pod has the name.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                return Err(StepError::Api(kube::Error::Service("the API did not answer in time".into())));
            }
        }
        self.deleted = true;
        Ok(())
    }
}
