//! Empties a namespace that is being deleted, pods first, and then lets it go.
//!
//! Watches namespaces, and pods, whose end is what a deletion mostly waits for; the key is the namespace. All other
//! resources are found through discovery, so that custom resources are deleted like built-in ones.

mod content;
mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus, Pod};
use kube::api::PostParams;
use steersman_controller_runtime::{Delta, Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::conditions;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::discovery::discover;
use crate::error::{During, is_conflict, is_gone};
use content::{empty, pods_first};
use status::{Findings, conditions_of};

/// What the namespace controller itself holds a namespace with.
const FINALIZER: &str = "kubernetes";

/// Whether objects can still be made in the namespace.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

struct Namespaces {
    context: Context,
    namespaces: Arc<Informer<Namespace>>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (namespaces, pods) = (context.informer::<Namespace>(), context.informer::<Pod>());
    let queue = KeyQueue::default();
    enqueue_on(&namespaces, &queue, |delta| match delta {
        Delta::Added(namespace) | Delta::Updated { new: namespace, .. } if !is_active(namespace) => {
            vec![ObjectKey::of(&**namespace)]
        }
        _ => Vec::new(),
    });
    let watched = namespaces.clone();
    enqueue_on(&pods, &queue, move |delta| match delta {
        Delta::Deleted(pod) => {
            let key = ObjectKey::cluster(pod.metadata.namespace.clone().unwrap_or_default());
            let ending = watched.cache().get(&key).is_some_and(|namespace| !is_active(&namespace));
            if ending { vec![key] } else { Vec::new() }
        }
        Delta::Added(_) | Delta::Updated { .. } => Vec::new(),
    });
    if context.synced([listed(&namespaces)]).await {
        let controller = Namespaces { context: context.clone(), namespaces };
        context.drive(Arc::new(controller), queue).await;
    }
}

impl Reconciler for Namespaces {
    const NAME: &'static str = "namespace-controller";
    const WORKERS: usize = 10;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(namespace) = self.namespaces.cache().get(key) else { return Ok(Requeue::NEVER) };
        if namespace.metadata.deletion_timestamp.is_none() || !holds(&namespace) {
            return Ok(Requeue::NEVER);
        }
        let findings = self.empty(&key.name).await?;
        let namespace = self.write_status(&namespace, &findings).await?;
        if let Some(wait) = findings.wait() {
            return Ok(Requeue::after(wait));
        }
        if !findings.failures.is_empty() || !findings.undiscovered.is_empty() {
            return Err(ReconcileError::Unusable(findings.all_failures()));
        }
        self.let_go(namespace).await
    }
}

fn holds(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
    finalizers.into_iter().any(|finalizer| finalizer == FINALIZER)
}

impl Namespaces {
    /// Deletes what is in the namespace and says what is left.
    async fn empty(&self, namespace: &str) -> Result<Findings, ReconcileError> {
        let discovered = discover(&self.context.client).await.during("discovering the resources")?;
        let mut findings = Findings::after_discovery(discovered.failures);
        let deletable =
            |r: &&crate::discovery::ServedResource| r.namespaced && r.supports(&["delete", "list"]);
        let now = Timestamp::now();
        for resource in pods_first(discovered.resources.iter().filter(deletable)) {
            if resource.plural != "pods" && findings.pods_remain() {
                break; // what pods need goes after them
            }
            match empty(&self.context.client, resource, namespace).await {
                Ok(left) => findings.add(resource, &left, now),
                Err(error) => findings.failures.push(error.detail()),
            }
        }
        Ok(findings)
    }

    /// The namespace as it is after its conditions tell `findings`.
    async fn write_status(
        &self,
        namespace: &Namespace,
        findings: &Findings,
    ) -> Result<Namespace, ReconcileError> {
        let old = namespace.status.clone().unwrap_or_default();
        let conditions =
            conditions_of(old.conditions.as_deref().unwrap_or_default(), findings, &conditions::now());
        let new = NamespaceStatus { phase: Some("Terminating".to_owned()), conditions: Some(conditions) };
        if new == old {
            return Ok(namespace.clone());
        }
        let next = Namespace { status: Some(new), ..namespace.clone() };
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let api = self.context.cluster::<Namespace>();
        let written = api.replace_status(name, &PostParams::default(), &next).await;
        written.during("writing the namespace's status")
    }

    /// Takes our finalizer off; the server removes the namespace with the last one.
    async fn let_go(&self, mut namespace: Namespace) -> Result<Requeue, ReconcileError> {
        let spec = namespace.spec.get_or_insert_default();
        spec.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let api = self.context.cluster::<Namespace>();
        match api.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await {
            Err(error) if is_gone(&error) => Ok(Requeue::NEVER),
            Err(error) if is_conflict(&error) => Ok(Requeue::after(Duration::from_millis(50))),
            other => other.during("finalizing the namespace").map(|_| Requeue::NEVER),
        }
    }
}
