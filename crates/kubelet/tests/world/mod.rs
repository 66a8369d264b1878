//! A kubelet between an API and a runtime that both live in memory.
#![allow(dead_code, reason = "each test program uses a part of this")]

pub mod api;
pub mod runtime;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use steersman_controller_runtime::SharedInformers;
use steersman_kubelet::server::ServerTls;
use steersman_kubelet::{Config, Kubelet};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use api::FakeApi;
use runtime::FakeRuntime;

pub const POD: &str = "/api/v1/namespaces/ns/pods/p";

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub api: FakeApi,
    pub runtime: FakeRuntime,
    pub dir: TempDir,
    _server: JoinHandle<()>,
    kubelet: Option<(CancellationToken, JoinHandle<()>)>,
    tls: Option<ServerTls>,
    /// Where the kubelet's server listens.
    pub address: Option<SocketAddr>,
}

impl World {
    pub async fn new() -> Self {
        Self::serving(None).await
    }

    /// A world whose kubelet has its server on.
    pub async fn serving(tls: Option<ServerTls>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = FakeRuntime::new();
        let server = runtime.serve(&dir.path().join("cri.sock"));
        let api = FakeApi::new();
        let mut world = Self { api, runtime, dir, _server: server, kubelet: None, tls, address: None };
        world.start().await;
        world
    }

    pub async fn start(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let config = Config {
            root_dir: at("kubelet"),
            logs_dir: at("logs"),
            cgroup_mount: at("cgroup"),
            cluster_dns: vec!["10.96.0.10".into()],
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            container_log_max_size: 1000,
            container_log_monitor_interval: Duration::from_millis(20),
            ..Config::new("n1", "192.0.2.1", at("cri.sock"))
        };
        let stop = CancellationToken::new();
        let client = self.api.client();
        let informers = SharedInformers::new(client.clone(), stop.clone());
        let kubelet = Kubelet::new(config, client, &informers, self.tls.clone()).await.unwrap();
        self.address = kubelet.server_address();
        let token = stop.clone();
        let task = tokio::spawn(async move {
            kubelet.run(token).await.unwrap();
            informers.stopped().await;
        });
        self.kubelet = Some((stop, task));
    }

    /// Stops the kubelet; what it runs goes on.
    pub async fn stop(&mut self) {
        let (stop, task) = self.kubelet.take().unwrap();
        stop.cancel();
        tokio::time::timeout(PATIENCE, task).await.expect("the kubelet stops").unwrap();
    }

    pub fn create_pod(&self, mut spec: Value) {
        spec["nodeName"] = json!("n1");
        let metadata = json!({ "name": "p", "namespace": "ns", "uid": "u1", "generation": 1 });
        self.api.put(POD, json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }));
    }

    pub fn pod(&self) -> Value {
        self.api.get(POD).unwrap_or_default()
    }

    /// Waits until the pod is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, || Some(self.pod()).filter(|pod| wanted(pod))).await
    }

    /// Waits until `look` finds something.
    pub async fn wait<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("{what}: never; pod {:#}\nevents {:#?}", self.pod(), self.api.events()),
        }
    }
}

pub fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

pub fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && container(pod)["state"]["running"].is_object()
}
