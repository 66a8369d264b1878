//! Mirrors `Endpoints` that somebody wrote for a service without a selector into endpoint slices.
//!
//! Watches endpoints, services and slices; the key is the service, whose name the endpoints have.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use steersman_controller_runtime::{Delta, Expectations, Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::endpoint_slice::{MANAGED_BY, Plan, SERVICE_NAME, carry_out, plan as plan_slices};
use plan::{MANAGER, groups, head, is_mirrored};

/// The index of our slices by the service that their labels name.
const BY_MIRRORED: &str = "mirrored-service";

struct Mirroring {
    context: Context,
    services: Arc<Informer<Service>>,
    endpoints: Arc<Informer<Endpoints>>,
    slices: Arc<Informer<EndpointSlice>>,
    expectations: Arc<Expectations>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (services, endpoints) = (context.informer::<Service>(), context.informer::<Endpoints>());
    let slices = context.informer::<EndpointSlice>();
    slices
        .cache()
        .add_index(BY_MIRRORED, |slice| service_of(slice).map(|key| key.to_string()).into_iter().collect());
    let (queue, expectations) = (KeyQueue::default(), Arc::new(Expectations::default()));
    enqueue_on(&services, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    enqueue_on(&endpoints, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    let expected = expectations.clone();
    enqueue_on(&slices, &queue, move |delta| {
        let key = service_of(delta.object());
        if let (Delta::Added(_), Some(key)) = (delta, &key) {
            expected.creation_seen(key);
        }
        key.into_iter().collect()
    });
    if context.synced([listed(&services), listed(&endpoints), listed(&slices)]).await {
        let shared = context.clone();
        let controller = Mirroring { context, services, endpoints, slices, expectations };
        shared.drive(Arc::new(controller), queue).await;
    }
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    let ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    let namespace = slice.metadata.namespace.clone()?;
    labels.get(SERVICE_NAME).filter(|_| ours).map(|name| ObjectKey::new(namespace, name))
}

impl Reconciler for Mirroring {
    const NAME: &'static str = "endpointslice-mirroring-controller";
    const WORKERS: usize = 5;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        if !self.expectations.satisfied(key) {
            return Ok(Requeue::NEVER);
        }
        let existing = self.slices.cache().by_index(BY_MIRRORED, &key.to_string());
        let (service, endpoints) = (self.services.cache().get(key), self.endpoints.cache().get(key));
        let plan = match (service, endpoints) {
            (Some(service), Some(endpoints)) if is_mirrored(&service, &endpoints) => {
                plan_slices(&head(&endpoints), groups(&endpoints), &existing, None)
            }
            _ => Plan {
                delete: existing.iter().filter_map(|slice| slice.metadata.name.clone()).collect(),
                ..Plan::default()
            },
        };
        carry_out(&self.context, key, &self.expectations, plan).await.map(|()| Requeue::NEVER)
    }
}
