//! Creating, starting, stopping and removing containers.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use steersman_cri as cri;
use tonic::Status;

use super::state::{Container, Inner, Sandbox, blocking, failed, new_id, seam_status};
use crate::cgroup::Cgroup;
use crate::client::ShimError;
use crate::plan;
use crate::record::{self, CONTAINER_FILE, ContainerRecord, STATE_FILE};
use crate::seams::PreparedImage;
use crate::shim::now_ns;
use crate::shim::wire::{Reply, Request};
use crate::spec::ContainerRun;

/// How long the kernel may take to end a process after SIGKILL, before the stop is reported as failed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    /// Makes a container ready to start and returns its id.
    pub async fn create_container(
        self: &Arc<Self>,
        request: cri::CreateContainerRequest,
    ) -> Result<String, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("no container configuration"))?;
        if config.metadata.is_none() {
            return Err(Status::invalid_argument("container configuration has no metadata"));
        }
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        if !sandbox.is_ready() {
            return Err(Status::failed_precondition(format!("sandbox {:?} is not running", sandbox.id)));
        }
        let image = config.image.clone().unwrap_or_default().image;
        let id = new_id();
        let prepared = self.images.prepare(image, id.clone()).await.map_err(seam_status)?;
        let created = self.record_container(&id, &sandbox, config, prepared).await;
        let record = match created {
            Ok(record) => record,
            Err(status) => {
                self.discard(&id).await?;
                return Err(status);
            }
        };
        let container = Arc::new(Container::new(record, ContainerRun::default()));
        self.containers.lock().insert(id.clone(), container);
        self.publish(cri::ContainerEventType::ContainerCreatedEvent, &id, &sandbox.id);
        Ok(id)
    }

    async fn record_container(
        &self,
        id: &str,
        sandbox: &Sandbox,
        config: cri::ContainerConfig,
        image: PreparedImage,
    ) -> Result<ContainerRecord, Status> {
        let sandbox_record = sandbox.record();
        let directory = self.config.container_dir(id);
        let (sources, devices) = (config.mounts.clone(), config.devices.clone());
        let device_numbers = blocking("could not prepare the container", move || {
            sources.iter().try_for_each(make_source)?;
            devices.iter().map(device_numbers).collect::<io::Result<Vec<_>>>()
        });
        let device_numbers = device_numbers.await?;
        let invalid = |e: plan::PlanError| Status::invalid_argument(e.to_string());
        let spec = plan::container(plan::Request {
            id,
            config: &config,
            sandbox: &sandbox_record.config,
            image: &image,
            files: &self.config.sandbox_files(&sandbox_record),
            cgroup_parent: &sandbox_record.cgroup_parent,
            state_file: &directory.join(STATE_FILE),
            device_numbers: &device_numbers,
        })
        .map_err(invalid)?;
        let record = ContainerRecord {
            id: id.to_owned(),
            sandbox: sandbox.id.clone(),
            created_at: now_ns(),
            stop_signal: plan::stop_signal(&config, &image.config).map_err(invalid)?,
            config,
            image_ref: image.image_ref,
            image_id: image.image_id,
            spec,
        };
        let saved = record.clone();
        blocking("could not write the container's record", move || {
            fs::create_dir_all(&directory)?;
            if let Some(log) = &saved.spec.io.log_file {
                create_log(log)?;
            }
            record::save(&directory.join(CONTAINER_FILE), &saved)
        })
        .await?;
        Ok(record)
    }

    /// Starts a container. Its failure to start is its end, with the reason in its status.
    pub async fn start_container(self: &Arc<Self>, id: &str) -> Result<(), Status> {
        let container = self.container(id)?;
        let _busy = container.busy.lock().await;
        let state = container.state();
        if state != cri::ContainerState::ContainerCreated {
            let state = state.as_str_name();
            return Err(Status::failed_precondition(format!(
                "container {:?} is in {state} state",
                container.id
            )));
        }
        let record = container.record();
        let sandbox = self.sandbox(&record.sandbox)?;
        if !sandbox.is_ready() {
            return Err(Status::failed_precondition(format!("sandbox {:?} is not running", sandbox.id)));
        }
        match sandbox.shim.call(Request::Start { spec: Box::new(record.spec.clone()) }).await {
            Ok(Reply::Started(run)) => {
                container.update(run);
                self.publish(cri::ContainerEventType::ContainerStartedEvent, &container.id, &sandbox.id);
                Ok(())
            }
            Ok(other) => Err(failed("could not start the container", format!("unexpected answer {other:?}"))),
            Err(ShimError::Refused(why)) => {
                container.update(record::load_run(&record.spec.state_file));
                let why = format!("unable to start container process: {why}");
                Err(failed("failed to create container task", why))
            }
            Err(error) => Err(failed("could not start the container", error)),
        }
    }

    /// Asks a container to stop and kills it after `timeout`. One that is not there, or over, is fine.
    pub async fn stop_container(&self, id: &str, timeout: Duration) -> Result<(), Status> {
        let Ok(container) = self.container(id) else { return Ok(()) };
        if container.state() != cri::ContainerState::ContainerRunning {
            return Ok(());
        }
        if !timeout.is_zero() {
            let signal = container.record.lock().stop_signal;
            self.signal(&container, signal, false).await?;
            if self.ended_within(&container, timeout).await {
                return Ok(());
            }
        }
        self.kill_container(&container).await
    }

    /// Kills everything a container runs, and waits for its end.
    pub async fn kill_container(&self, container: &Container) -> Result<(), Status> {
        if container.state() != cri::ContainerState::ContainerRunning {
            return Ok(());
        }
        self.signal(container, libc::SIGKILL, true).await?;
        if self.ended_within(container, KILL_PATIENCE).await {
            return Ok(());
        }
        Err(Status::deadline_exceeded(format!("container {:?} does not end after SIGKILL", container.id)))
    }

    async fn signal(&self, container: &Container, signal: i32, all: bool) -> Result<(), Status> {
        let sandbox = self.sandbox(&container.record().sandbox)?;
        let request = Request::Signal { container: container.id.clone(), signal, all };
        match sandbox.shim.call(request).await {
            // Gone or just ended: the wait that follows sees it.
            Ok(_) | Err(ShimError::NotFound | ShimError::Unreachable(_)) => Ok(()),
            Err(error) => Err(failed("could not signal the container", error)),
        }
    }

    async fn ended_within(&self, container: &Container, limit: Duration) -> bool {
        let mut run = container.run.subscribe();
        let ended = run.wait_for(|run| run.exit.is_some());
        matches!(tokio::time::timeout(limit, ended).await, Ok(Ok(_)))
    }

    /// Removes a container, killing it first if it runs. One that is not there is fine.
    pub async fn remove_container(self: &Arc<Self>, id: &str) -> Result<(), Status> {
        let Ok(container) = self.container(id) else { return Ok(()) };
        let _busy = container.busy.lock().await;
        self.kill_container(&container).await?;
        let record = container.record();
        if let Ok(sandbox) = self.sandbox(&record.sandbox) {
            // A shim that has never heard of it, or is gone, need not forget it.
            let _ = sandbox.shim.call(Request::Forget { container: container.id.clone() }).await;
        }
        let (layout, path) = (self.layout.clone(), record.spec.cgroup_path);
        blocking("could not remove the container's cgroup", move || {
            crate::teardown::empty_and_remove(&layout, &path)
        })
        .await?;
        self.discard(&container.id).await?;
        self.containers.lock().remove(&container.id);
        self.publish(cri::ContainerEventType::ContainerDeletedEvent, &container.id, &record.sandbox);
        Ok(())
    }

    /// Removes a container's root file system and record.
    async fn discard(&self, id: &str) -> Result<(), Status> {
        self.images.release(id.to_owned()).await.map_err(seam_status)?;
        let directory = self.config.container_dir(id);
        blocking("could not remove the container's record", move || match fs::remove_dir_all(directory) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        })
        .await
    }

    /// Changes the limits of a container, now if it runs and for its start if it does not.
    pub async fn update_resources(
        &self,
        request: cri::UpdateContainerResourcesRequest,
    ) -> Result<(), Status> {
        let container = self.container(&request.container_id)?;
        let Some(asked) = request.linux else { return Ok(()) };
        let limits = plan::resources(&asked);
        if container.state() == cri::ContainerState::ContainerRunning {
            let (layout, path) = (self.layout.clone(), container.record().spec.cgroup_path);
            blocking("could not update the container's limits", move || {
                Cgroup::new(&layout, &path).apply(&limits)
            })
            .await?;
        }
        let record = {
            let mut record = container.record.lock();
            let linux = record.config.linux.get_or_insert_default();
            merge_resources(linux.resources.get_or_insert_default(), asked);
            let merged = plan::resources(linux.resources.as_ref().unwrap_or(&Default::default()));
            record.spec.resources = merged;
            record.clone()
        };
        let file = self.config.container_dir(&record.id).join(CONTAINER_FILE);
        blocking("could not write the container's record", move || record::save(&file, &record)).await
    }

    /// Opens a container's log file anew, after the kubelet has renamed it.
    pub async fn reopen_log(&self, id: &str) -> Result<(), Status> {
        let container = self.container(id)?;
        if container.state() != cri::ContainerState::ContainerRunning {
            return Err(Status::failed_precondition(format!("container {:?} is not running", container.id)));
        }
        let sandbox = self.sandbox(&container.record().sandbox)?;
        let request = Request::ReopenLog { container: container.id.clone() };
        sandbox.shim.call(request).await.map(drop).map_err(|e| failed("could not reopen the log", e))
    }
}

