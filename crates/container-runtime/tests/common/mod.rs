//! A runtime with an image of busybox alone and without a network.

#![allow(dead_code)] // Each test file uses a part of it.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steersman_container_runtime::spec::RootFs;
use steersman_container_runtime::{
    ImageConfig, Images, Network, PodNetwork, PreparedImage, Runtime, RuntimeConfig, SeamError, teardown,
};
use steersman_cri as cri;
use steersman_cri::client::RuntimeServiceClient;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// The only image.
pub const IMAGE: &str = "busybox";

struct TestImages {
    dir: PathBuf,
}

impl TestImages {
    fn new(dir: PathBuf) -> Self {
        let bin = dir.join("image/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(dir.join("image/etc")).unwrap();
        fs::write(dir.join("image/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/:/bin/sh\n")
            .unwrap();
        fs::write(dir.join("image/etc/group"), "root:x:0:\nlogs:x:4:web\n").unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for applet in [
            "sh", "cat", "echo", "sleep", "true", "id", "ls", "ps", "grep", "mount", "stat", "hostname",
            "mkdir", "touch", "readlink", "wc", "dd", "tty", "stty", "head", "tail", "mknod", "nc", "trap",
            "kill",
        ] {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        Self { dir }
    }
}

impl Images for TestImages {
    fn list(&self, _: Option<String>) -> BoxFuture<'_, Result<Vec<cri::Image>, SeamError>> {
        async { Ok(vec![cri::Image { id: IMAGE.into(), ..Default::default() }]) }.boxed()
    }

    fn status(&self, image: String) -> BoxFuture<'_, Result<Option<cri::Image>, SeamError>> {
        async move { Ok((image == IMAGE).then(|| cri::Image { id: image, ..Default::default() })) }.boxed()
    }

    fn pull(&self, image: String, _: Option<cri::AuthConfig>) -> BoxFuture<'_, Result<String, SeamError>> {
        async move { if image == IMAGE { Ok(image) } else { Err(SeamError::NotFound(image)) } }.boxed()
    }

    fn remove(&self, _: String) -> BoxFuture<'_, Result<(), SeamError>> {
        async { Ok(()) }.boxed()
    }

    fn usage(&self) -> BoxFuture<'_, Result<cri::ImageFsInfoResponse, SeamError>> {
        async { Ok(Default::default()) }.boxed()
    }

    fn prepare(&self, image: String, container: String) -> BoxFuture<'_, Result<PreparedImage, SeamError>> {
        async move {
            if image != IMAGE {
                return Err(SeamError::NotFound(format!("image {image:?} is not there")));
            }
            let dir = self.dir.join(container);
            let (upper, work) = (dir.join("upper"), dir.join("work"));
            fs::create_dir_all(&upper).unwrap();
            fs::create_dir_all(&work).unwrap();
            let config = ImageConfig { cmd: vec!["/bin/sh".into()], ..Default::default() };
            let rootfs = RootFs::Overlay { lower: vec![self.dir.join("image")], upper, work };
            Ok(PreparedImage { rootfs, config, image_ref: IMAGE.into(), image_id: IMAGE.into() })
        }
        .boxed()
    }

    fn release(&self, container: String) -> BoxFuture<'_, Result<(), SeamError>> {
        async move {
            let _ = fs::remove_dir_all(self.dir.join(container));
            Ok(())
        }
        .boxed()
    }
}

struct NoNetwork;

impl Network for NoNetwork {
    fn attach(&self, _: PodNetwork) -> BoxFuture<'_, Result<Vec<IpAddr>, SeamError>> {
        async { Ok(vec!["10.9.8.7".parse().unwrap()]) }.boxed()
    }

    fn detach(&self, _: PodNetwork) -> BoxFuture<'_, Result<(), SeamError>> {
        async { Ok(()) }.boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn set_pod_cidr(&self, _: String) -> BoxFuture<'_, Result<(), SeamError>> {
        async { Ok(()) }.boxed()
    }
}

