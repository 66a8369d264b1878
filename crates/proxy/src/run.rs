//! The loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use steersman_controller_runtime::{
    Backoff, Delta, Informer, ObjectKey, Requeue, SharedInformers, WorkQueue, run_workers,
};
use steersman_network::forget_udp;
use steersman_network::nft::{self, Batch, NftError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::endpoints::NodeFacts;
use crate::flows::UdpFrontends;
use crate::health::{HealthError, HealthServers};
use crate::model::{ServicePort, health_check, service_ports};
use crate::program::{Change, Program};
use crate::render::Shape;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const ZONE: &str = "topology.kubernetes.io/zone";
const BY_SERVICE: &str = "proxy.service";

/// How the proxy is set up.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Name of this node.
    pub node_name: String,
    /// What services have in common here.
    pub shape: Shape,
}

/// Programs services into the kernel.
pub struct Proxy {
    config: ProxyConfig,
    services: Arc<Informer<Service>>,
    slices: Arc<Informer<EndpointSlice>>,
    nodes: Arc<Informer<Node>>,
    queue: Arc<WorkQueue<ObjectKey>>,
    program: Mutex<Program>,
    health: tokio::sync::Mutex<HealthServers>,
    ready: watch::Sender<bool>,
}

/// The kernel did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Nor everything anew.
    #[error("could not program services")]
    Nft(#[from] NftError),
    /// Nor the port of a health check.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The blocking task is gone.
    #[error("the task that talks to the kernel ended")]
    Task(#[from] tokio::task::JoinError),
}

impl Proxy {
    /// A proxy that reads through `informers`.
    pub fn new(config: ProxyConfig, informers: &SharedInformers) -> Arc<Self> {
        let (services, slices) = (informers.informer::<Service>(), informers.informer::<EndpointSlice>());
        // A node's own identity may see its own node only.
        let nodes = informers.selected::<Node>(&format!("metadata.name={}", config.node_name));
        slices.cache().add_index(BY_SERVICE, |slice| {
            service_of(slice).map(|key| key.to_string()).into_iter().collect()
        });
        let backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(30) };
        let program = Mutex::new(Program::new(config.shape.clone()));
        let health = tokio::sync::Mutex::new(HealthServers::new(config.shape.node_address));
        let (queue, ready) = (Arc::new(WorkQueue::new(backoff)), watch::Sender::new(false));
        Arc::new(Self { config, services, slices, nodes, queue, program, health, ready })
    }

    /// Waits until the services that existed at the start are programmed.
    pub async fn wait_ready(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Programs services until `stop`. The table stays as it is: connections go on while the proxy is away.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), SyncError> {
        let synced = async {
            tokio::join!(self.services.wait_synced(), self.slices.wait_synced(), self.nodes.wait_synced())
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = synced => {}
        }
        self.start().await?;
        self.ready.send_replace(true);
        let proxy = self.clone();
        // One worker: the program is one, and batches are applied in order.
        run_workers("proxy", self.queue.clone(), 1, stop, move |key| {
            let proxy = proxy.clone();
            async move { proxy.sync(&key).await }
        })
        .await;
        self.health.lock().await.close().await;
        Ok(())
    }

    /// Takes over in one transaction, so that no packet finds the table empty, and follows changes from then on.
    async fn start(self: &Arc<Self>) -> Result<(), SyncError> {
        let (batch, udp) = {
            let (mut program, now) = (self.program.lock(), Instant::now());
            for service in self.services.cache().list() {
                let key = ObjectKey::of(&*service);
                program.set(&key, self.ports(&key), now);
            }
            (program.replace(), program.udp_frontends())
        };
        apply(batch).await?;
        // Endpoints may have gone while nobody watched.
        forget_stale(udp).await?;
        // Each service comes through the queue once more; that opens the ports of the health checks.
        self.follow();
        Ok(())
    }

    fn follow(&self) {
        let queue = self.queue.clone();
        self.services.add_handler(move |delta| queue.add(ObjectKey::of(&**delta.object())));
        let queue = self.queue.clone();
        self.slices.add_handler(move |delta: &Delta<EndpointSlice>| {
            if let Delta::Updated { old, .. } = delta {
                service_of(old).into_iter().for_each(|key| queue.add(key));
            }
            service_of(delta.object()).into_iter().for_each(|key| queue.add(key));
        });
        // Which endpoints are near changes with the zone, for every service.
        let (queue, services) = (self.queue.clone(), self.services.clone());
        let last = Mutex::new(self.zone());
        self.nodes.add_handler(move |delta: &Delta<Node>| {
            let zone = zone_of(delta.object());
            if std::mem::replace(&mut *last.lock(), zone.clone()) != zone {
                services.cache().list().iter().for_each(|service| queue.add(ObjectKey::of(&**service)));
            }
        });
    }

    async fn sync(&self, key: &ObjectKey) -> Result<Requeue, SyncError> {
        let ports = self.ports(key);
        let service = self.services.cache().get(key);
        let check = service.and_then(|service| health_check(&service, &ports));
        let Change { batch, udp } = self.program.lock().set(key, ports, Instant::now());
        if let Err(error) = apply(batch).await {
            tracing::warn!(service = %key, %error, "a change was refused; replacing the whole table");
            let replacement = self.program.lock().replace();
            apply(replacement).await?;
        }
        forget_stale(udp).await?;
        self.health.lock().await.set(key, check).await?;
        Ok(Requeue::NEVER)
    }

    /// The ports of a service as they should be; none if it is gone.
    fn ports(&self, key: &ObjectKey) -> Vec<ServicePort> {
        let Some(service) = self.services.cache().get(key) else { return Vec::new() };
        let slices = self.slices.cache().by_index(BY_SERVICE, &key.to_string());
        let node = NodeFacts { name: self.config.node_name.clone(), zone: self.zone() };
        service_ports(&service, &slices, &node)
    }

    fn zone(&self) -> Option<String> {
        let node = self.nodes.cache().get(&ObjectKey::cluster(self.config.node_name.clone()))?;
        zone_of(&node)
    }
}

async fn apply(batch: Batch) -> Result<(), SyncError> {
    Ok(tokio::task::spawn_blocking(move || nft::apply(&batch)).await??)
}

/// Forgets UDP flows to endpoints that are gone. Services work for everybody else without that, so a failure is only
/// told.
async fn forget_stale(udp: UdpFrontends) -> Result<(), SyncError> {
    if udp.is_empty() {
        return Ok(());
    }
    match tokio::task::spawn_blocking(move || forget_udp(|flow| udp.is_stale(flow))).await? {
        Ok(forgotten) => tracing::debug!(forgotten, "forgot UDP flows to endpoints that are gone"),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "UDP clients may go on talking to endpoints that are gone");
        }
    }
    Ok(())
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(slice.metadata.namespace.clone().unwrap_or_default(), name.clone()))
}

fn zone_of(node: &Node) -> Option<String> {
    node.metadata.labels.as_ref()?.get(ZONE).cloned()
}
