//! Follows the API and keeps the [`World`] current: one Service at a time, however many changes there were.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use parking_lot::RwLock;
use steersman_controller_runtime::{
    Delta, Informer, ObjectKey, Requeue, SharedInformers, WorkQueue, run_workers,
};
use tokio_util::sync::CancellationToken;

use crate::service::ServiceRecords;
use crate::world::World;
use crate::zone::Zone;

/// The label that says to which Service a slice belongs.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The index of the slices by `namespace/service`.
const BY_SERVICE: &str = "dns.service";

/// Where the world comes from.
pub(crate) struct Sources {
    zone: Zone,
    world: Arc<RwLock<World>>,
    services: Arc<Informer<Service>>,
    slices: Arc<Informer<EndpointSlice>>,
    namespaces: Arc<Informer<Namespace>>,
    queue: Arc<WorkQueue<ObjectKey>>,
}

impl Sources {
    /// Starts to follow.
    pub fn new(informers: &SharedInformers, world: Arc<RwLock<World>>) -> Self {
        let zone = world.read().zone.clone();
        let sources = Self {
            zone,
            world,
            services: informers.informer(),
            slices: informers.informer(),
            namespaces: informers.informer(),
            queue: Arc::new(WorkQueue::default()),
        };
        let by_service = |slice: &EndpointSlice| service_of(slice).iter().map(ToString::to_string).collect();
        sources.slices.cache().add_index(BY_SERVICE, by_service);
        sources.add_handlers();
        sources
    }

    fn add_handlers(&self) {
        let queue = self.queue.clone();
        self.services.add_handler(move |delta| queue.add(ObjectKey::of(&**delta.object())));
        let queue = self.queue.clone();
        self.slices.add_handler(move |delta| {
            if let Delta::Updated { old, .. } = delta {
                service_of(old).into_iter().for_each(|key| queue.add(key));
            }
            service_of(delta.object()).into_iter().for_each(|key| queue.add(key));
        });
        let world = self.world.clone();
        self.namespaces.add_handler(move |delta| match delta {
            Delta::Added(namespace) => world.write().add_namespace(&namespace.name_any()),
            Delta::Updated { .. } => {}
            Delta::Deleted(namespace) => world.write().remove_namespace(&namespace.name_any()),
        });
    }

    /// Waits until everything has been listed once.
    pub async fn wait_synced(&self) {
        self.namespaces.wait_synced().await;
        self.slices.wait_synced().await;
        self.services.wait_synced().await;
    }

    /// Brings every Service that is known now into the world.
    pub fn refresh_all(&self) {
        for service in self.services.cache().list() {
            self.refresh(&ObjectKey::of(&*service));
        }
    }

    /// Follows changes until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let queue = self.queue.clone();
        let reconcile = move |key: ObjectKey| {
            self.refresh(&key);
            std::future::ready(Ok::<_, Infallible>(Requeue::NEVER))
        };
        run_workers("dns", queue, 1, stop, reconcile).await;
    }

    fn refresh(&self, key: &ObjectKey) {
        let records = self.services.cache().get(key).and_then(|service| {
            let slices = self.slices.cache().by_index(BY_SERVICE, &key.to_string());
            ServiceRecords::build(&self.zone, key, &service, &slices)
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut world = self.world.write();
        // Serial numbers wrap around by design (RFC 1982).
        world.serial = now as u32;
        world.put(key, records);
    }
}

/// The Service that a slice belongs to.
fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.labels().get(SERVICE_NAME)?;
    Some(ObjectKey::new(slice.namespace()?, name))
}
