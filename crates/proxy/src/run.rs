//! The loop.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use steersman_controller_runtime::{
    Backoff, Delta, Informer, ObjectKey, Requeue, SharedInformers, WorkQueue, run_workers,
};
use steersman_network::Ipv4Range;
use steersman_network::nft::{self, Batch, NftError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::service_ports;
use crate::program::Program;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const BY_SERVICE: &str = "proxy.service";

/// How the proxy is set up.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Name of this node.
    pub node_name: String,
    /// Addresses of pods: other sources are rewritten when they come to a service.
    pub cluster_range: Ipv4Range,
    /// Name of the nftables table.
    pub table: String,
}

/// Programs services into the kernel.
pub struct Proxy {
    config: ProxyConfig,
    services: Arc<Informer<Service>>,
    slices: Arc<Informer<EndpointSlice>>,
    queue: Arc<WorkQueue<ObjectKey>>,
    program: Mutex<Program>,
    ready: watch::Sender<bool>,
}

/// The kernel did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Nor everything anew.
    #[error("could not program services")]
    Nft(#[from] NftError),
    /// The blocking task is gone.
    #[error("the task that talks to the kernel ended")]
    Task(#[from] tokio::task::JoinError),
}

impl Proxy {
    /// A proxy that reads through `informers`.
    pub fn new(config: ProxyConfig, informers: &SharedInformers) -> Arc<Self> {
        let (services, slices) = (informers.informer::<Service>(), informers.informer::<EndpointSlice>());
        slices.cache().add_index(BY_SERVICE, |slice| {
            service_of(slice).map(|key| key.to_string()).into_iter().collect()
        });
        let backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(30) };
        let program = Mutex::new(Program::new(config.table.clone(), config.cluster_range));
        let (queue, ready) = (Arc::new(WorkQueue::new(backoff)), watch::Sender::new(false));
        Arc::new(Self { config, services, slices, queue, program, ready })
    }

    /// Waits until the services that existed at the start are programmed.
    pub async fn wait_ready(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Programs services until `stop`. The table stays as it is: connections go on while the proxy is away.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), SyncError> {
        let synced = async { tokio::join!(self.services.wait_synced(), self.slices.wait_synced()) };
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
        Ok(())
    }

    /// Takes over in one transaction, so that no packet finds the table empty, and follows changes from then on.
    async fn start(self: &Arc<Self>) -> Result<(), SyncError> {
        let batch = {
            let mut program = self.program.lock();
            for service in self.services.cache().list() {
                let key = ObjectKey::of(&*service);
                program.set(&key, service_ports(&service, &self.slices_of(&key), &self.config.node_name));
            }
            program.replace()
        };
        apply(batch).await?;
        let queue = self.queue.clone();
        self.services.add_handler(move |delta| queue.add(ObjectKey::of(&**delta.object())));
        let queue = self.queue.clone();
        self.slices.add_handler(move |delta: &Delta<EndpointSlice>| {
            if let Some(key) = service_of(delta.object()) {
                queue.add(key);
            }
        });
        Ok(())
    }

    async fn sync(&self, key: &ObjectKey) -> Result<Requeue, SyncError> {
        let service = self.services.cache().get(key);
        let ports = service.map(|s| service_ports(&s, &self.slices_of(key), &self.config.node_name));
        let batch = self.program.lock().set(key, ports.unwrap_or_default());
        let Err(error) = apply(batch).await else { return Ok(Requeue::NEVER) };
        tracing::warn!(service = %key, %error, "a change was refused; replacing the whole table");
        let replacement = self.program.lock().replace();
        apply(replacement).await?;
        Ok(Requeue::NEVER)
    }

    fn slices_of(&self, service: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        self.slices.cache().by_index(BY_SERVICE, &service.to_string())
    }
}

async fn apply(batch: Batch) -> Result<(), SyncError> {
    Ok(tokio::task::spawn_blocking(move || nft::apply(&batch)).await??)
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(slice.metadata.namespace.clone().unwrap_or_default(), name.clone()))
}
