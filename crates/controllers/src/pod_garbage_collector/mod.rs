//! Removes pods that nobody else will: ended ones beyond a number, those of nodes that are gone, and those that were
//! deleted before they had a node.
//!
//! Watches pods and nodes. A key is a pod, a node, or the ended pods together.

mod plan;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use steersman_controller_runtime::{Delta, Informer, ObjectKey, Requeue, WorkQueue, run_workers};

use crate::ReconcileError;
use crate::context::{Context, listed};
use crate::error::During;
use crate::pod_disruption::{Reason, end_pod};
use crate::pods::{BY_NODE, by_node, is_deleting, is_terminal, node_name};
use plan::{is_out_of_service, surplus};

const NAME: &str = "pod-garbage-collector-controller";
/// How long a node may be missing before its pods are taken for lost.
const QUARANTINE: Duration = Duration::from_secs(40);
const NO_NODE: Reason =
    Reason { reason: "DeletionByPodGC", message: "PodGC: node no longer exists", at_once: true };
const NEVER_BOUND: Reason =
    Reason { reason: "DeletionByPodGC", message: "PodGC: terminating unscheduled pod", at_once: true };
const OUT_OF_SERVICE: Reason =
    Reason { reason: "DeletionByPodGC", message: "PodGC: node is out-of-service", at_once: true };

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// All pods that have ended.
    Ended,
    /// The pods of a node.
    Node(String),
    /// A pod without a node.
    Pod(ObjectKey),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("ended pods"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Pod(key) => write!(f, "pod {key}"),
        }
    }
}

struct PodCollector {
    context: Context,
    pods: Arc<Informer<Pod>>,
    nodes: Arc<Informer<Node>>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (pods, nodes) = (context.informer::<Pod>(), context.informer::<Node>());
    pods.cache().add_index(BY_NODE, by_node);
    if !context.synced([listed(&pods), listed(&nodes)]).await {
        return;
    }
    let queue = Arc::new(WorkQueue::<Key>::default());
    let (target, known) = (queue.clone(), nodes.clone());
    pods.add_handler(move |delta| on_pod(&target, &known, delta));
    let target = queue.clone();
    nodes.add_handler(move |delta| {
        let key = Key::Node(delta.object().metadata.name.clone().unwrap_or_default());
        match delta {
            Delta::Deleted(_) => target.add_after(key, QUARANTINE),
            Delta::Added(node) | Delta::Updated { new: node, .. } if is_out_of_service(node) => {
                target.add(key)
            }
            Delta::Added(_) | Delta::Updated { .. } => {}
        }
    });
    let stop = context.stop.clone();
    let collector = Arc::new(PodCollector { context, pods, nodes });
    run_workers(NAME, queue, 1, stop, move |key| {
        let collector = collector.clone();
        async move { collector.reconcile(&key).await.map(|()| Requeue::NEVER) }
    })
    .await;
}

fn on_pod(queue: &WorkQueue<Key>, nodes: &Informer<Node>, delta: &Delta<Pod>) {
    let (Delta::Added(pod) | Delta::Updated { new: pod, .. }) = delta else { return };
    if is_terminal(pod) {
        queue.add(Key::Ended);
    }
    match node_name(pod) {
        "" if is_deleting(pod) => queue.add(Key::Pod(ObjectKey::of(&**pod))),
        "" => {}
        node => match nodes.cache().get(&ObjectKey::cluster(node)) {
            None => queue.add_after(Key::Node(node.to_owned()), QUARANTINE),
            Some(known) if is_deleting(pod) && is_out_of_service(&known) => {
                queue.add(Key::Node(node.to_owned()));
            }
            Some(_) => {}
        },
    }
}

impl PodCollector {
    async fn reconcile(&self, key: &Key) -> Result<(), ReconcileError> {
        match key {
            Key::Ended => self.ended().await,
            Key::Node(name) => self.of_node(name).await,
            Key::Pod(key) => match self.pods.cache().get(key) {
                Some(pod) if node_name(&pod).is_empty() && is_deleting(&pod) => {
                    self.end([pod], &NEVER_BOUND).await
                }
                _ => Ok(()),
            },
        }
    }

    async fn ended(&self) -> Result<(), ReconcileError> {
        let mut pods = self.pods.cache().list();
        pods.retain(|pod| is_terminal(pod) && !is_deleting(pod));
        let reason = Reason { at_once: true, reason: "", message: "" }; // never told: they have ended
        self.end(surplus(pods, self.context.config.terminated_pod_threshold), &reason).await
    }

    async fn of_node(&self, name: &str) -> Result<(), ReconcileError> {
        let pods = self.pods.cache().by_index(BY_NODE, name);
        if let Some(node) = self.nodes.cache().get(&ObjectKey::cluster(name)) {
            let stuck = pods.into_iter().filter(|pod| is_deleting(pod) && is_out_of_service(&node));
            return self.end(stuck, &OUT_OF_SERVICE).await;
        }
        let api: Api<Node> = self.context.cluster();
        if pods.is_empty() || api.get_opt(name).await.during("reading the node")?.is_some() {
            return Ok(());
        }
        self.end(pods, &NO_NODE).await
    }

    async fn end(
        &self,
        pods: impl IntoIterator<Item = Arc<Pod>>,
        reason: &Reason,
    ) -> Result<(), ReconcileError> {
        let now = Timestamp::now();
        for pod in pods {
            end_pod(&self.context, &pod, reason, now).await?;
        }
        Ok(())
    }
}
