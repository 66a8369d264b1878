//! Keeps as many pods of a replica set as it asks for.
//!
//! Watches replica sets and pods. A pod maps to the replica set that controls it; one that nobody controls maps to
//! every replica set of its namespace that could adopt it.

mod act;
mod plan;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use steersman_controller_runtime::{Delta, EventRecorder, Expectations, Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, listed};
use crate::error::During;
use crate::ownership::{
    BY_CONTROLLER, Claim, adopt, claim, controller_key, controller_of, controller_reference,
    controller_values, orphans_of, release,
};
use crate::pods::{is_active, is_deleting};
use crate::selectors::{selector, selects};
use plan::plan;
use status::{next_availability, observed_status};

const COMPONENT: &str = "replicaset-controller";

struct ReplicaSets {
    context: Context,
    sets: Arc<Informer<ReplicaSet>>,
    pods: Arc<Informer<Pod>>,
    expectations: Arc<Expectations>,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (sets, pods) = (context.informer::<ReplicaSet>(), context.informer::<Pod>());
    pods.cache().add_index(BY_CONTROLLER, controller_values);
    let (queue, expectations) = (KeyQueue::default(), Arc::new(Expectations::default()));
    let set_queue = queue.clone();
    sets.add_handler(move |delta| set_queue.add(ObjectKey::of(&**delta.object())));
    let changes = PodChanges { sets: sets.clone(), queue: queue.clone(), expectations: expectations.clone() };
    pods.add_handler(move |delta| changes.on_pod(delta));
    if context.synced([listed(&sets), listed(&pods)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let controller = ReplicaSets { context: context.clone(), sets, pods, expectations, recorder };
        tokio::join!(events.run(context.stop.clone()), context.drive(Arc::new(controller), queue));
    }
}

/// Maps changes of pods to replica sets.
struct PodChanges {
    sets: Arc<Informer<ReplicaSet>>,
    queue: KeyQueue,
    expectations: Arc<Expectations>,
}

impl PodChanges {
    fn on_pod(&self, delta: &Delta<Pod>) {
        match delta {
            Delta::Added(pod) if is_deleting(pod) => self.gone(pod),
            Delta::Added(pod) => match self.owner(pod) {
                Some(owner) => {
                    self.expectations.creation_seen(&owner);
                    self.queue.add(owner);
                }
                None => self.offer(pod),
            },
            Delta::Updated { old, new } => self.updated(old, new),
            Delta::Deleted(pod) => self.gone(pod),
        }
    }

    fn updated(&self, old: &Pod, new: &Pod) {
        if is_deleting(new) {
            self.gone(new);
        }
        let same_owner = controller_of(&old.metadata) == controller_of(&new.metadata);
        if !same_owner {
            self.owner(old).into_iter().for_each(|owner| self.queue.add(owner));
        }
        match self.owner(new) {
            Some(owner) => self.queue.add(owner),
            None if !same_owner || old.metadata.labels != new.metadata.labels => self.offer(new),
            None => {}
        }
    }

    fn gone(&self, pod: &Pod) {
        if let Some(owner) = self.owner(pod) {
            self.expectations.deletion_seen(&owner, pod.metadata.uid.as_deref().unwrap_or_default());
            self.queue.add(owner);
        }
    }

    /// The replica set that controls the pod, if it is still the one that the reference means.
    fn owner(&self, pod: &Pod) -> Option<ObjectKey> {
        let key = controller_key::<ReplicaSet>(&pod.metadata)?;
        let uid = &controller_of(&pod.metadata)?.uid;
        let set = self.sets.cache().get(&key)?;
        (set.metadata.uid.as_ref() == Some(uid)).then_some(key)
    }

    /// Wakes the replica sets that could adopt a pod without a controller.
    fn offer(&self, pod: &Pod) {
        if controller_of(&pod.metadata).is_some() {
            return;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        for set in self.sets.cache().list_namespace(namespace) {
            let chosen = selector(&set.spec.selector).ok();
            if chosen.is_some_and(|selector| selects(&selector, pod.metadata.labels.as_ref())) {
                self.queue.add(ObjectKey::of(&*set));
            }
        }
    }
}

impl Reconciler for ReplicaSets {
    const NAME: &'static str = COMPONENT;
    const WORKERS: usize = 5;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(set) = self.sets.cache().get(key) else {
            self.expectations.forget(key);
            return Ok(Requeue::NEVER); // its pods are the garbage collector's now
        };
        let (settled, now) = (self.expectations.satisfied(key), Timestamp::now());
        let pods = self.claimed(&set).await?;
        let mut acted = Ok(());
        if settled && set.metadata.deletion_timestamp.is_none() {
            acted = self.carry_out(key, &set, plan(wanted(&set), &pods, now)).await;
        }
        // Status is written even when acting failed: it is how the failure is seen.
        let status = observed_status(&set, &pods, acted.as_ref().err(), now);
        if set.status.as_ref() != Some(&status) {
            let next = ReplicaSet { status: Some(status), ..(*set).clone() };
            let api = self.context.namespaced::<ReplicaSet>(&key.namespace);
            let written = api.replace_status(&key.name, &PostParams::default(), &next).await;
            written.unless_gone("writing the replica set's status")?;
        }
        acted?;
        Ok(next_availability(&set, &pods, now).map_or(Requeue::NEVER, Requeue::after))
    }
}

fn wanted(set: &ReplicaSet) -> usize {
    let replicas = set.spec.replicas.unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}

impl ReplicaSets {
    /// The active pods of the set, after it has adopted and released what it should.
    async fn claimed(&self, set: &Arc<ReplicaSet>) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let spec = set.spec.clone();
        let (selector, namespace) =
            (selector(&spec.selector)?, set.metadata.namespace.as_deref().unwrap_or_default());
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let api = self.context.namespaced::<Pod>(namespace);
        let (mut kept, mut may_adopt) = (Vec::new(), None);
        let cache = self.pods.cache();
        let candidates = cache.by_index(BY_CONTROLLER, uid).into_iter();
        for pod in candidates.chain(cache.by_index(BY_CONTROLLER, &orphans_of(namespace))) {
            if !is_active(&pod) {
                continue;
            }
            match claim(&pod.metadata, &set.metadata, &selector) {
                Claim::Keep => kept.push(pod),
                Claim::Release => release(&api, &pod.metadata, uid).await?,
                Claim::Adopt => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.still_there(set).await?);
                    }
                    if may_adopt == Some(true) {
                        adopt(&api, &pod.metadata, controller_reference(&**set)).await?;
                        kept.push(pod);
                    }
                }
                Claim::Leave => {}
            }
        }
        Ok(kept)
    }

    /// Whether the server still has this very set and nobody deletes it: the cache may be behind.
    async fn still_there(&self, set: &ReplicaSet) -> Result<bool, ReconcileError> {
        let key = ObjectKey::of(set);
        let api = self.context.namespaced::<ReplicaSet>(&key.namespace);
        let live = api.get_opt(&key.name).await.during("reading the replica set")?;
        Ok(live.is_some_and(|live| {
            live.metadata.uid == set.metadata.uid && live.metadata.deletion_timestamp.is_none()
        }))
    }
}
