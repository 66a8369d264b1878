//! Evicts pods from nodes whose `NoExecute` taints they do not tolerate, or tolerate only for a time.
//!
//! Watches pods and nodes; the key is the pod. The time of a toleration runs from when the taints were first seen.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use parking_lot::Mutex;
use steersman_controller_runtime::{
    Delta, EventRecorder, EventType, Informer, ObjectKey, ObjectRef, Requeue,
};

use crate::ReconcileError;
use crate::conditions::{after_seconds, time_until};
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::pod_disruption::{Reason, end_pod};
use crate::pods::{BY_NODE, by_node, is_deleting, node_name};
use plan::{Stay, evicting, stay};

const COMPONENT: &str = "taint-eviction-controller";
const REASON: Reason = Reason {
    reason: "DeletionByTaintManager",
    message: "Taint manager: deleting due to NoExecute taint",
    at_once: false,
};

/// A pod's UID, the taints that it is under, and since when.
type UnderTaints = (Option<String>, Vec<Taint>, Timestamp);

struct TaintEviction {
    context: Context,
    nodes: Arc<Informer<Node>>,
    pods: Arc<Informer<Pod>>,
    tainted: Mutex<HashMap<ObjectKey, UnderTaints>>,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (nodes, pods) = (context.informer::<Node>(), context.informer::<Pod>());
    pods.cache().add_index(BY_NODE, by_node);
    let queue = KeyQueue::default();
    enqueue_on(&pods, &queue, |delta| match delta {
        Delta::Updated { old, new } if same_for_us(old, new) => Vec::new(),
        _ => vec![ObjectKey::of(&**delta.object())],
    });
    let on_nodes = pods.clone();
    enqueue_on(&nodes, &queue, move |delta| {
        let changed = match delta {
            Delta::Updated { old, new } => evicting(old) != evicting(new),
            Delta::Added(node) => !evicting(node).is_empty(),
            Delta::Deleted(_) => false,
        };
        let name = delta.object().metadata.name.clone().filter(|_| changed);
        let pods = name.map(|name| on_nodes.cache().by_index(BY_NODE, &name)).unwrap_or_default();
        pods.iter().map(|pod| ObjectKey::of(&**pod)).collect()
    });
    if context.synced([listed(&nodes), listed(&pods)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let shared = context.clone();
        let tainted = Mutex::default();
        let controller = TaintEviction { context, nodes, pods, tainted, recorder };
        tokio::join!(events.run(shared.stop.clone()), shared.drive(Arc::new(controller), queue));
    }
}

fn same_for_us(old: &Pod, new: &Pod) -> bool {
    let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
    node_name(old) == node_name(new) && tolerations(old) == tolerations(new)
}

impl Reconciler for TaintEviction {
    const NAME: &'static str = COMPONENT;
    const WORKERS: usize = 8;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let pod = self.pods.cache().get(key).filter(|pod| !is_deleting(pod) && !node_name(pod).is_empty());
        let node = pod.as_ref().and_then(|pod| self.nodes.cache().get(&ObjectKey::cluster(node_name(pod))));
        let taints = node.map(|node| evicting(&node)).unwrap_or_default();
        let Some(pod) = pod.filter(|_| !taints.is_empty()) else {
            self.tainted.lock().remove(key);
            return Ok(Requeue::NEVER);
        };
        let now = Timestamp::now();
        let until = match stay(&pod, &taints) {
            Stay::Forever => return Ok(Requeue::NEVER),
            Stay::Not => now,
            Stay::Seconds(seconds) => after_seconds(self.since(key, &pod, taints, now), seconds),
        };
        if until > now {
            return Ok(Requeue::after(time_until(until, now)));
        }
        let message = format!("Marking for deletion Pod {key}");
        self.recorder.event(&ObjectRef::of(&*pod), EventType::Normal, "TaintManagerEviction", message);
        end_pod(&self.context, &pod, &REASON, now).await.map(|()| Requeue::NEVER)
    }
}

impl TaintEviction {
    /// Since when this very pod is under these very taints.
    fn since(&self, key: &ObjectKey, pod: &Pod, taints: Vec<Taint>, now: Timestamp) -> Timestamp {
        let mut tainted = self.tainted.lock();
        match tainted.get(key) {
            Some((uid, same, since)) if *uid == pod.metadata.uid && *same == taints => *since,
            _ => {
                tainted.insert(key.clone(), (pod.metadata.uid.clone(), taints, now));
                now
            }
        }
    }
}
