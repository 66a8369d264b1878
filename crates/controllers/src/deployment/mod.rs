//! Rolls a deployment's pod template out over replica sets, one per template.
//!
//! Watches deployments, replica sets, and the end of pods (a `Recreate` waits for the last one). A replica set maps to
//! the deployment that controls it, or, if nobody does, to those that could adopt it.

mod act;
mod plan;
mod sets;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use steersman_controller_runtime::{Delta, EventRecorder, Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::During;
use crate::ownership::{
    BY_CONTROLLER, Claim, adopt, claim, controller_key, controller_of, controller_reference,
    controller_values, orphans_of, release,
};
use crate::pods::is_terminal;
use crate::selectors::{selector, selects};
use plan::Limits;
use sets::{Rollout, replicas, wants_rescaling};
use status::{Progress, is_complete, next_progress_check, observed_status};

const COMPONENT: &str = "deployment-controller";

struct Deployments {
    context: Context,
    deployments: Arc<Informer<Deployment>>,
    sets: Arc<Informer<ReplicaSet>>,
    pods: Arc<Informer<Pod>>,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let deployments = context.informer::<Deployment>();
    let (sets, pods) = (context.informer::<ReplicaSet>(), context.informer::<Pod>());
    sets.cache().add_index(BY_CONTROLLER, controller_values);
    pods.cache().add_index(BY_CONTROLLER, controller_values);
    let queue = KeyQueue::default();
    enqueue_on(&deployments, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    let known = deployments.clone();
    enqueue_on(&sets, &queue, move |delta| on_set(&known, delta));
    let (known, known_sets) = (deployments.clone(), sets.clone());
    enqueue_on(&pods, &queue, move |delta| on_pod(&known, &known_sets, delta));
    if context.synced([listed(&deployments), listed(&sets), listed(&pods)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let controller = Deployments { context: context.clone(), deployments, sets, pods, recorder };
        tokio::join!(events.run(context.stop.clone()), context.drive(Arc::new(controller), queue));
    }
}

fn on_set(deployments: &Informer<Deployment>, delta: &Delta<ReplicaSet>) -> Vec<ObjectKey> {
    let set = delta.object();
    let mut keys: Vec<ObjectKey> = controller_key::<Deployment>(&set.metadata).into_iter().collect();
    if let Delta::Updated { old, .. } = delta {
        keys.extend(controller_key::<Deployment>(&old.metadata));
    }
    if controller_of(&set.metadata).is_none() && !matches!(delta, Delta::Deleted(_)) {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let could_adopt = deployments.cache().list_namespace(namespace).into_iter().filter(|deployment| {
            let chosen = selector(&deployment.spec.selector).ok();
            chosen.is_some_and(|selector| selects(&selector, set.metadata.labels.as_ref()))
        });
        keys.extend(could_adopt.map(|deployment| ObjectKey::of(&*deployment)));
    }
    keys
}

fn on_pod(
    deployments: &Informer<Deployment>,
    sets: &Informer<ReplicaSet>,
    delta: &Delta<Pod>,
) -> Vec<ObjectKey> {
    let Delta::Deleted(pod) = delta else { return Vec::new() };
    let set = controller_key::<ReplicaSet>(&pod.metadata).and_then(|key| sets.cache().get(&key));
    let key = set.and_then(|set| controller_key::<Deployment>(&set.metadata));
    let waits = |key: &ObjectKey| {
        deployments.cache().get(key).is_some_and(|deployment| !Limits::of(&deployment).rolling)
    };
    key.filter(waits).into_iter().collect()
}

impl Reconciler for Deployments {
    const NAME: &'static str = COMPONENT;
    const WORKERS: usize = 5;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(deployment) = self.deployments.cache().get(key) else { return Ok(Requeue::NEVER) };
        let now = Timestamp::now();
        let sets = self.claimed(&deployment).await?;
        let mut rollout = Rollout::new(&deployment, sets);
        self.number_revision(&mut rollout, now).await?;
        rollout.note_pause(now);
        let acted = self.advance(&mut rollout, now).await;
        let progress = *acted.as_ref().unwrap_or(&Progress::Unjudged);
        rollout.set_status(observed_status(&deployment, &rollout, progress, now));
        if rollout.differs_from(&deployment) {
            let api = self.context.namespaced::<Deployment>(&key.namespace);
            let written = api.replace_status(&key.name, &PostParams::default(), &rollout.deployment).await;
            written.unless_gone("writing the deployment's status")?;
        }
        acted?;
        Ok(next_progress_check(&rollout.deployment, now).map_or(Requeue::NEVER, Requeue::after))
    }
}

impl Deployments {
    /// Takes the next step, if there is one, and says whether the status should judge the rollout's progress.
    async fn advance(&self, rollout: &mut Rollout, now: Timestamp) -> Result<Progress, ReconcileError> {
        let limits = Limits::of(&rollout.deployment);
        if rollout.deployment.metadata.deletion_timestamp.is_some() {
            return Ok(Progress::Unjudged);
        }
        if rollout.is_paused() || wants_rescaling(rollout, &limits) {
            let sizes = plan::rescaled(
                &limits,
                rollout.status_replicas(),
                rollout.new_size().as_ref(),
                &rollout.old_sizes(),
            );
            self.resize(rollout, &limits, &sizes).await?;
            if rollout.is_paused() {
                self.clean_up(rollout).await?;
            }
            return Ok(Progress::Unjudged);
        }
        if !limits.rolling && !self.make_room(rollout, &limits).await? {
            return Ok(Progress::Judged);
        }
        self.ensure_new_set(rollout, &limits, now).await?;
        let sizes = plan::rolling(&limits, rollout.new_size().as_ref(), &rollout.old_sizes());
        self.resize(rollout, &limits, &sizes).await?;
        if sizes.is_empty() && is_complete(&rollout.deployment) {
            self.clean_up(rollout).await?;
        }
        Ok(Progress::Judged)
    }

