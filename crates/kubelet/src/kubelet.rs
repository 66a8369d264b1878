//! The parts of the kubelet, joined.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::Client;
use steersman_controller_runtime::{EventRecorder, EventSource, EventWriter, SharedInformers};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cgroups::Cgroups;
use crate::logs;
use crate::node::{self, machine::Machine};
use crate::objects::ObjectStore;
use crate::pods::Pods;
use crate::runtime::{ConnectError, Runtime};
use crate::server::{Server, ServerError, ServerTls};
use crate::shared::{Config, Shared};
use crate::status_writer::StatusWriter;

/// The kubelet could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No runtime.
    #[error(transparent)]
    Runtime(#[from] ConnectError),
    /// Its own directory cannot be used.
    #[error("could not use the kubelet's directory {path}")]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The HTTPS server cannot listen.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A part of the kubelet came to an end by itself.
#[derive(Debug, thiserror::Error)]
#[error("a part of the kubelet panicked")]
pub struct RunError(#[from] tokio::task::JoinError);

/// One kubelet.
pub struct Kubelet {
    shared: Arc<Shared>,
    pods: Arc<Pods>,
    events: EventWriter,
    server: Option<Server>,
    stop: CancellationToken,
}

impl Kubelet {
    /// Connects to the runtime and binds the server. `informers` may be shared with other components; with `tls` the
    /// server is on.
    pub async fn new(
        config: Config,
        client: Client,
        informers: &SharedInformers,
        tls: Option<ServerTls>,
    ) -> Result<Self, StartError> {
        let pods_dir = config.root_dir.join("pods");
        for path in [&pods_dir, &config.logs_dir] {
            let made = tokio::fs::create_dir_all(path).await;
            made.map_err(|source| StartError::Directory { path: path.clone(), source })?;
        }
        let runtime = Runtime::connect(&config.cri_socket).await?;
        let source = EventSource { component: "kubelet".to_owned(), host: config.node_name.clone() };
        let (recorder, events) = EventRecorder::new(client.clone(), source);
        let stop = CancellationToken::new();
        let pods = informers.selected::<Pod>(&format!("spec.nodeName={}", config.node_name));
        let shared = Arc::new(Shared {
            machine: Machine::read(&config.root_dir, config.max_pods),
            cgroups: Cgroups::detect(&config.cgroup_mount),
            config_maps: ObjectStore::new(client.clone(), stop.clone()),
            secrets: ObjectStore::new(client.clone(), stop.clone()),
            services: informers.informer::<Service>(),
            node: informers.selected::<Node>(&format!("metadata.name={}", config.node_name)),
            statuses: StatusWriter::new(client.clone(), pods.clone()),
            pods,
            events: recorder,
            runtime,
            client,
            config,
        });
        let pods = Pods::new(shared.clone());
        let server = match tls {
            Some(tls) => Some(Server::bind(shared.clone(), pods.clone(), tls).await?),
            None => None,
        };
        Ok(Self { shared, pods, events, server, stop })
    }

    /// Where the server listens, once it is on: with port 0 in the configuration the kernel chose one.
    pub fn server_address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().and_then(Server::address)
    }

    /// Runs until `stop` is cancelled or a part ends; returns after all parts ended. Containers go on.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let inner = self.stop.clone();
        let shared = self.shared.clone();
        let writer = shared.clone();
        let status_stop = inner.clone();
        let mut parts: Vec<BoxFuture<'static, ()>> = vec![
            Box::pin(node::run(shared.clone(), inner.clone())),
            Box::pin(node::lease::run(shared.clone(), inner.clone())),
            Box::pin(async move { writer.statuses.run(status_stop).await }),
            Box::pin(self.pods.clone().follow_runtime(inner.clone())),
            Box::pin(wait_and_run(self.pods.clone(), shared.clone(), inner.clone())),
            Box::pin(self.events.run(inner.clone())),
            Box::pin(logs::rotate::run(shared.clone(), inner.clone())),
        ];
        if let Some(server) = self.server {
            parts.push(Box::pin(server.run(inner.clone())));
        }
        let mut tasks = JoinSet::new();
        for part in parts {
            tasks.spawn(part);
        }
        let mut outcome = Ok(());
        loop {
            let ended = tokio::select! {
                () = stop.cancelled(), if !inner.is_cancelled() => {
                    inner.cancel();
                    continue;
                }
                ended = tasks.join_next() => ended,
            };
            let Some(ended) = ended else { break };
            inner.cancel(); // one part down means the whole goes down
            outcome = outcome.and(ended.map_err(RunError::from));
        }
        shared.config_maps.stopped().await;
        shared.secrets.stopped().await;
        outcome
    }
}

/// Containers get the variables of services, so these must be known before the first one starts.
async fn wait_and_run(pods: Arc<Pods>, shared: Arc<Shared>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = shared.services.wait_synced() => {}
    }
    pods.run(stop).await;
}
