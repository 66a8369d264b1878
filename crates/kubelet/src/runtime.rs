//! The container runtime, reached over CRI. Thin: every call has a deadline, and what comes back becomes a
//! [`PodView`].

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use steersman_cri::client::{ImageServiceClient, RuntimeServiceClient};
use steersman_cri::{self as cri, ContainerFilter, PodSandboxFilter, PodSandboxState};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::cri_config::{annotations, labels};
use crate::view::{Container, PodView, Sandbox, State};

/// For calls that only look or flip a switch.
const SHORT: Duration = Duration::from_secs(120);
/// For calls that set up a network or namespaces.
const LONG: Duration = Duration::from_secs(240);

/// A runtime and what it is called.
#[derive(Clone)]
pub struct Runtime {
    /// Sandboxes and containers.
    pub service: RuntimeServiceClient<Channel>,
    /// Images.
    pub images: ImageServiceClient<Channel>,
    /// `steersman`, `containerd`, …: the scheme of container ids.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers on the socket.
    #[error(transparent)]
    Connect(#[from] cri::ConnectError),
    /// It does not tell its version.
    #[error("could not get the version of the container runtime")]
    Version(#[source] Status),
}

/// Whose a sandbox or container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
}

/// Everything on the node, shortly: whose, and in which state, by id.
pub type Inventory = BTreeMap<String, (Owner, i32)>;

impl Runtime {
    /// Connects to the runtime that listens on `socket`.
    pub async fn connect(socket: &Path) -> Result<Self, ConnectError> {
        let (mut service, images) = cri::connect(socket).await?;
        let request = cri::VersionRequest { version: "v1".to_owned() };
        let version = call(SHORT, service.version(request)).await.map_err(ConnectError::Version)?;
        Ok(Self { service, images, name: version.runtime_name, version: version.runtime_version })
    }

    /// All the runtime has of the pod with this UID.
    pub async fn pod_view(&self, uid: &str) -> Result<PodView, Status> {
        let mut service = self.service.clone();
        let selector = HashMap::from([(labels::POD_UID.to_owned(), uid.to_owned())]);
        let filter = PodSandboxFilter { label_selector: selector.clone(), ..PodSandboxFilter::default() };
        let request = cri::ListPodSandboxRequest { filter: Some(filter) };
        let listed = call(SHORT, service.list_pod_sandbox(request)).await?;
        let mut sandboxes = Vec::new();
        for item in listed.items {
            sandboxes.extend(self.sandbox(item.id).await?);
        }
        let filter = ContainerFilter { label_selector: selector, ..ContainerFilter::default() };
        let request = cri::ListContainersRequest { filter: Some(filter) };
        let listed = call(SHORT, service.list_containers(request)).await?;
        let mut containers = Vec::new();
        for item in listed.containers {
            containers.extend(self.container(item).await?);
        }
        Ok(PodView::new(sandboxes, containers))
    }

    /// The sandbox, unless it has gone since it was listed.
    async fn sandbox(&self, id: String) -> Result<Option<Sandbox>, Status> {
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id, verbose: false };
        let response = gone_is_none(call(SHORT, self.service.clone().pod_sandbox_status(request)).await)?;
        Ok(response.and_then(|response| response.status).map(read_sandbox))
    }

    /// The container, unless it has gone since it was listed.
    async fn container(&self, listed: cri::Container) -> Result<Option<Container>, Status> {
        let request = cri::ContainerStatusRequest { container_id: listed.id, verbose: false };
        let response = gone_is_none(call(SHORT, self.service.clone().container_status(request)).await)?;
        let status = response.and_then(|response| response.status);
        Ok(status.map(|status| read_container(status, listed.pod_sandbox_id)))
    }

    /// Sandboxes and containers of all pods.
    pub async fn inventory(&self) -> Result<Inventory, Status> {
        let mut service = self.service.clone();
        let sandboxes = call(SHORT, service.list_pod_sandbox(cri::ListPodSandboxRequest::default())).await?;
        let containers = call(SHORT, service.list_containers(cri::ListContainersRequest::default())).await?;
        let sandboxes = sandboxes.items.into_iter().map(|item| (item.id, item.labels, item.state));
        let containers = containers.containers.into_iter().map(|item| (item.id, item.labels, item.state));
        let all = sandboxes.chain(containers);
        Ok(all.filter_map(|(id, labels, state)| Some((id, (owner(&labels)?, state)))).collect())
    }

    /// Makes a sandbox; gives its id.
    pub async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<String, Status> {
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        Ok(call(LONG, self.service.clone().run_pod_sandbox(request)).await?.pod_sandbox_id)
    }