    /// For `Recreate`: ends all old pods; true once none is left.
    async fn make_room(&self, rollout: &mut Rollout, limits: &Limits) -> Result<bool, ReconcileError> {
        let active = rollout.old.iter().filter(|set| replicas(set) > 0);
        let sizes: Vec<_> = active.map(|set| (set.metadata.name.clone().unwrap_or_default(), 0)).collect();
        self.resize(rollout, limits, &sizes).await?;
        Ok(sizes.is_empty() && !rollout.old.iter().any(|set| self.has_pods(set)))
    }

    fn has_pods(&self, set: &ReplicaSet) -> bool {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let pods = self.pods.cache().by_index(BY_CONTROLLER, uid);
        set.status.as_ref().is_some_and(|status| status.replicas > 0)
            || pods.iter().any(|pod| !is_terminal(pod))
    }

    /// The replica sets of the deployment, after it has adopted and released what it should.
    async fn claimed(&self, deployment: &Deployment) -> Result<Vec<Arc<ReplicaSet>>, ReconcileError> {
        let meta = &deployment.metadata;
        let (uid, namespace) =
            (meta.uid.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
        let selector = selector(&deployment.spec.clone().selector)?;
        let api = self.context.namespaced::<ReplicaSet>(namespace);
        let cache = self.sets.cache();
        let (mut kept, mut may_adopt) = (Vec::new(), None);
        let candidates = cache.by_index(BY_CONTROLLER, uid).into_iter();
        for set in candidates.chain(cache.by_index(BY_CONTROLLER, &orphans_of(namespace))) {
            match claim(&set.metadata, meta, &selector) {
                Claim::Keep => kept.push(set),
                Claim::Release => release(&api, &set.metadata, uid).await?,
                Claim::Adopt => {
                    if may_adopt.is_none() {
                        may_adopt = Some(self.still_there(deployment).await?);
                    }
                    if may_adopt == Some(true) {
                        adopt(&api, &set.metadata, controller_reference(deployment)).await?;
                        kept.push(set);
                    }
                }
                Claim::Leave => {}
            }
        }
        Ok(kept)
    }

    /// Whether the server still has this very deployment and nobody deletes it: the cache may be behind.
    async fn still_there(&self, deployment: &Deployment) -> Result<bool, ReconcileError> {
        let key = ObjectKey::of(deployment);
        let api = self.context.namespaced::<Deployment>(&key.namespace);
        let live = api.get_opt(&key.name).await.during("reading the deployment")?;
        Ok(live.is_some_and(|live| {
            live.metadata.uid == deployment.metadata.uid && live.metadata.deletion_timestamp.is_none()
        }))
    }
}
