//! Publishes the cluster's CA bundle as the config map `kube-root-ca.crt` in every namespace.
//!
//! Watches namespaces and the config maps of that name; the key is the namespace.

mod plan;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::PostParams;
use steersman_controller_runtime::{Informer, ObjectKey, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::{During, is_namespace_terminating, is_taken};
use crate::namespace::is_active;
use plan::{NAME, Plan, plan};

struct RootCa {
    context: Context,
    namespaces: Arc<Informer<Namespace>>,
    maps: Arc<Informer<ConfigMap>>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let namespaces = context.informer::<Namespace>();
    let maps = context.informers.selected::<ConfigMap>("metadata.name=kube-root-ca.crt");
    let queue = KeyQueue::default();
    enqueue_on(&namespaces, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    enqueue_on(&maps, &queue, |delta| {
        delta.object().metadata.namespace.iter().map(ObjectKey::cluster).collect()
    });
    if context.synced([listed(&namespaces), listed(&maps)]).await {
        let controller = RootCa { context: context.clone(), namespaces, maps };
        context.drive(Arc::new(controller), queue).await;
    }
}

impl Reconciler for RootCa {
    const NAME: &'static str = "root-ca-certificate-publisher-controller";
    const WORKERS: usize = 1;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let namespace = key.name.as_str();
        if !self.namespaces.cache().get(key).is_some_and(|namespace| is_active(&namespace)) {
            return Ok(Requeue::NEVER);
        }
        let api = self.context.namespaced::<ConfigMap>(namespace);
        let current = self.maps.cache().get(&ObjectKey::new(namespace, NAME));
        let written = match plan(current.as_deref(), namespace, &self.context.config.root_ca) {
            Plan::Settled => return Ok(Requeue::NEVER),
            Plan::Create(map) => api.create(&PostParams::default(), &map).await,
            Plan::Update(map) => api.replace(NAME, &PostParams::default(), &map).await,
        };
        match written {
            Err(error) if is_taken(&error) || is_namespace_terminating(&error) => Ok(Requeue::NEVER),
            other => other.during("publishing the root CA").map(|_| Requeue::NEVER),
        }
    }
}
