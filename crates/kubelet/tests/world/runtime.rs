//! A container runtime that only remembers what it was told.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::Stream;
use steersman_cri::server::{ImageService, ImageServiceServer, RuntimeService, RuntimeServiceServer};
use steersman_cri::*;
use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{BroadcastStream, UnixListenerStream};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A command that no container can be started with.
pub const NO_PROGRAM: &str = "/no/program";

#[derive(Default)]
pub struct State {
    pub sandboxes: BTreeMap<String, (PodSandboxConfig, PodSandboxStatus)>,
    pub containers: BTreeMap<String, (String, ContainerConfig, ContainerStatus)>,
    pub images: Vec<String>,
    pub pulls: usize,
    pub pod_cidr: String,
    pub exec_url: String,
    next: u32,
}

#[derive(Clone)]
pub struct FakeRuntime {
    pub state: Arc<Mutex<State>>,
    events: broadcast::Sender<ContainerEventResponse>,
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

impl FakeRuntime {
    pub fn new() -> Self {
        Self { state: Arc::default(), events: broadcast::channel(256).0 }
    }

    /// Serves on `socket` for as long as the task lives.
    pub fn serve(&self, socket: &Path) -> tokio::task::JoinHandle<()> {
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(RuntimeServiceServer::new(self.clone()))
            .add_service(ImageServiceServer::new(self.clone()));
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    }

    /// Lets the newest container of this name end.
    pub fn exit(&self, name: &str, code: i32) {
        let id = {
            let state = self.state.lock().unwrap();
            let mut runs: Vec<_> =
                state.containers.values().filter(|(_, config, _)| named(config, name)).collect();
            runs.sort_by_key(|(_, _, status)| status.created_at);
            runs.last().unwrap().2.id.clone()
        };
        self.end(&id, code);
    }

    fn end(&self, id: &str, code: i32) {
        let mut state = self.state.lock().unwrap();
        let Some((_, _, status)) = state.containers.get_mut(id) else { return };
        if status.state == ContainerState::ContainerRunning as i32 {
            status.state = ContainerState::ContainerExited as i32;
            status.exit_code = code;
            status.finished_at = now();
        }
        drop(state);
        self.tell(id);
    }

