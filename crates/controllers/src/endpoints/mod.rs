//! Tells in the older `Endpoints` objects which pods stand behind each service that has a selector.
//!
//! Watches services, pods and endpoints; the key is the service, whose name the endpoints have.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{DeleteParams, PostParams, Preconditions};
use steersman_controller_runtime::{
    Delta, EventRecorder, EventType, Informer, ObjectKey, ObjectRef, Requeue,
};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::{During, is_namespace_terminating};
use crate::service_pods::{TriggerTimes, enqueue_services_of_pods, members, selector_of};
use plan::{Plan, plan, subsets};

const COMPONENT: &str = "endpoint-controller";

struct EndpointsController {
    context: Context,
    services: Arc<Informer<Service>>,
    pods: Arc<Informer<Pod>>,
    endpoints: Arc<Informer<Endpoints>>,
    triggers: TriggerTimes,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (services, pods) = (context.informer::<Service>(), context.informer::<Pod>());
    let endpoints = context.informer::<Endpoints>();
    let queue = KeyQueue::default();
    enqueue_on(&services, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    enqueue_services_of_pods(&services, &pods, &queue);
    enqueue_on(&endpoints, &queue, |delta| match delta {
        Delta::Deleted(gone) => vec![ObjectKey::of(&**gone)],
        Delta::Added(_) | Delta::Updated { .. } => Vec::new(),
    });
    if context.synced([listed(&services), listed(&pods), listed(&endpoints)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let (shared, triggers) = (context.clone(), TriggerTimes::default());
        let controller = EndpointsController { context, services, pods, endpoints, triggers, recorder };
        tokio::join!(events.run(shared.stop.clone()), shared.drive(Arc::new(controller), queue));
    }
}

impl Reconciler for EndpointsController {
    const NAME: &'static str = "endpoints-controller";
    const WORKERS: usize = 5;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let current = self.endpoints.cache().get(key);
        let Some(service) = self.services.cache().get(key) else {
            self.triggers.forget(key);
            return self.remove(key, current).await.map(|()| Requeue::NEVER);
        };
        if selector_of(&service).is_none() {
            return Ok(Requeue::NEVER); // somebody else writes them
        }
        let members = members(&service, &self.pods);
        let trigger = self.triggers.since_last(&service, &members);
        let plan = plan(&service, subsets(&service, &members), current.as_deref(), trigger);
        self.carry_out(key, plan).await.map(|()| Requeue::NEVER)
    }
}

impl EndpointsController {
    async fn remove(&self, key: &ObjectKey, current: Option<Arc<Endpoints>>) -> Result<(), ReconcileError> {
        let Some(current) = current else { return Ok(()) };
        let this_one = Preconditions { uid: current.metadata.uid.clone(), resource_version: None };
        let api = self.context.namespaced::<Endpoints>(&key.namespace);
        let deleted = api.delete(&key.name, &DeleteParams::default().preconditions(this_one)).await;
        deleted.unless_gone("deleting the endpoints").map(drop)
    }

    async fn carry_out(&self, key: &ObjectKey, plan: Plan) -> Result<(), ReconcileError> {
        let api = self.context.namespaced::<Endpoints>(&key.namespace);
        let (about, result) = match &plan {
            Plan::Settled => return Ok(()),
            Plan::Create(new) => (new, api.create(&PostParams::default(), new).await),
            Plan::Update(new) => (new, api.replace(&key.name, &PostParams::default(), new).await),
        };
        let ends = result.as_ref().err().is_some_and(is_namespace_terminating);
        let written = if ends { Ok(()) } else { result.map(drop).during("writing the endpoints") };
        if let Some(error) = written.as_ref().err().filter(|error| !error.is_stale()) {
            let (reason, message) = failure(&plan, key, &error.detail());
            self.recorder.event(&ObjectRef::of(about), EventType::Warning, reason, message);
        }
        written
    }
}

/// Reason and message of the event about a plan that was not carried out.
fn failure(plan: &Plan, key: &ObjectKey, said: &str) -> (&'static str, String) {
    match plan {
        Plan::Create(_) => {
            ("FailedToCreateEndpoint", format!("Failed to create endpoint for service {key}: {said}"))
        }
        Plan::Settled | Plan::Update(_) => {
            ("FailedToUpdateEndpoint", format!("Failed to update endpoint {key}: {said}"))
        }
    }
}
