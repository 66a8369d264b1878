//! Makes, sizes and deletes a deployment's replica sets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use steersman_controller_runtime::{EventType, ObjectRef};

use super::Deployments;
use super::plan::{Limits, Sizes, new_set_size};
use super::sets::{
    HASH_LABEL, REVISION, Rollout, comparable, replicas, revision, set_annotations, size_annotations,
    template, template_of,
};
use super::status::{PROGRESSING, condition_of, has_deadline, new_condition, set_condition};
use crate::ReconcileError;
use crate::error::{During, api_message, is_namespace_terminating, is_taken};
use crate::hash::template_hash;
use crate::ownership::{controller_of, controller_reference};
use crate::selectors::Labels;

/// The longest name of an object.
const MAX_NAME: usize = 253;

impl Deployments {
    /// Keeps the new set's revision, annotations and readiness rule as they should be, and the deployment's revision.
    pub(super) async fn number_revision(
        &self,
        rollout: &mut Rollout,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        let Some(set) = rollout.new.clone() else { return Ok(()) };
        let deployment = &rollout.deployment;
        let annotations = Some(set_annotations(deployment, Some(&set), rollout.next_revision(), None));
        let min_ready = deployment.spec.min_ready_seconds;
        let mut spec = set.spec.clone();
        if annotations != set.metadata.annotations
            || spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0)
        {
            spec.min_ready_seconds = min_ready;
            let metadata = ObjectMeta { annotations, ..set.metadata.clone() };
            let next = ReplicaSet { metadata, spec, status: set.status.clone() };
            let updated = self.replace(&next).await?;
            rollout.put(updated);
        }
        let annotations = rollout.new.as_ref().and_then(|set| set.metadata.annotations.as_ref());
        if let Some(revision) = annotations.and_then(|all| all.get(REVISION)).cloned() {
            rollout.set_revision(revision);
        }
        if condition_of(&rollout.deployment, PROGRESSING).is_none() {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Found new replica set \"{name}\"");
            note_progress(rollout, "True", "FoundNewReplicaSet", message, now);
        }
        Ok(())
    }

    /// Makes the set of the current template if there is none.
    pub(super) async fn ensure_new_set(
        &self,
        rollout: &mut Rollout,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        if rollout.new.is_some() {
            return Ok(());
        }
        let wanted = new_set(rollout, limits);
        let namespace = wanted.metadata.namespace.clone().unwrap_or_default();
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let api = self.context.namespaced::<ReplicaSet>(&namespace);
        let about = ObjectRef::of(&rollout.deployment);
        let set = match api.create(&PostParams::default(), &wanted).await {
            Ok(set) => {
                let size = replicas(&set);
                if size > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {size}");
                    self.recorder.event(&about, EventType::Normal, "ScalingReplicaSet", message);
                }
                let message = format!("Created new replica set \"{name}\"");
                note_progress(rollout, "True", "NewReplicaSetCreated", message, now);
                set
            }
            Err(error) if is_taken(&error) => self.existing(rollout, &namespace, &name).await?,
            Err(error) if is_namespace_terminating(&error) => {
                return Err(error).during("creating a replica set");
            }
            Err(error) => {
                let message = format!("Failed to create new replica set \"{name}\": {}", api_message(&error));
                note_progress(rollout, "False", "ReplicaSetCreateError", message.clone(), now);
                self.recorder.event(&about, EventType::Warning, "ReplicaSetCreateError", message);
                return Err(error).during("creating a replica set");
            }
        };
        if let Some(revision) = revision(&set) {
            rollout.set_revision(revision.to_string());
        }
        rollout.new = Some(set.into());
        Ok(())
    }

    /// The set that has the name already: ours, not yet in the cache; or another, whose template's hash is the same.
    async fn existing(
        &self,
        rollout: &mut Rollout,
        namespace: &str,
        name: &str,
    ) -> Result<ReplicaSet, ReconcileError> {
        let api = self.context.namespaced::<ReplicaSet>(namespace);
        let set = api.get(name).await.during("reading a replica set")?;
        let ours = controller_of(&set.metadata)
            .is_some_and(|owner| Some(&owner.uid) == rollout.deployment.metadata.uid.as_ref());
        if ours && comparable(template_of(&set)) == comparable(Some(&template(&rollout.deployment))) {
            return Ok(set);
        }
        let status = rollout.deployment.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        Err(ReconcileError::Unusable(format!("the hash of the pod template collides with that of {name}")))
    }

    /// Gives each named set its size, and tells it the deployment's.
    pub(super) async fn resize(
        &self,
        rollout: &mut Rollout,
        limits: &Limits,
        sizes: &Sizes,
    ) -> Result<(), ReconcileError> {
        for (name, size) in sizes {
            let Some(set) = rollout.find(name) else { continue };
            let before = replicas(&set);
            let mut next = (*set).clone();
            next.metadata.annotations.get_or_insert_default().extend(size_annotations(limits));
            next.spec.replicas = Some(*size);
            if next == *set {
                continue;
            }
            let updated = self.replace(&next).await?;
            rollout.put(updated);
            if before != *size {
                let way = if before < *size { "up" } else { "down" };
                let message = format!("Scaled {way} replica set {name} from {before} to {size}");
                let about = ObjectRef::of(&rollout.deployment);
                self.recorder.event(&about, EventType::Normal, "ScalingReplicaSet", message);
            }
        }
        Ok(())
    }

    /// Deletes the oldest revisions beyond the history limit, as far as they have no pods.
    pub(super) async fn clean_up(&self, rollout: &Rollout) -> Result<(), ReconcileError> {
        let limit = rollout.deployment.spec.revision_history_limit;
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return Ok(()) };
        let mut kept: Vec<_> =
            rollout.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        kept.sort_by_key(|set| revision(set));
        let surplus = kept.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        for set in kept.into_iter().take(surplus).filter(|set| is_idle(set)) {
            let meta = &set.metadata;
            let name = meta.name.as_deref().unwrap_or_default();
            let as_seen =
                Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
            let api = self.context.namespaced::<ReplicaSet>(meta.namespace.as_deref().unwrap_or_default());
            let deleted = api.delete(name, &DeleteParams::background().preconditions(as_seen)).await;
            deleted.unless_gone(format!("deleting the replica set {name}"))?;
        }
        Ok(())
    }

    /// Writes a set as it should be; fails if it changed since it was read.
    async fn replace(&self, set: &ReplicaSet) -> Result<ReplicaSet, ReconcileError> {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let api =
            self.context.namespaced::<ReplicaSet>(set.metadata.namespace.as_deref().unwrap_or_default());
        api.replace(name, &PostParams::default(), set)
            .await
            .during(format!("updating the replica set {name}"))
    }
}