/// A runtime under test. Dropping it takes everything away.
pub struct World {
    pub dir: tempfile::TempDir,
    pub config: RuntimeConfig,
    pub client: RuntimeServiceClient<Channel>,
    images: Arc<TestImages>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("srt").tempdir().unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let here = std::env::current_exe().unwrap();
        let shim = here.parent().unwrap().parent().unwrap().join("examples/shim");
        let config = RuntimeConfig {
            state_dir: dir.path().join("state"),
            run_dir: dir.path().join("run"),
            shim_command: vec![shim.into()],
            cgroup_root: format!("/steersman-test-{name}"),
            version: "test".into(),
        };
        let images = Arc::new(TestImages::new(dir.path().join("images")));
        let (client, server, stop) = serve(&config, images.clone()).await;
        Self { dir, config, client, images, stop, server: Some(server) }
    }

    /// Ends the runtime and starts a new one, as after a crash: nothing is said to the shims.
    pub async fn restart(&mut self) {
        self.stop.cancel();
        self.server.take().unwrap().await.unwrap();
        let (client, server, stop) = serve(&self.config, self.images.clone()).await;
        (self.client, self.server, self.stop) = (client, Some(server), stop);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn sandbox_config(&self) -> cri::PodSandboxConfig {
        cri::PodSandboxConfig {
            metadata: Some(cri::PodSandboxMetadata {
                name: "pod".into(),
                uid: "uid".into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: "box".into(),
            log_directory: self.path("logs").display().to_string(),
            linux: Some(cri::LinuxPodSandboxConfig {
                security_context: Some(cri::LinuxSandboxSecurityContext {
                    namespace_options: Some(own_pids()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub async fn sandbox(&mut self, config: cri::PodSandboxConfig) -> String {
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        self.client.run_pod_sandbox(request).await.unwrap().into_inner().pod_sandbox_id
    }

    /// Creates a container and starts it.
    pub async fn start(
        &mut self,
        sandbox: &str,
        config: cri::ContainerConfig,
    ) -> Result<String, (String, tonic::Status)> {
        let id = self.create(sandbox, config).await;
        let request = cri::StartContainerRequest { container_id: id.clone() };
        match self.client.start_container(request).await {
            Ok(_) => Ok(id),
            Err(status) => Err((id, status)),
        }
    }

    pub async fn create(&mut self, sandbox: &str, config: cri::ContainerConfig) -> String {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.into(),
            config: Some(config),
            sandbox_config: Some(self.sandbox_config()),
        };
        self.client.create_container(request).await.unwrap().into_inner().container_id
    }

    pub async fn status(&mut self, id: &str) -> cri::ContainerStatus {
        let request = cri::ContainerStatusRequest { container_id: id.into(), verbose: false };
        self.client.container_status(request).await.unwrap().into_inner().status.unwrap()
    }

    /// Waits until a container has ended.
    pub async fn ended(&mut self, id: &str) -> cri::ContainerStatus {
        for _ in 0..2000 {
            let status = self.status(id).await;
            if status.state() == cri::ContainerState::ContainerExited {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the container does not end");
    }

    /// Runs a shell script in a container of its own and returns its status and output.
    pub async fn script(
        &mut self,
        sandbox: &str,
        change: impl FnOnce(&mut cri::ContainerConfig),
        script: &str,
    ) -> (cri::ContainerStatus, String) {
        let mut config = shell(script);
        change(&mut config);
        let id = self.start(sandbox, config).await.unwrap();
        let status = self.ended(&id).await;
        let text = fs::read_to_string(&status.log_path).unwrap();
        (status, plain(&text))
    }

    pub async fn exec(&mut self, id: &str, script: &str) -> cri::ExecSyncResponse {
        let cmd = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let request = cri::ExecSyncRequest { container_id: id.into(), cmd, timeout: 20 };
        self.client.exec_sync(request).await.unwrap().into_inner()
    }

    pub async fn remove_sandbox(&mut self, id: &str) {
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.into() };
        self.client.remove_pod_sandbox(request).await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Err(error) = teardown::teardown(&self.config) {
            eprintln!("teardown: {error}");
        }
    }
}

async fn serve(
    config: &RuntimeConfig,
    images: Arc<TestImages>,
) -> (RuntimeServiceClient<Channel>, JoinHandle<()>, CancellationToken) {
    let runtime = Runtime::start(config.clone(), images, Arc::new(NoNetwork)).await.unwrap();
    let stop = CancellationToken::new();
    let (socket, token) = (config.state_dir.join("cri.sock"), stop.clone());
    let path = socket.clone();
    let server = tokio::spawn(async move { runtime.serve(&path, token).await.unwrap() });
    for _ in 0..500 {
        if let Ok((client, _)) = cri::connect(&socket).await {
            return (client, server, stop);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the runtime does not listen");
}

pub fn own_pids() -> cri::NamespaceOption {
    cri::NamespaceOption { pid: cri::NamespaceMode::Container as i32, ..Default::default() }
}

/// A container that runs a script.
pub fn shell(script: &str) -> cri::ContainerConfig {
    let name = format!("c{}", rand::random::<u32>());
    cri::ContainerConfig {
        log_path: format!("{name}/0.log"),
        metadata: Some(cri::ContainerMetadata { name, attempt: 0 }),
        image: Some(cri::ImageSpec { image: IMAGE.into(), ..Default::default() }),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        labels: HashMap::from([("app".into(), "test".into())]),
        linux: Some(cri::LinuxContainerConfig {
            security_context: Some(cri::LinuxContainerSecurityContext {
                namespace_options: Some(own_pids()),
                seccomp: Some(cri::SecurityProfile::default()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The security settings of a container.
pub fn security(config: &mut cri::ContainerConfig) -> &mut cri::LinuxContainerSecurityContext {
    config.linux.get_or_insert_default().security_context.get_or_insert_default()
}

/// A log without times, streams and tags.
pub fn plain(log: &str) -> String {
    log.lines().map(|line| format!("{}\n", line.splitn(4, ' ').nth(3).unwrap_or_default())).collect()
}

/// Every mount and cgroup whose path holds `name`.
pub fn traces(name: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut out: Vec<String> = mounts.lines().filter(|l| l.contains(name)).map(str::to_owned).collect();
    walk(Path::new("/sys/fs/cgroup"), name, 0, &mut out);
    out
}

fn walk(dir: &Path, name: &str, depth: usize, out: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let path = entry.path();
        if path.to_string_lossy().contains(name) {
            out.push(path.display().to_string());
        } else if depth < 3 {
            walk(&path, name, depth + 1, out);
        }
    }
}
