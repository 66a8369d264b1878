//! Tells in endpoint slices which pods stand behind each service that has a selector.
//!
//! Watches services, pods, slices and nodes (for zones); the key is the service.

mod endpoints;
mod plan;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, PostParams};
use steersman_controller_runtime::{
    Delta, EventRecorder, EventType, Expectations, Informer, ObjectKey, ObjectRef, Requeue,
};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::{During, is_namespace_terminating};
use crate::service_pods::{TriggerTimes, enqueue_services_of_pods, members, selector_of};
pub(crate) use endpoints::Group;
use endpoints::groups;
pub(crate) use plan::{Head, Plan, plan};

const COMPONENT: &str = "endpoint-slice-controller";
const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The index of slices by the service and the manager that their labels name.
const BY_SERVICE: &str = "endpoint-slice.service";

struct EndpointSlices {
    context: Context,
    services: Arc<Informer<Service>>,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
    slices: Arc<Informer<EndpointSlice>>,
    expectations: Arc<Expectations>,
    triggers: TriggerTimes,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (services, pods) = (context.informer::<Service>(), context.informer::<Pod>());
    let (nodes, slices) = (context.informer::<Node>(), context.informer::<EndpointSlice>());
    slices.cache().add_index(BY_SERVICE, by_service);
    let (queue, expectations) = (KeyQueue::default(), Arc::new(Expectations::default()));
    enqueue_on(&services, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    enqueue_services_of_pods(&services, &pods, &queue);
    let expected = expectations.clone();
    enqueue_on(&slices, &queue, move |delta| on_slice(&expected, delta));
    if context.synced([listed(&services), listed(&pods), listed(&nodes), listed(&slices)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let triggers = TriggerTimes::default();
        let parts = (context.clone(), context.stop.clone());
        let controller =
            EndpointSlices { context, services, pods, nodes, slices, expectations, triggers, recorder };
        tokio::join!(events.run(parts.1), parts.0.drive(Arc::new(controller), queue));
    }
}

fn by_service(slice: &EndpointSlice) -> Vec<String> {
    service_of(slice).map(|key| key.to_string()).into_iter().collect()
}

/// The service of a slice that is ours.
fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    let ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    let namespace = slice.metadata.namespace.clone()?;
    labels.get(SERVICE_NAME).filter(|_| ours).map(|name| ObjectKey::new(namespace, name))
}

fn on_slice(expectations: &Expectations, delta: &Delta<EndpointSlice>) -> Vec<ObjectKey> {
    let mut keys: Vec<ObjectKey> = service_of(delta.object()).into_iter().collect();
    match delta {
        Delta::Added(_) => keys.iter().for_each(|key| expectations.creation_seen(key)),
        Delta::Updated { old, .. } => keys.extend(service_of(old)),
        Delta::Deleted(_) => {}
    }
    keys
}

impl Reconciler for EndpointSlices {
    const NAME: &'static str = "endpointslice-controller";
    const WORKERS: usize = 5;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(service) = self.services.cache().get(key) else {
            self.expectations.forget(key);
            self.triggers.forget(key);
            return Ok(Requeue::NEVER); // its slices are the garbage collector's now
        };
        let deleting = service.metadata.deletion_timestamp.is_some();
        if selector_of(&service).is_none() || deleting || !self.expectations.satisfied(key) {
            return Ok(Requeue::NEVER);
        }
        let members = members(&service, &self.pods);
        let groups = groups(&service, &members, |node| {
            self.nodes.cache().get(&ObjectKey::cluster(node)).and_then(|node| zone(&node))
        });
        let existing = self.slices.cache().by_index(BY_SERVICE, &key.to_string());
        let trigger = self.triggers.since_last(&service, &members);
        let plan = plan(&Head::of_service(&service), groups, &existing, trigger);
        let written = carry_out(&self.context, key, &self.expectations, plan).await;
        if let Some(error) = written.as_ref().err().filter(|error| !error.is_stale()) {
            self.report(&service, &error.detail());
        }
        written.map(|()| Requeue::NEVER)
    }
}

fn zone(node: &Node) -> Option<String> {
    node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned()
}

impl EndpointSlices {
    fn report(&self, service: &Service, error: &str) {
        let about = ObjectRef::of(service);
        let message = format!(
            "Error updating Endpoint Slices for Service {}/{}: {}",
            about.namespace, about.name, error
        );
        self.recorder.event(&about, EventType::Warning, "FailedToUpdateEndpointSlices", message);
    }
}

/// Writes what the plan says; `expectations` is told of each slice that is made for `key`.
pub(crate) async fn carry_out(
    context: &Context,
    key: &ObjectKey,
    expectations: &Expectations,
    plan: Plan,
) -> Result<(), ReconcileError> {
    let (api, params) = (context.namespaced::<EndpointSlice>(&key.namespace), PostParams::default());
    for slice in &plan.create {
        expectations.expect_creations(key, 1);
        if let Err(error) = api.create(&params, slice).await {
            expectations.creation_seen(key);
            if is_namespace_terminating(&error) {
                return Ok(());
            }
            return Err(error).during("creating an endpoint slice");
        }
    }
    for slice in &plan.update {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        let updated = api.replace(name, &params, slice).await;
        updated.unless_gone(format!("updating the endpoint slice {name}"))?;
    }
    for name in &plan.delete {
        let deleted = api.delete(name, &DeleteParams::default()).await;
        deleted.unless_gone(format!("deleting the endpoint slice {name}"))?;
    }
    Ok(())
}
