//! What every controller is given.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use steersman_controller_runtime::{
    Delta, EventRecorder, EventSource, EventWriter, Informer, InformerKind, ObjectKey, Queues, Requeue,
    SharedInformers, WorkQueue, run_workers,
};
use tokio_util::sync::CancellationToken;

use crate::{ClusterCidr, ReconcileError};

/// What the cluster's operator decides.
#[derive(Clone, Debug)]
pub struct ControllersConfig {
    /// The CA bundle (PEM) that pods trust for the API server; published as `kube-root-ca.crt`.
    pub root_ca: String,
    /// The range of all pod addresses, of which every node gets a part; without it nodes get none from us.
    pub cluster_cidr: Option<ClusterCidr>,
    /// How many ended pods are kept; zero means all (`--terminated-pod-gc-threshold`).
    pub terminated_pod_threshold: usize,
    /// Gets to know the controllers' queues.
    pub queues: Queues,
}

impl Default for ControllersConfig {
    /// No CA, no pod addresses, and 12,500 ended pods as upstream.
    fn default() -> Self {
        Self {
            root_ca: String::new(),
            cluster_cidr: None,
            terminated_pod_threshold: 12_500,
            queues: Queues::default(),
        }
    }
}

/// The client, the informers and the settings of a controller. Clones share them.
#[derive(Clone)]
pub struct Context {
    pub(crate) client: Client,
    pub(crate) informers: SharedInformers,
    pub(crate) config: Arc<ControllersConfig>,
    pub(crate) stop: CancellationToken,
}

pub(crate) type KeyQueue = Arc<WorkQueue<ObjectKey>>;

/// One kind of work, a key at a time.
pub(crate) trait Reconciler: Send + Sync + 'static {
    /// For the log.
    const NAME: &'static str;
    /// Keys worked on at once.
    const WORKERS: usize;

    /// Makes what `key` names be as it should.
    fn reconcile(&self, key: &ObjectKey) -> impl Future<Output = Result<Requeue, ReconcileError>> + Send;
}

impl Context {
    /// The objects of `K` in one namespace.
    pub(crate) fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The cluster-wide objects of `K`.
    pub(crate) fn cluster<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// The informer of all objects of `K`.
    pub(crate) fn informer<K: InformerKind>(&self) -> Arc<Informer<K>> {
        self.informers.informer()
    }

    /// Where the controller `component` reports events, and the writer that must be run.
    pub(crate) fn recorder(&self, component: &str) -> (EventRecorder, EventWriter) {
        let source = EventSource { component: component.to_owned(), host: String::new() };
        EventRecorder::new(self.client.clone(), source)
    }

    /// Waits for the first lists; false if the stop came first.
    pub(crate) async fn synced(&self, lists: impl IntoIterator<Item = BoxFuture<'_, ()>>) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = futures::future::join_all(lists) => true,
        }
    }

    /// Reconciles the keys of `queue` until the stop.
    pub(crate) async fn drive<R: Reconciler>(&self, reconciler: Arc<R>, queue: KeyQueue) {
        self.config.queues.add(R::NAME, &queue);
        run_workers(R::NAME, queue, R::WORKERS, self.stop.clone(), move |key| {
            let reconciler = reconciler.clone();
            async move { reconciler.reconcile(&key).await }
        })
        .await;
    }
}

/// The first list of `informer`, as [`Context::synced`] takes it.
pub(crate) fn listed<K: InformerKind>(informer: &Arc<Informer<K>>) -> BoxFuture<'static, ()> {
    let informer = informer.clone();
    Box::pin(async move { informer.wait_synced().await })
}

/// Puts the keys that `keys_of` finds for each change into `queue`.
pub(crate) fn enqueue_on<K: InformerKind>(
    informer: &Informer<K>,
    queue: &KeyQueue,
    keys_of: impl Fn(&Delta<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
) {
    let queue = queue.clone();
    informer.add_handler(move |delta| keys_of(delta).into_iter().for_each(|key| queue.add(key)));
}
