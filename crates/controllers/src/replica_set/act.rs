//! Makes and deletes a replica set's pods, expecting to see what it did.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use steersman_controller_runtime::{EventType, ObjectKey, ObjectRef};

use super::ReplicaSets;
use super::plan::Plan;
use crate::ReconcileError;
use crate::error::{During, api_message, is_gone, is_namespace_terminating};
use crate::ownership::controller_reference;

impl ReplicaSets {
    /// Does what the plan says; gives the first failure.
    pub(super) async fn carry_out(
        &self,
        key: &ObjectKey,
        set: &ReplicaSet,
        plan: Plan,
    ) -> Result<(), ReconcileError> {
        match plan {
            Plan::Settled => Ok(()),
            Plan::Create(count) => self.create(key, set, count).await,
            Plan::Delete(pods) => self.delete(key, set, &pods).await,
        }
    }

    /// Creates in batches of one, two, four, …, so that what is bound to fail fails once, not five hundred times.
    async fn create(&self, key: &ObjectKey, set: &ReplicaSet, count: usize) -> Result<(), ReconcileError> {
        self.expectations.expect_creations(key, count);
        let pod = new_pod(set);
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            let size = batch.min(left);
            let results = join_all((0..size).map(|_| self.create_one(key, set, &pod))).await;
            left -= size;
            batch = size * 2;
            if let Some(failure) = results.into_iter().find_map(Result::err) {
                (0..left).for_each(|_| self.expectations.creation_seen(key));
                return Err(failure);
            }
        }
        Ok(())
    }

    async fn create_one(&self, key: &ObjectKey, set: &ReplicaSet, pod: &Pod) -> Result<(), ReconcileError> {
        let api = self.context.namespaced::<Pod>(&key.namespace);
        let about = ObjectRef::of(set);
        match api.create(&PostParams::default(), pod).await {
            Ok(made) => {
                let message = format!("Created pod: {}", made.metadata.name.unwrap_or_default());
                self.recorder.event(&about, EventType::Normal, "SuccessfulCreate", message);
                Ok(())
            }
            Err(error) => {
                self.expectations.creation_seen(key);
                if is_namespace_terminating(&error) {
                    return Ok(()); // the set goes with its namespace
                }
                let message = format!("Error creating: {}", api_message(&error));
                self.recorder.event(&about, EventType::Warning, "FailedCreate", message);
                Err(error).during("creating a pod")
            }
        }
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        set: &ReplicaSet,
        pods: &[Arc<Pod>],
    ) -> Result<(), ReconcileError> {
        let uids = pods.iter().filter_map(|pod| pod.metadata.uid.clone());
        self.expectations.expect_deletions(key, uids);
        let results = join_all(pods.iter().map(|pod| self.delete_one(key, set, pod))).await;
        results.into_iter().collect()
    }

    async fn delete_one(&self, key: &ObjectKey, set: &ReplicaSet, pod: &Pod) -> Result<(), ReconcileError> {
        let api = self.context.namespaced::<Pod>(&key.namespace);
        let (about, uid) = (ObjectRef::of(set), pod.metadata.uid.clone());
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let this_one = Preconditions { uid: uid.clone(), resource_version: None };
        match api.delete(name, &DeleteParams::default().preconditions(this_one)).await {
            Ok(_) => {
                let message = format!("Deleted pod: {name}");
                self.recorder.event(&about, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) => {
                self.expectations.deletion_seen(key, uid.as_deref().unwrap_or_default());
                if is_gone(&error) {
                    return Ok(());
                }
                let message = format!("Error deleting: {}", api_message(&error));
                self.recorder.event(&about, EventType::Warning, "FailedDelete", message);
                Err(error).during(format!("deleting the pod {name}"))
            }
        }
    }
}

/// A pod as the set's template describes it, controlled by the set.
fn new_pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.template.clone();
    let PodTemplateSpec { metadata, spec } = template.unwrap_or_default();
    let described = metadata.unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", set.metadata.name.as_deref().unwrap_or_default())),
            namespace: set.metadata.namespace.clone(),
            labels: described.labels,
            annotations: described.annotations,
            finalizers: described.finalizers,
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}
