//! Keeps a `default` service account in every namespace.
//!
//! Watches namespaces and the service accounts of that name; the key is the namespace.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use steersman_controller_runtime::{Delta, Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::{During, is_namespace_terminating, is_taken};
use crate::namespace::is_active;

const DEFAULT: &str = "default";

struct ServiceAccounts {
    context: Context,
    namespaces: Arc<Informer<Namespace>>,
    accounts: Arc<Informer<ServiceAccount>>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let namespaces = context.informer::<Namespace>();
    let accounts = context.informers.selected::<ServiceAccount>("metadata.name=default");
    let queue = KeyQueue::default();
    enqueue_on(&namespaces, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    enqueue_on(&accounts, &queue, |delta| match delta {
        Delta::Deleted(gone) => gone.metadata.namespace.iter().map(ObjectKey::cluster).collect(),
        Delta::Added(_) | Delta::Updated { .. } => Vec::new(),
    });
    if context.synced([listed(&namespaces), listed(&accounts)]).await {
        let controller = ServiceAccounts { context: context.clone(), namespaces, accounts };
        context.drive(Arc::new(controller), queue).await;
    }
}

impl Reconciler for ServiceAccounts {
    const NAME: &'static str = "serviceaccount-controller";
    const WORKERS: usize = 1;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let namespace = key.name.as_str();
        let active = self.namespaces.cache().get(key).is_some_and(|namespace| is_active(&namespace));
        let there = self.accounts.cache().get(&ObjectKey::new(namespace, DEFAULT)).is_some();
        if !active || there {
            return Ok(Requeue::NEVER);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(DEFAULT.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let api = self.context.namespaced::<ServiceAccount>(namespace);
        match api.create(&PostParams::default(), &account).await {
            Err(error) if is_taken(&error) || is_namespace_terminating(&error) => Ok(Requeue::NEVER),
            other => other.during("creating the default service account").map(|_| Requeue::NEVER),
        }
    }
}