    fn tell(&self, id: &str) {
        let state = self.state.lock().unwrap();
        let Some((sandbox, _, _)) = state.containers.get(id) else { return };
        let pod_sandbox_status = state.sandboxes.get(sandbox).map(|(_, status)| status.clone());
        let event =
            ContainerEventResponse { container_id: id.into(), pod_sandbox_status, ..Default::default() };
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// Configurations of the containers of this name, oldest first.
    pub fn configs(&self, name: &str) -> Vec<ContainerConfig> {
        let state = self.state.lock().unwrap();
        let mut runs: Vec<_> =
            state.containers.values().filter(|(_, config, _)| named(config, name)).collect();
        runs.sort_by_key(|(_, _, status)| status.created_at);
        runs.into_iter().map(|(_, config, _)| config.clone()).collect()
    }
}

fn named(config: &ContainerConfig, name: &str) -> bool {
    config.metadata.as_ref().is_some_and(|metadata| metadata.name == name)
}

fn selected(
    labels: &std::collections::HashMap<String, String>,
    selector: Option<std::collections::HashMap<String, String>>,
) -> bool {
    selector.unwrap_or_default().iter().all(|(key, value)| labels.get(key) == Some(value))
}

macro_rules! unneeded {
    ($($method:ident: $request:ty => $response:ty),* $(,)?) => {
        $(fn $method<'a, 'b>(&'a self, _: Request<$request>)
            -> Pin<Box<dyn Future<Output = Answer<$response>> + Send + 'b>> where 'a: 'b, Self: 'b {
            Box::pin(async { Err(Status::unimplemented(stringify!($method))) })
        })*
    };
}

#[tonic::async_trait]
impl RuntimeService for FakeRuntime {
    type StreamPodSandboxesStream = Streamed<StreamPodSandboxesResponse>;
    type StreamContainersStream = Streamed<StreamContainersResponse>;
    type StreamContainerStatsStream = Streamed<StreamContainerStatsResponse>;
    type StreamPodSandboxStatsStream = Streamed<StreamPodSandboxStatsResponse>;
    type StreamPodSandboxMetricsStream = Streamed<StreamPodSandboxMetricsResponse>;
    type GetContainerEventsStream = Streamed<ContainerEventResponse>;

    async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
        let version = VersionResponse {
            runtime_name: "fake".into(),
            runtime_version: "1".into(),
            ..Default::default()
        };
        Ok(Response::new(version))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        let ready = |kind: &str| RuntimeCondition { r#type: kind.into(), status: true, ..Default::default() };
        let conditions = vec![ready("RuntimeReady"), ready("NetworkReady")];
        Ok(Response::new(StatusResponse { status: Some(RuntimeStatus { conditions }), ..Default::default() }))
    }

    async fn run_pod_sandbox(&self, request: Request<RunPodSandboxRequest>) -> Answer<RunPodSandboxResponse> {
        let config = request.into_inner().config.unwrap();
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let id = format!("sandbox-{}", state.next);
        let status = PodSandboxStatus {
            id: id.clone(),
            metadata: config.metadata.clone(),
            created_at: now(),
            network: Some(PodSandboxNetworkStatus { ip: "10.88.0.9".into(), ..Default::default() }),
            labels: config.labels.clone(),
            ..Default::default()
        };
        state.sandboxes.insert(id.clone(), (config, status));
        Ok(Response::new(RunPodSandboxResponse { pod_sandbox_id: id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<StopPodSandboxRequest>,
    ) -> Answer<StopPodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        if let Some((_, status)) = self.state.lock().unwrap().sandboxes.get_mut(&id) {
            status.state = PodSandboxState::SandboxNotready as i32;
        }
        Ok(Response::new(StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<RemovePodSandboxRequest>,
    ) -> Answer<RemovePodSandboxResponse> {
        self.state.lock().unwrap().sandboxes.remove(&request.into_inner().pod_sandbox_id);
        Ok(Response::new(RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Answer<PodSandboxStatusResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let status = self.state.lock().unwrap().sandboxes.get(&id).map(|(_, status)| status.clone());
        let status = Some(status.ok_or_else(|| Status::not_found(id))?);
        Ok(Response::new(PodSandboxStatusResponse { status, ..Default::default() }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<ListPodSandboxRequest>,
    ) -> Answer<ListPodSandboxResponse> {
        let selector = request.into_inner().filter.map(|filter| filter.label_selector);
        let state = self.state.lock().unwrap();
        let all = state.sandboxes.values().filter(|(config, _)| selected(&config.labels, selector.clone()));
        let items = all.map(|(config, status)| PodSandbox {
            id: status.id.clone(),
            metadata: config.metadata.clone(),
            state: status.state,
            created_at: status.created_at,
            labels: config.labels.clone(),
            ..Default::default()
        });
        Ok(Response::new(ListPodSandboxResponse { items: items.collect() }))
    }

    async fn create_container(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Answer<CreateContainerResponse> {
        let request = request.into_inner();
        let config = request.config.unwrap();
        let logs = request.sandbox_config.unwrap().log_directory;
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let id = format!("container-{}", state.next);
        let status = ContainerStatus {
            id: id.clone(),
            metadata: config.metadata.clone(),
            created_at: now(),
            image: config.image.clone(),
            image_ref: config.image.as_ref().unwrap().image.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            mounts: config.mounts.clone(),
            log_path: format!("{logs}/{}", config.log_path),
            ..Default::default()
        };
        state.containers.insert(id.clone(), (request.pod_sandbox_id, config, status));
        Ok(Response::new(CreateContainerResponse { container_id: id }))
    }

    async fn start_container(
        &self,
        request: Request<StartContainerRequest>,
    ) -> Answer<StartContainerResponse> {
        let id = request.into_inner().container_id;
        let mut refused = false;
        if let Some((_, config, status)) = self.state.lock().unwrap().containers.get_mut(&id) {
            refused = config.command == [NO_PROGRAM];
            if refused {
                status.state = ContainerState::ContainerExited as i32;
                (status.exit_code, status.reason, status.finished_at) = (128, "StartError".into(), now());
            } else {
                status.state = ContainerState::ContainerRunning as i32;
                status.started_at = now();
            }
        }
        self.tell(&id);
        if refused {
            return Err(Status::unknown("executable file not found in $PATH"));
        }
        Ok(Response::new(StartContainerResponse {}))
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Answer<ReopenContainerLogResponse> {
        let state = self.state.lock().unwrap();
        let (_, _, status) = &state.containers[&request.into_inner().container_id];
        std::fs::write(&status.log_path, "").unwrap();
        Ok(Response::new(ReopenContainerLogResponse {}))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        self.end(&request.into_inner().container_id, 143);
        Ok(Response::new(StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<RemoveContainerRequest>,
    ) -> Answer<RemoveContainerResponse> {
        self.state.lock().unwrap().containers.remove(&request.into_inner().container_id);
        Ok(Response::new(RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Answer<ListContainersResponse> {
        let selector = request.into_inner().filter.map(|filter| filter.label_selector);
        let state = self.state.lock().unwrap();
        let all =
            state.containers.values().filter(|(_, config, _)| selected(&config.labels, selector.clone()));
        let containers = all.map(|(sandbox, config, status)| Container {
            id: status.id.clone(),
            pod_sandbox_id: sandbox.clone(),
            metadata: config.metadata.clone(),
            state: status.state,
            labels: config.labels.clone(),
            ..Default::default()
        });
        Ok(Response::new(ListContainersResponse { containers: containers.collect() }))
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Answer<ContainerStatusResponse> {
        let id = request.into_inner().container_id;
        let status = self.state.lock().unwrap().containers.get(&id).map(|(_, _, status)| status.clone());
        let status = Some(status.ok_or_else(|| Status::not_found(id))?);
        Ok(Response::new(ContainerStatusResponse { status, ..Default::default() }))
    }

    async fn get_container_events(
        &self,
        _: Request<GetEventsRequest>,
    ) -> Answer<Self::GetContainerEventsStream> {
        let events = BroadcastStream::new(self.events.subscribe());
        let events = events.map(|event| event.map_err(|error| Status::data_loss(error.to_string())));
        Ok(Response::new(Box::pin(events)))
    }

    async fn update_runtime_config(
        &self,
        request: Request<UpdateRuntimeConfigRequest>,
    ) -> Answer<UpdateRuntimeConfigResponse> {
        let network = request.into_inner().runtime_config.and_then(|config| config.network_config);
        self.state.lock().unwrap().pod_cidr = network.unwrap_or_default().pod_cidr;
        Ok(Response::new(UpdateRuntimeConfigResponse {}))
    }

    async fn exec(&self, _: Request<ExecRequest>) -> Answer<ExecResponse> {
        Ok(Response::new(ExecResponse { url: self.state.lock().unwrap().exec_url.clone() }))
    }

    async fn exec_sync(&self, request: Request<ExecSyncRequest>) -> Answer<ExecSyncResponse> {
        let fails = request.into_inner().cmd == ["false"];
        let stdout = if fails { b"not well".to_vec() } else { Vec::new() };
        Ok(Response::new(ExecSyncResponse { stdout, exit_code: i32::from(fails), ..Default::default() }))
    }

    unneeded! {
        stream_pod_sandboxes: StreamPodSandboxesRequest => Self::StreamPodSandboxesStream,
        stream_containers: StreamContainersRequest => Self::StreamContainersStream,
        update_container_resources: UpdateContainerResourcesRequest => UpdateContainerResourcesResponse,
        attach: AttachRequest => AttachResponse,
        port_forward: PortForwardRequest => PortForwardResponse,
        container_stats: ContainerStatsRequest => ContainerStatsResponse,
        list_container_stats: ListContainerStatsRequest => ListContainerStatsResponse,
        stream_container_stats: StreamContainerStatsRequest => Self::StreamContainerStatsStream,
        pod_sandbox_stats: PodSandboxStatsRequest => PodSandboxStatsResponse,
        list_pod_sandbox_stats: ListPodSandboxStatsRequest => ListPodSandboxStatsResponse,
        stream_pod_sandbox_stats: StreamPodSandboxStatsRequest => Self::StreamPodSandboxStatsStream,
        checkpoint_container: CheckpointContainerRequest => CheckpointContainerResponse,
        checkpoint_pod: CheckpointPodRequest => CheckpointPodResponse,
        restore_pod: RestorePodRequest => RestorePodResponse,
        list_metric_descriptors: ListMetricDescriptorsRequest => ListMetricDescriptorsResponse,
        list_pod_sandbox_metrics: ListPodSandboxMetricsRequest => ListPodSandboxMetricsResponse,
        stream_pod_sandbox_metrics: StreamPodSandboxMetricsRequest => Self::StreamPodSandboxMetricsStream,
        runtime_config: RuntimeConfigRequest => RuntimeConfigResponse,
        update_pod_sandbox_resources: UpdatePodSandboxResourcesRequest => UpdatePodSandboxResourcesResponse,
    }
}

#[tonic::async_trait]
impl ImageService for FakeRuntime {
    type StreamImagesStream = Streamed<StreamImagesResponse>;

    async fn list_images(&self, _: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
        Ok(Response::new(ListImagesResponse { images: Vec::new() }))
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Answer<ImageStatusResponse> {
        let name = request.into_inner().image.unwrap().image;
        let known = self.state.lock().unwrap().images.contains(&name);
        let image = known.then(|| Image { id: name, size: 7, ..Default::default() });
        Ok(Response::new(ImageStatusResponse { image, ..Default::default() }))
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Answer<PullImageResponse> {
        let name = request.into_inner().image.unwrap().image;
        let mut state = self.state.lock().unwrap();
        state.pulls += 1;
        if name.starts_with("absent") {
            return Err(Status::not_found(format!("{name}: not found")));
        }
        state.images.push(name.clone());
        Ok(Response::new(PullImageResponse { image_ref: name }))
    }

    unneeded! {
        stream_images: StreamImagesRequest => Self::StreamImagesStream,
        remove_image: RemoveImageRequest => RemoveImageResponse,
        image_fs_info: ImageFsInfoRequest => ImageFsInfoResponse,
    }
}