/// Whether the set has no pods and wants none, and its controller knows.
fn is_idle(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    status.replicas == 0 && replicas(set) == 0 && status.observed_generation >= set.metadata.generation
}

fn note_progress(rollout: &mut Rollout, status: &str, reason: &str, message: String, now: Timestamp) {
    if has_deadline(&rollout.deployment) {
        let condition = new_condition(PROGRESSING, status, reason, message, now);
        set_condition(rollout.deployment.status.get_or_insert_default(), condition);
    }
}

/// The set for the deployment's template, named and labelled by the template's hash.
fn new_set(rollout: &Rollout, limits: &Limits) -> ReplicaSet {
    let deployment = &rollout.deployment;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let mut template = template(deployment);
    let hash = template_hash(&comparable(Some(&template)), collisions);
    let total = rollout.old.iter().map(|set| replicas(set)).sum();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let spec = deployment.spec.clone();
    let metadata = ObjectMeta {
        name: Some(set_name(deployment, &hash)),
        namespace: deployment.metadata.namespace.clone(),
        labels: Some(labels.clone()),
        annotations: Some(set_annotations(deployment, None, rollout.next_revision(), Some(limits))),
        owner_references: Some(vec![controller_reference(deployment)]),
        ..ObjectMeta::default()
    };
    let spec = ReplicaSetSpec {
        replicas: Some(new_set_size(limits, 0, total)),
        min_ready_seconds: spec.min_ready_seconds,
        selector: with_hash(spec.selector, hash),
        template: Some(template),
    };
    ReplicaSet { metadata, spec, status: None }
}

fn with_hash(mut selector: LabelSelector, hash: String) -> LabelSelector {
    let labels: &mut Labels = selector.match_labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash);
    selector
}

fn set_name(deployment: &Deployment, hash: &str) -> String {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let most = MAX_NAME - hash.len() - 1;
    format!("{}-{hash}", name.get(..most).unwrap_or(name))
}