    /// Ends what runs in a sandbox and takes down its network.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), Status> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        gone_is_none(call(LONG, self.service.clone().stop_pod_sandbox(request)).await).map(drop)
    }

    /// Removes a sandbox and its containers.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), Status> {
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        gone_is_none(call(LONG, self.service.clone().remove_pod_sandbox(request)).await).map(drop)
    }

    /// Makes a container; gives its id.
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<String, Status> {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        Ok(call(SHORT, self.service.clone().create_container(request)).await?.container_id)
    }

    /// Starts a container that was made.
    pub async fn start_container(&self, id: &str) -> Result<(), Status> {
        let request = cri::StartContainerRequest { container_id: id.to_owned() };
        call(SHORT, self.service.clone().start_container(request)).await.map(drop)
    }

    /// Asks a container to end, and ends it after `grace`.
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Status> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout };
        let limit = grace.saturating_add(SHORT);
        gone_is_none(call(limit, self.service.clone().stop_container(request)).await).map(drop)
    }

    /// Makes the runtime open a container's log anew, after it was renamed.
    pub async fn reopen_log(&self, id: &str) -> Result<(), Status> {
        let request = cri::ReopenContainerLogRequest { container_id: id.to_owned() };
        call(SHORT, self.service.clone().reopen_container_log(request)).await.map(drop)
    }

    /// Removes a container that has ended.
    pub async fn remove_container(&self, id: &str) -> Result<(), Status> {
        let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
        gone_is_none(call(SHORT, self.service.clone().remove_container(request)).await).map(drop)
    }

    /// Whether the runtime and its network are ready: the conditions it reports.
    pub async fn status(&self) -> Result<cri::StatusResponse, Status> {
        call(SHORT, self.service.clone().status(cri::StatusRequest { verbose: false })).await
    }

    /// Tells the runtime which addresses the pods of this node have.
    pub async fn set_pod_cidr(&self, pod_cidr: String) -> Result<(), Status> {
        let network_config = Some(cri::NetworkConfig { pod_cidr });
        let runtime_config = Some(cri::RuntimeConfig { network_config });
        let request = cri::UpdateRuntimeConfigRequest { runtime_config };
        call(SHORT, self.service.clone().update_runtime_config(request)).await.map(drop)
    }

    /// The image, if it is on the node.
    pub async fn image(&self, image: &str) -> Result<Option<cri::Image>, Status> {
        let image = Some(cri::ImageSpec { image: image.to_owned(), ..cri::ImageSpec::default() });
        let request = cri::ImageStatusRequest { image, verbose: false };
        Ok(call(SHORT, self.images.clone().image_status(request)).await?.image)
    }

    /// All images.
    pub async fn list_images(&self) -> Result<Vec<cri::Image>, Status> {
        Ok(call(SHORT, self.images.clone().list_images(cri::ListImagesRequest::default())).await?.images)
    }
}

/// Bounds a call in time. The call goes to the heap: its state is large, and workers that wait hold many.
pub fn call<T>(
    limit: Duration,
    rpc: impl Future<Output = Result<Response<T>, Status>> + Send,
) -> impl Future<Output = Result<T, Status>> + Send {
    let rpc = Box::pin(rpc);
    async move {
        match tokio::time::timeout(limit, rpc).await {
            Ok(response) => response.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("context deadline exceeded")),
        }
    }
}

fn gone_is_none<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// Whose an object with these labels is; `None` for what no kubelet made.
pub fn owner(labels: &HashMap<String, String>) -> Option<Owner> {
    Some(Owner {
        namespace: labels.get(labels::POD_NAMESPACE)?.clone(),
        name: labels.get(labels::POD_NAME)?.clone(),
        uid: labels.get(labels::POD_UID)?.clone(),
    })
}

fn read_sandbox(status: cri::PodSandboxStatus) -> Sandbox {
    let network = status.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|ip| ip.ip));
    Sandbox {
        id: status.id,
        attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
        ready: status.state == PodSandboxState::SandboxReady as i32,
        created_at: status.created_at,
        ips: ips.filter(|ip| !ip.is_empty()).collect(),
    }
}

fn read_container(status: cri::ContainerStatus, sandbox: String) -> Container {
    let note = |key: &str| status.annotations.get(key).map(String::as_str);
    let metadata = status.metadata.clone().unwrap_or_default();
    let counted = note(annotations::RESTART_COUNT).and_then(|count| count.parse().ok());
    let message_mount = note(annotations::MESSAGE_PATH)
        .and_then(|path| status.mounts.iter().find(|mount| mount.container_path == path));
    let signal = cri::Signal::try_from(status.stop_signal).unwrap_or(cri::Signal::RuntimeDefault);
    Container {
        name: metadata.name,
        sandbox,
        attempt: counted.unwrap_or(metadata.attempt),
        state: match cri::ContainerState::try_from(status.state) {
            Ok(cri::ContainerState::ContainerCreated) => State::Created,
            Ok(cri::ContainerState::ContainerRunning) => State::Running,
            Ok(cri::ContainerState::ContainerExited) => State::Exited,
            Ok(cri::ContainerState::ContainerUnknown) | Err(_) => State::Unknown,
        },
        created_at: status.created_at,
        started_at: status.started_at,
        finished_at: status.finished_at,
        exit_code: status.exit_code,
        hash: note(annotations::HASH).unwrap_or_default().to_owned(),
        message_path: message_mount.map(|mount| mount.host_path.clone()).unwrap_or_default(),
        message_from_log: note(annotations::MESSAGE_POLICY) == Some("FallbackToLogsOnError"),
        reason: status.reason.clone(),
        message: status.message.clone(),
        image: image_name(&status),
        image_ref: status.image_ref.clone(),
        log_path: status.log_path.clone(),
        user: status
            .user
            .as_ref()
            .and_then(|user| user.linux.as_ref())
            .map(|user| (user.uid, user.gid, user.supplemental_groups.clone())),
        stop_signal: signal.number().map(|_| signal.as_str_name().trim_start_matches("SIGNAL_").to_owned()),
        id: status.id,
    }
}

/// The image as the user wrote it, where the runtime remembers that.
fn image_name(status: &cri::ContainerStatus) -> String {
    let image = status.image.clone().unwrap_or_default();
    if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image }
}
