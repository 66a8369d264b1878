//! Running, stopping and removing sandboxes.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustix::mount::{MountFlags, UnmountFlags};
use steersman_cri as cri;
use tonic::Status;

use super::state::{Inner, Sandbox, blocking, failed, new_id, seam_status};
use crate::cgroup::Cgroup;
use crate::client::ShimClient;
use crate::config::RuntimeConfig;
use crate::plan;
use crate::record::{self, SANDBOX_FILE, SandboxRecord};
use crate::seams::PodNetwork;
use crate::shim::wire::Request;
use crate::shim::{self, ShimConfig};

/// Size of `/dev/shm`, as every runtime has it.
const SHARED_MEMORY: &str = "mode=1777,size=65536k";

/// The namespaces a sandbox's configuration asks for.
fn namespaces(config: &cri::PodSandboxConfig) -> cri::NamespaceOption {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.clone());
    security.and_then(|s| s.namespace_options).unwrap_or_default()
}

impl Inner {
    /// Makes a sandbox and returns its id. What was made is taken back when a step fails.
    pub async fn run_sandbox(self: &Arc<Self>, request: cri::RunPodSandboxRequest) -> Result<String, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("no sandbox configuration"))?;
        if config.metadata.is_none() {
            return Err(Status::invalid_argument("sandbox configuration has no metadata"));
        }
        let id = new_id();
        let parent = config.linux.as_ref().map(|l| l.cgroup_parent.clone()).filter(|p| !p.is_empty());
        let record = SandboxRecord {
            cgroup_parent: parent.unwrap_or_else(|| self.config.own_pod_cgroup(&id)),
            id: id.clone(),
            created_at: shim::now_ns(),
            config,
            runtime_handler: request.runtime_handler,
            addresses: Vec::new(),
            stopped: false,
            network_attached: false,
            made_cgroups: Vec::new(),
        };
        let sandbox = Arc::new(Sandbox::new(record, ShimClient::new(self.config.shim_socket(&id))));
        let _busy = sandbox.busy.lock().await;
        self.sandboxes.lock().insert(id.clone(), sandbox.clone());
        if let Err(status) = self.build_sandbox(&sandbox).await {
            if let Err(error) = self.take_down(&sandbox).await {
                tracing::warn!(sandbox = %id, %error, "could not take back a failed sandbox");
            }
            self.sandboxes.lock().remove(&id);
            let _ = fs::remove_dir_all(self.config.sandbox_dir(&id));
            return Err(status);
        }
        self.publish(cri::ContainerEventType::ContainerCreatedEvent, &id, &id);
        self.publish(cri::ContainerEventType::ContainerStartedEvent, &id, &id);
        Ok(id)
    }

    async fn build_sandbox(self: &Arc<Self>, sandbox: &Arc<Sandbox>) -> Result<(), Status> {
        let (config, layout) = (self.config.clone(), self.layout.clone());
        let mut record = sandbox.record();
        let made = blocking("could not prepare the sandbox", move || {
            prepare_files(&config, &record)?;
            record.made_cgroups = Cgroup::new(&layout, &record.cgroup_parent).create()?;
            if let Some(linux) = &record.config.linux
                && let Some(resources) = &linux.resources
            {
                Cgroup::new(&layout, &record.cgroup_parent).apply(&plan::resources(resources))?;
            }
            record::save(&config.sandbox_dir(&record.id).join(SANDBOX_FILE), &record)?;
            Ok(record.made_cgroups)
        });
        sandbox.record.lock().made_cgroups = made.await?;
        self.spawn_shim(&sandbox.record()).await?;
        self.watch_shim(sandbox).await.map_err(|e| failed("could not talk to the sandbox's shim", e))?;
        if namespaces(&sandbox.record().config).network() != cri::NamespaceMode::Node {
            self.connect(sandbox).await?;
        }
        Ok(())
    }

    async fn spawn_shim(&self, record: &SandboxRecord) -> Result<(), Status> {
        let directory = self.config.sandbox_dir(&record.id);
        let file = directory.join("shim.json");
        let setup = || -> io::Result<(fs::File, tokio::process::Command)> {
            record::save(&file, &self.shim_config(record))?;
            let (program, arguments) =
                self.config.shim_command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
            let mut command = tokio::process::Command::new(program);
            command.args(arguments).arg(&file);
            Ok((fs::File::create(directory.join("shim.log"))?, command))
        };
        let (log, mut command) = setup().map_err(|e| failed("could not start the sandbox's shim", e))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).env_clear();
        let started = async { command.spawn()?.wait_with_output().await };
        let output = started.await.map_err(|e| failed("could not start the sandbox's shim", e))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if said.trim() == shim::READY {
            Ok(())
        } else {
            Err(failed("could not start the sandbox", said.trim()))
        }
    }

    fn shim_config(&self, record: &SandboxRecord) -> ShimConfig {
        let (id, config) = (&record.id, &record.config);
        let namespaces = namespaces(config);
        let own = |mode: cri::NamespaceMode| mode != cri::NamespaceMode::Node;
        let mut sysctls: Vec<_> =
            config.linux.iter().flat_map(|l| &l.sysctls).map(|(k, v)| (k.clone(), v.clone())).collect();
        sysctls.sort();
        ShimConfig {
            sandbox: id.clone(),
            socket: self.config.shim_socket(id),
            network_namespace: own(namespaces.network()).then(|| self.config.network_namespace(id)),
            ipc_namespace: own(namespaces.ipc()),
            // The host's name goes with the host's network.
            hostname: own(namespaces.network()).then(|| config.hostname.clone()),
            shared_pids: namespaces.pid() == cri::NamespaceMode::Pod,
            sysctls,
            cgroup: self.config.shim_cgroup(),
            staging: self.config.staging(),
        }
    }

    async fn connect(&self, sandbox: &Sandbox) -> Result<(), Status> {
        // Written down first: a runtime killed now must know that there may be something to detach.
        self.change(sandbox, |r| r.network_attached = true)?;
        let addresses = self.network.attach(self.pod_network(&sandbox.record())).await;
        let addresses = addresses.map_err(|e| {
            let mut status = seam_status(e);
            let name = &sandbox.id;
            status = Status::new(
                status.code(),
                format!("failed to setup network for sandbox {name:?}: {}", status.message()),
            );
            status
        })?;
        self.change(sandbox, |r| r.addresses = addresses)
    }

    /// Changes a record in memory and on disk.
    fn change(&self, sandbox: &Sandbox, change: impl FnOnce(&mut SandboxRecord)) -> Result<(), Status> {
        let record = {
            let mut record = sandbox.record.lock();
            change(&mut record);
            record.clone()
        };
        record::save(&self.config.sandbox_dir(&sandbox.id).join(SANDBOX_FILE), &record)
            .map_err(|e| failed("could not write the sandbox's record", e))
    }

    fn pod_network(&self, record: &SandboxRecord) -> PodNetwork {
        let metadata = record.config.metadata.clone().unwrap_or_default();
        PodNetwork {
            sandbox: record.id.clone(),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            network_namespace: self.config.network_namespace(&record.id),
            port_mappings: record.config.port_mappings.iter().filter(|p| p.host_port > 0).cloned().collect(),
            annotations: record.config.annotations.clone(),
        }
    }

    /// Stops a sandbox: containers, network, shim. One that is not there, or stopped already, is fine.
    pub async fn stop_sandbox(self: &Arc<Self>, id: &str) -> Result<(), Status> {
        let Ok(sandbox) = self.sandbox(id) else { return Ok(()) };
        let _busy = sandbox.busy.lock().await;
        for container in self.containers_of(&sandbox.id) {
            self.kill_container(&container).await?;
        }
        let was_ready = sandbox.is_ready();
        self.change(&sandbox, |r| r.stopped = true)?;
        self.take_down(&sandbox).await?;
        if was_ready {
            self.publish(cri::ContainerEventType::ContainerStoppedEvent, &sandbox.id, &sandbox.id);
        }
        Ok(())
    }

    /// Undoes what a running sandbox holds, as far as it is there.
    async fn take_down(&self, sandbox: &Sandbox) -> Result<(), Status> {
        let record = sandbox.record();
        if record.network_attached {
            self.network.detach(self.pod_network(&record)).await.map_err(seam_status)?;
            self.change(sandbox, |r| r.network_attached = false)?;
        }
        sandbox.record.lock().stopped = true;
        // A shim that does not answer is gone already.
        let _ = sandbox.shim.call(Request::Shutdown).await;
        let run_dir = self.config.sandbox_run_dir(&sandbox.id);
        blocking("could not clean up the sandbox", move || {
            for mount in ["net", "shm"] {
                unmount(&run_dir.join(mount))?;
            }
            match fs::remove_dir_all(&run_dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            crate::teardown::remove_made_cgroups(&record.made_cgroups)
        })
        .await
    }

    /// Removes a sandbox with its containers. One that is not there is fine.
    pub async fn remove_sandbox(self: &Arc<Self>, id: &str) -> Result<(), Status> {
        let Ok(sandbox) = self.sandbox(id) else { return Ok(()) };
        self.stop_sandbox(&sandbox.id).await?;
        for container in self.containers_of(&sandbox.id) {
            self.remove_container(&container.id).await?;
        }
        // Containers had their cgroups below the pod's, which may be empty only now.
        let (directory, made) = (self.config.sandbox_dir(&sandbox.id), sandbox.record().made_cgroups);
        blocking("could not remove the sandbox", move || {
            crate::teardown::remove_made_cgroups(&made)?;
            fs::remove_dir_all(directory)
        })
        .await?;
        self.publish(cri::ContainerEventType::ContainerDeletedEvent, &sandbox.id, &sandbox.id);
        self.sandboxes.lock().remove(&sandbox.id);
        Ok(())
    }
}

