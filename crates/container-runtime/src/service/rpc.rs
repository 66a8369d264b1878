//! The two gRPC services: each call is one line that says where it is done.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use steersman_cri as cri;
use steersman_cri::server::{ImageService, RuntimeService};
use steersman_streaming as streaming;
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response, Status};

use super::state::{Inner, seam_status};
use super::status;
use super::stream::Errand;

/// Both services.
#[derive(Clone)]
pub struct Service {
    pub inner: Arc<Inner>,
}

type Reply<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Most objects in one message of a streamed list, so that it stays well below the size limit.
const BATCH: usize = 500;

/// A list as a stream of messages.
fn in_batches<T, M>(items: Vec<T>, wrap: impl Fn(Vec<T>) -> M + Send + 'static) -> Stream<M>
where
    T: Send + 'static,
    M: Send + 'static,
{
    stream::iter(items).chunks(BATCH).map(move |batch| Ok(wrap(batch))).boxed()
}

/// Seconds of a request; negative ones mean none, as zero does.
fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.max(0).unsigned_abs())
}

fn unsupported<T>(what: &str) -> Reply<T> {
    Err(Status::unimplemented(format!("{what} is not supported")))
}

impl Service {
    fn containers(&self, filter: Option<cri::ContainerFilter>) -> Vec<cri::Container> {
        let all = self.inner.all_containers();
        let mut out: Vec<_> =
            all.iter().map(|c| status::container(&c.record.lock(), &c.run.borrow())).collect();
        out.retain(|c| status::container_matches(c, filter.as_ref()));
        out.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        out
    }

    fn sandboxes(&self, filter: Option<cri::PodSandboxFilter>) -> Vec<cri::PodSandbox> {
        let all = self.inner.all_sandboxes();
        let mut out: Vec<_> = all.iter().map(|s| status::sandbox(&s.record(), s.is_ready())).collect();
        out.retain(|s| status::sandbox_matches(s, filter.as_ref()));
        out.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        out
    }

    async fn all_container_stats(
        &self,
        filter: Option<cri::ContainerStatsFilter>,
    ) -> Result<Vec<cri::ContainerStats>, Status> {
        let mut out = Vec::new();
        for container in self.inner.containers_for_stats(filter) {
            out.push(self.inner.container_stats(&container).await?);
        }
        Ok(out)
    }

    async fn all_sandbox_stats(
        &self,
        filter: Option<cri::PodSandboxStatsFilter>,
    ) -> Result<Vec<cri::PodSandboxStats>, Status> {
        let mut out = Vec::new();
        for sandbox in self.inner.sandboxes_for_stats(filter) {
            out.push(self.inner.sandbox_stats(&sandbox).await?);
        }
        Ok(out)
    }
}

