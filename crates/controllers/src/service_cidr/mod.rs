//! Keeps service ranges until no service has an address of theirs: each has a finalizer, which goes when the range is being
//! deleted and every address is in another range too.
//!
//! Watches service CIDRs and IP addresses; the key is the service CIDR.

mod plan;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use steersman_controller_runtime::{
    Delta, EventRecorder, EventType, Informer, ObjectKey, ObjectRef, Requeue,
};

use crate::ReconcileError;
use crate::conditions::now;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::During;
use plan::{FINALIZER, Plan, READY, Ready, is_deleting, plan};

struct ServiceCidrs {
    context: Context,
    ranges: Arc<Informer<ServiceCIDR>>,
    addresses: Arc<Informer<IPAddress>>,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (ranges, addresses) = (context.informer::<ServiceCIDR>(), context.informer::<IPAddress>());
    let queue = KeyQueue::default();
    // A new range may hold what keeps those that are going, and so may an address that is gone.
    let source = Arc::downgrade(&ranges);
    let going = move || {
        let ranges = source.upgrade().map(|ranges| ranges.cache().list()).unwrap_or_default();
        let going = ranges.iter().filter(|range| is_deleting(range));
        going.map(|range| ObjectKey::of(&**range)).collect::<Vec<_>>()
    };
    let others = going.clone();
    enqueue_on(&ranges, &queue, move |delta| {
        let mut keys = vec![ObjectKey::of(&**delta.object())];
        if matches!(delta, Delta::Added(_)) {
            keys.extend(others());
        }
        keys
    });
    enqueue_on(&addresses, &queue, move |delta| match delta {
        Delta::Added(_) | Delta::Deleted(_) => going(),
        Delta::Updated { .. } => Vec::new(),
    });
    if context.synced([listed(&ranges), listed(&addresses)]).await {
        let (recorder, events) = context.recorder(ServiceCidrs::NAME);
        let shared = context.clone();
        let controller = ServiceCidrs { context, ranges, addresses, recorder };
        tokio::join!(events.run(shared.stop.clone()), shared.drive(Arc::new(controller), queue));
    }
}

impl Reconciler for ServiceCidrs {
    const NAME: &'static str = "service-cidr-controller";
    const WORKERS: usize = 1;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(range) = self.ranges.cache().get(key) else { return Ok(Requeue::NEVER) };
        match plan(&range, &self.ranges.cache().list(), &self.addresses.cache().list(), Timestamp::now()) {
            Plan::Keep { add_finalizer, ready } => {
                if add_finalizer {
                    self.patch(&key.name, json!({"finalizers": [FINALIZER]})).await?;
                }
                let told = self.set_ready(&key.name, ready).await;
                if told.is_err() {
                    let message = "The ServiceCIDR Status can not be set to Ready=True";
                    let about = ObjectRef::of(&*range);
                    self.recorder.event(&about, EventType::Warning, "KubernetesServiceCIDRError", message);
                }
                told?;
            }
            Plan::Blocked(ready) => self.set_ready(&key.name, ready).await?,
            Plan::Wait(time) => return Ok(Requeue::after(time)),
            Plan::Release => {
                self.patch(&key.name, json!({"$deleteFromPrimitiveList/finalizers": [FINALIZER]})).await?;
            }
            Plan::Settled => {}
        }
        Ok(Requeue::NEVER)
    }
}

impl ServiceCidrs {
    async fn patch(&self, name: &str, metadata: Value) -> Result<(), ReconcileError> {
        let patch = Patch::Strategic(json!({"metadata": metadata}));
        let api = self.context.cluster::<ServiceCIDR>();
        let patched = api.patch(name, &PatchParams::default(), &patch).await;
        patched.unless_gone("changing the finalizers").map(drop)
    }

    async fn set_ready(&self, name: &str, ready: Option<Ready>) -> Result<(), ReconcileError> {
        let Some(ready) = ready else { return Ok(()) };
        let patch = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name},
            "status": {"conditions": [{"type": READY, "status": ready.status, "reason": ready.reason,
                "message": ready.message, "lastTransitionTime": now()}]},
        });
        let params = PatchParams::apply(Self::NAME).force();
        let api = self.context.cluster::<ServiceCIDR>();
        let applied = api.patch_status(name, &params, &Patch::Apply(patch)).await;
        applied.unless_gone("writing the condition").map(drop)
    }
}