fn prepare_files(config: &RuntimeConfig, record: &SandboxRecord) -> io::Result<()> {
    let directory = config.sandbox_dir(&record.id);
    let run_dir = config.sandbox_run_dir(&record.id);
    fs::create_dir_all(&directory)?;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o711))?;
    fs::create_dir_all(&run_dir)?;
    let sandbox = &record.config;
    if !sandbox.log_directory.is_empty() {
        fs::create_dir_all(&sandbox.log_directory)?;
    }
    let hostname = match sandbox.hostname.as_str() {
        "" => fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned(),
        name => name.to_owned(),
    };
    fs::write(directory.join("hostname"), format!("{hostname}\n"))?;
    fs::write(directory.join("hosts"), fs::read("/etc/hosts").unwrap_or_default())?;
    let resolv_conf = match &sandbox.dns_config {
        Some(dns) if *dns != cri::DnsConfig::default() => plan::resolv_conf(dns).into_bytes(),
        _ => fs::read("/etc/resolv.conf").unwrap_or_default(),
    };
    fs::write(directory.join("resolv.conf"), resolv_conf)?;
    if namespaces(sandbox).ipc() != cri::NamespaceMode::Node {
        mount_shared_memory(&config.shared_memory(&record.id))?;
    }
    Ok(())
}

fn mount_shared_memory(place: &Path) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = std::ffi::CString::new(SHARED_MEMORY)?;
    Ok(rustix::mount::mount("shm", place, "tmpfs", flags, options.as_c_str())?)
}

/// Unmounts `place`; what is no mount point, or not there, is fine.
fn unmount(place: &Path) -> io::Result<()> {
    match rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

impl RuntimeConfig {
    /// What a sandbox lends to its containers.
    pub(super) fn sandbox_files(&self, record: &SandboxRecord) -> plan::SandboxFiles {
        let shared_memory = match namespaces(&record.config).ipc() {
            cri::NamespaceMode::Node => "/dev/shm".into(),
            _ => self.shared_memory(&record.id),
        };
        plan::SandboxFiles { directory: self.sandbox_dir(&record.id), shared_memory }
    }
}