/// What is set in `new` replaces what was there.
fn merge_resources(old: &mut cri::LinuxContainerResources, new: cri::LinuxContainerResources) {
    let number = |old: &mut i64, new: i64| {
        if new != 0 {
            *old = new;
        }
    };
    let text = |old: &mut String, new: String| {
        if !new.is_empty() {
            *old = new;
        }
    };
    number(&mut old.cpu_period, new.cpu_period);
    number(&mut old.cpu_quota, new.cpu_quota);
    number(&mut old.cpu_shares, new.cpu_shares);
    number(&mut old.memory_limit_in_bytes, new.memory_limit_in_bytes);
    number(&mut old.memory_swap_limit_in_bytes, new.memory_swap_limit_in_bytes);
    number(&mut old.oom_score_adj, new.oom_score_adj);
    text(&mut old.cpuset_cpus, new.cpuset_cpus);
    text(&mut old.cpuset_mems, new.cpuset_mems);
    old.unified.extend(new.unified);
}

/// A mount's source that does not exist becomes a directory, as in other runtimes.
fn make_source(mount: &cri::Mount) -> io::Result<()> {
    let path = PathBuf::from(&mount.host_path);
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(&path)
        .map_err(|e| io::Error::new(e.kind(), format!("failed to mkdir {:?}: {e}", mount.host_path)))
}

fn device_numbers(device: &cri::Device) -> io::Result<(bool, u32, u32)> {
    let meta = fs::metadata(&device.host_path)
        .map_err(|e| io::Error::new(e.kind(), format!("lstat {}: {e}", device.host_path)))?;
    let number = meta.rdev();
    Ok((meta.file_type().is_block_device(), rustix::fs::major(number), rustix::fs::minor(number)))
}

/// The kubelet looks for the log as soon as it sees the container.
fn create_log(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new().create(true).append(true).mode(0o640).open(path).map(drop)
}