#[tonic::async_trait]
impl RuntimeService for Service {
    async fn version(&self, _: Request<cri::VersionRequest>) -> Reply<cri::VersionResponse> {
        Ok(Response::new(cri::VersionResponse {
            version: "0.1.0".into(), // of the request format; every runtime answers this
            runtime_name: "steersman".into(),
            runtime_version: self.inner.config.version.clone(),
            runtime_api_version: cri::API_VERSION.into(),
        }))
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<cri::RunPodSandboxRequest>,
    ) -> Reply<cri::RunPodSandboxResponse> {
        let pod_sandbox_id = self.inner.run_sandbox(request.into_inner()).await?;
        Ok(Response::new(cri::RunPodSandboxResponse { pod_sandbox_id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<cri::StopPodSandboxRequest>,
    ) -> Reply<cri::StopPodSandboxResponse> {
        self.inner.stop_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(cri::StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<cri::RemovePodSandboxRequest>,
    ) -> Reply<cri::RemovePodSandboxResponse> {
        self.inner.remove_sandbox(&request.into_inner().pod_sandbox_id).await?;
        Ok(Response::new(cri::RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Reply<cri::PodSandboxStatusResponse> {
        let sandbox = self.inner.sandbox(&request.into_inner().pod_sandbox_id)?;
        Ok(Response::new(cri::PodSandboxStatusResponse {
            status: Some(status::sandbox_status(&sandbox.record(), sandbox.is_ready())),
            info: Default::default(),
            containers_statuses: self.inner.container_statuses(&sandbox.id),
            timestamp: crate::shim::now_ns(),
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Reply<cri::ListPodSandboxResponse> {
        let items = self.sandboxes(request.into_inner().filter);
        Ok(Response::new(cri::ListPodSandboxResponse { items }))
    }

    type StreamPodSandboxesStream = Stream<cri::StreamPodSandboxesResponse>;

    async fn stream_pod_sandboxes(
        &self,
        request: Request<cri::StreamPodSandboxesRequest>,
    ) -> Reply<Self::StreamPodSandboxesStream> {
        let all = self.sandboxes(request.into_inner().filter);
        let wrap = |pod_sandboxes| cri::StreamPodSandboxesResponse { pod_sandboxes };
        Ok(Response::new(in_batches(all, wrap)))
    }

    async fn create_container(
        &self,
        request: Request<cri::CreateContainerRequest>,
    ) -> Reply<cri::CreateContainerResponse> {
        let container_id = self.inner.create_container(request.into_inner()).await?;
        Ok(Response::new(cri::CreateContainerResponse { container_id }))
    }

    async fn start_container(
        &self,
        request: Request<cri::StartContainerRequest>,
    ) -> Reply<cri::StartContainerResponse> {
        self.inner.start_container(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::StartContainerResponse {}))
    }

    async fn stop_container(
        &self,
        request: Request<cri::StopContainerRequest>,
    ) -> Reply<cri::StopContainerResponse> {
        let request = request.into_inner();
        self.inner.stop_container(&request.container_id, seconds(request.timeout)).await?;
        Ok(Response::new(cri::StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<cri::RemoveContainerRequest>,
    ) -> Reply<cri::RemoveContainerResponse> {
        self.inner.remove_container(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Reply<cri::ListContainersResponse> {
        let containers = self.containers(request.into_inner().filter);
        Ok(Response::new(cri::ListContainersResponse { containers }))
    }

    type StreamContainersStream = Stream<cri::StreamContainersResponse>;

    async fn stream_containers(
        &self,
        request: Request<cri::StreamContainersRequest>,
    ) -> Reply<Self::StreamContainersStream> {
        let all = self.containers(request.into_inner().filter);
        Ok(Response::new(in_batches(all, |containers| cri::StreamContainersResponse { containers })))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Reply<cri::ContainerStatusResponse> {
        let request = request.into_inner();
        let container = self.inner.container(&request.container_id)?;
        let (record, run) = (container.record(), container.run());
        let info = || {
            let info = serde_json::json!({
                "sandboxID": record.sandbox, "pid": run.pid.unwrap_or_default(), "spec": record.spec,
            });
            ("info".to_owned(), info.to_string())
        };
        Ok(Response::new(cri::ContainerStatusResponse {
            status: Some(status::container_status(&record, &run)),
            info: request.verbose.then(info).into_iter().collect(),
        }))
    }

    async fn update_container_resources(
        &self,
        request: Request<cri::UpdateContainerResourcesRequest>,
    ) -> Reply<cri::UpdateContainerResourcesResponse> {
        self.inner.update_resources(request.into_inner()).await?;
        Ok(Response::new(cri::UpdateContainerResourcesResponse {}))
    }

    async fn reopen_container_log(
        &self,
        request: Request<cri::ReopenContainerLogRequest>,
    ) -> Reply<cri::ReopenContainerLogResponse> {
        self.inner.reopen_log(&request.into_inner().container_id).await?;
        Ok(Response::new(cri::ReopenContainerLogResponse {}))
    }

    async fn exec_sync(&self, request: Request<cri::ExecSyncRequest>) -> Reply<cri::ExecSyncResponse> {
        let request = request.into_inner();
        let timeout = seconds(request.timeout);
        Ok(Response::new(self.inner.exec_sync(&request.container_id, request.cmd, timeout).await?))
    }

    async fn exec(&self, request: Request<cri::ExecRequest>) -> Reply<cri::ExecResponse> {
        let r = request.into_inner();
        let (container, _) = self.inner.running(&r.container_id)?;
        let streams = streaming::Wanted { stdin: r.stdin, stdout: r.stdout, stderr: r.stderr, tty: r.tty };
        let errand = Errand::Exec { container: container.id.clone(), command: r.cmd, streams };
        Ok(Response::new(cri::ExecResponse { url: self.inner.tickets.url(errand)? }))
    }

    async fn attach(&self, request: Request<cri::AttachRequest>) -> Reply<cri::AttachResponse> {
        let r = request.into_inner();
        let (container, _) = self.inner.running(&r.container_id)?;
        let streams = streaming::Wanted { stdin: r.stdin, stdout: r.stdout, stderr: r.stderr, tty: r.tty };
        let errand = Errand::Attach { container: container.id.clone(), streams };
        Ok(Response::new(cri::AttachResponse { url: self.inner.tickets.url(errand)? }))
    }

    async fn port_forward(
        &self,
        request: Request<cri::PortForwardRequest>,
    ) -> Reply<cri::PortForwardResponse> {
        let request = request.into_inner();
        let sandbox = self.inner.sandbox(&request.pod_sandbox_id)?;
        if !sandbox.is_ready() {
            return Err(Status::failed_precondition(format!("sandbox {:?} is not running", sandbox.id)));
        }
        let ports = request.port.iter().filter_map(|p| u16::try_from(*p).ok()).collect();
        let errand = Errand::PortForward { sandbox: sandbox.id.clone(), ports };
        Ok(Response::new(cri::PortForwardResponse { url: self.inner.tickets.url(errand)? }))
    }

    async fn container_stats(
        &self,
        request: Request<cri::ContainerStatsRequest>,
    ) -> Reply<cri::ContainerStatsResponse> {
        let container = self.inner.container(&request.into_inner().container_id)?;
        let stats = Some(self.inner.container_stats(&container).await?);
        Ok(Response::new(cri::ContainerStatsResponse { stats }))
    }

    async fn list_container_stats(
        &self,
        request: Request<cri::ListContainerStatsRequest>,
    ) -> Reply<cri::ListContainerStatsResponse> {
        let stats = self.all_container_stats(request.into_inner().filter).await?;
        Ok(Response::new(cri::ListContainerStatsResponse { stats }))
    }

    type StreamContainerStatsStream = Stream<cri::StreamContainerStatsResponse>;

    async fn stream_container_stats(
        &self,
        request: Request<cri::StreamContainerStatsRequest>,
    ) -> Reply<Self::StreamContainerStatsStream> {
        let all = self.all_container_stats(request.into_inner().filter).await?;
        let wrap = |container_stats| cri::StreamContainerStatsResponse { container_stats };
        Ok(Response::new(in_batches(all, wrap)))
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<cri::PodSandboxStatsRequest>,
    ) -> Reply<cri::PodSandboxStatsResponse> {
        let sandbox = self.inner.sandbox(&request.into_inner().pod_sandbox_id)?;
        let stats = Some(self.inner.sandbox_stats(&sandbox).await?);
        Ok(Response::new(cri::PodSandboxStatsResponse { stats }))
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<cri::ListPodSandboxStatsRequest>,
    ) -> Reply<cri::ListPodSandboxStatsResponse> {
        let stats = self.all_sandbox_stats(request.into_inner().filter).await?;
        Ok(Response::new(cri::ListPodSandboxStatsResponse { stats }))
    }

    type StreamPodSandboxStatsStream = Stream<cri::StreamPodSandboxStatsResponse>;

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<cri::StreamPodSandboxStatsRequest>,
    ) -> Reply<Self::StreamPodSandboxStatsStream> {
        let all = self.all_sandbox_stats(request.into_inner().filter).await?;
        let wrap = |pod_sandbox_stats| cri::StreamPodSandboxStatsResponse { pod_sandbox_stats };
        Ok(Response::new(in_batches(all, wrap)))
    }

    async fn update_runtime_config(
        &self,
        request: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Reply<cri::UpdateRuntimeConfigResponse> {
        let network = request.into_inner().runtime_config.and_then(|c| c.network_config);
        if let Some(cidr) = network.map(|n| n.pod_cidr).filter(|c| !c.is_empty()) {
            self.inner.network.set_pod_cidr(cidr).await.map_err(seam_status)?;
        }
        Ok(Response::new(cri::UpdateRuntimeConfigResponse {}))
    }

    async fn status(&self, _: Request<cri::StatusRequest>) -> Reply<cri::StatusResponse> {
        let condition = |kind: &str, problem: Option<(&str, String)>| cri::RuntimeCondition {
            r#type: kind.to_owned(),
            status: problem.is_none(),
            reason: problem.as_ref().map(|(reason, _)| (*reason).to_owned()).unwrap_or_default(),
            message: problem.map(|(_, message)| message).unwrap_or_default(),
        };
        let network = self.inner.network.status().await.err().map(|why| ("NetworkPluginNotReady", why));
        let conditions = vec![condition("RuntimeReady", None), condition("NetworkReady", network)];
        let features =
            cri::RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: false };
        Ok(Response::new(cri::StatusResponse {
            status: Some(cri::RuntimeStatus { conditions }),
            info: Default::default(),
            runtime_handlers: vec![cri::RuntimeHandler { name: String::new(), features: Some(features) }],
            features: Some(cri::RuntimeFeatures { supplemental_groups_policy: true, ..Default::default() }),
        }))
    }

    async fn checkpoint_container(
        &self,
        _: Request<cri::CheckpointContainerRequest>,
    ) -> Reply<cri::CheckpointContainerResponse> {
        unsupported("checkpointing")
    }

    async fn checkpoint_pod(
        &self,
        _: Request<cri::CheckpointPodRequest>,
    ) -> Reply<cri::CheckpointPodResponse> {
        unsupported("checkpointing")
    }

    async fn restore_pod(&self, _: Request<cri::RestorePodRequest>) -> Reply<cri::RestorePodResponse> {
        unsupported("checkpointing")
    }

    type GetContainerEventsStream = Stream<cri::ContainerEventResponse>;

    async fn get_container_events(
        &self,
        _: Request<cri::GetEventsRequest>,
    ) -> Reply<Self::GetContainerEventsStream> {
        let lagged = |_| Status::resource_exhausted("the listener is too slow and has missed events");
        let events = BroadcastStream::new(self.inner.events.subscribe()).map(move |e| e.map_err(lagged));
        // Ends with the server, or a listener would hold up its shutdown for ever.
        let stopped = self.inner.closing.clone().cancelled_owned();
        Ok(Response::new(events.take_until(stopped).boxed()))
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<cri::ListMetricDescriptorsRequest>,
    ) -> Reply<cri::ListMetricDescriptorsResponse> {
        unsupported("the metrics interface")
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<cri::ListPodSandboxMetricsRequest>,
    ) -> Reply<cri::ListPodSandboxMetricsResponse> {
        unsupported("the metrics interface")
    }

    type StreamPodSandboxMetricsStream = Stream<cri::StreamPodSandboxMetricsResponse>;

    async fn stream_pod_sandbox_metrics(
        &self,
        _: Request<cri::StreamPodSandboxMetricsRequest>,
    ) -> Reply<Self::StreamPodSandboxMetricsStream> {
        unsupported("the metrics interface")
    }

    async fn runtime_config(
        &self,
        _: Request<cri::RuntimeConfigRequest>,
    ) -> Reply<cri::RuntimeConfigResponse> {
        let linux = cri::LinuxRuntimeConfiguration { cgroup_driver: cri::CgroupDriver::Cgroupfs as i32 };
        Ok(Response::new(cri::RuntimeConfigResponse { linux: Some(linux) }))
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<cri::UpdatePodSandboxResourcesRequest>,
    ) -> Reply<cri::UpdatePodSandboxResourcesResponse> {
        // The kubelet changes the pod's cgroup itself and only lets the runtime know.
        self.inner.sandbox(&request.into_inner().pod_sandbox_id)?;
        Ok(Response::new(cri::UpdatePodSandboxResourcesResponse {}))
    }
}

fn image_name(spec: Option<cri::ImageSpec>) -> Result<String, Status> {
    let name = spec.unwrap_or_default().image;
    if name.is_empty() { Err(Status::invalid_argument("no image is named")) } else { Ok(name) }
}

impl Service {
    async fn images(&self, filter: Option<cri::ImageFilter>) -> Result<Vec<cri::Image>, Status> {
        let name = filter.and_then(|f| f.image).map(|i| i.image).filter(|n| !n.is_empty());
        self.inner.images.list(name).await.map_err(seam_status)
    }
}

#[tonic::async_trait]
impl ImageService for Service {
    async fn list_images(&self, request: Request<cri::ListImagesRequest>) -> Reply<cri::ListImagesResponse> {
        let images = self.images(request.into_inner().filter).await?;
        Ok(Response::new(cri::ListImagesResponse { images }))
    }

    type StreamImagesStream = Stream<cri::StreamImagesResponse>;

    async fn stream_images(
        &self,
        request: Request<cri::StreamImagesRequest>,
    ) -> Reply<Self::StreamImagesStream> {
        let all = self.images(request.into_inner().filter).await?;
        Ok(Response::new(in_batches(all, |images| cri::StreamImagesResponse { images })))
    }

    async fn image_status(
        &self,
        request: Request<cri::ImageStatusRequest>,
    ) -> Reply<cri::ImageStatusResponse> {
        let name = image_name(request.into_inner().image)?;
        let image = self.inner.images.status(name).await.map_err(seam_status)?;
        Ok(Response::new(cri::ImageStatusResponse { image, info: Default::default() }))
    }

    async fn pull_image(&self, request: Request<cri::PullImageRequest>) -> Reply<cri::PullImageResponse> {
        let request = request.into_inner();
        let name = image_name(request.image)?;
        let image_ref = self.inner.images.pull(name, request.auth).await.map_err(seam_status)?;
        Ok(Response::new(cri::PullImageResponse { image_ref }))
    }

    async fn remove_image(
        &self,
        request: Request<cri::RemoveImageRequest>,
    ) -> Reply<cri::RemoveImageResponse> {
        let name = image_name(request.into_inner().image)?;
        self.inner.images.remove(name).await.map_err(seam_status)?;
        Ok(Response::new(cri::RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<cri::ImageFsInfoRequest>) -> Reply<cri::ImageFsInfoResponse> {
        Ok(Response::new(self.inner.images.usage().await.map_err(seam_status)?))
    }
}
