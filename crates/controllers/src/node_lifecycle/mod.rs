//! Notices nodes that fell silent, taints nodes by their conditions, and takes silent nodes' pods out of service.
//!
//! Watches nodes and their leases. A heartbeat is a change of either as this process sees it, so clocks need not agree.

mod plan;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::json;
use steersman_controller_runtime::{
    Delta, EventRecorder, EventType, Informer, ObjectKey, ObjectRef, Requeue,
};
use tokio::time::Instant;

use crate::ReconcileError;
use crate::conditions::whole_second;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::During;
use crate::nodes::{condition, condition_status, is_ready};
use crate::pods::{BY_NODE, by_node};
use plan::{desired_taints, silenced};

const COMPONENT: &str = "node-controller";
/// Where kubelets keep their leases.
const LEASES: &str = "kube-node-lease";
/// How long a node may be silent (`--node-monitor-grace-period`).
const GRACE: Duration = Duration::from_secs(50);
/// How long a node that never said anything may take (`--node-startup-grace-period`).
const STARTUP_GRACE: Duration = Duration::from_secs(60);

struct NodeLifecycle {
    context: Context,
    nodes: Arc<Informer<Node>>,
    pods: Arc<Informer<Pod>>,
    heartbeats: Arc<Heartbeats>,
    /// Nodes whose pods were taken out of service since they were last ready.
    marked: Mutex<HashSet<String>>,
    recorder: EventRecorder,
}

/// When each node was last heard of.
#[derive(Default)]
struct Heartbeats(Mutex<HashMap<String, Instant>>);

impl Heartbeats {
    fn heard(&self, node: &str) {
        self.0.lock().insert(node.to_owned(), Instant::now());
    }

    fn since(&self, node: &str) -> Duration {
        self.0.lock().entry(node.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    fn forget(&self, node: &str) {
        self.0.lock().remove(node);
    }
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let (nodes, leases) = (context.informer::<Node>(), context.informer::<Lease>());
    let pods = context.informer::<Pod>();
    pods.cache().add_index(BY_NODE, by_node);
    let (queue, heartbeats) = (KeyQueue::default(), Arc::new(Heartbeats::default()));
    let (heard, all) = (heartbeats.clone(), Arc::downgrade(&nodes));
    enqueue_on(&nodes, &queue, move |delta| {
        let others = all.upgrade().filter(|_| readiness_changed(delta));
        let others = others.map(|nodes| nodes.cache().list()).unwrap_or_default();
        let mut keys: Vec<ObjectKey> = others.iter().map(|node| ObjectKey::of(&**node)).collect();
        let name = delta.object().metadata.name.clone().unwrap_or_default();
        if spoke(delta) {
            heard.heard(&name);
        }
        keys.push(ObjectKey::cluster(name));
        keys
    });
    let heard = heartbeats.clone();
    enqueue_on(&leases, &queue, move |delta| on_lease(&heard, delta));
    if context.synced([listed(&nodes), listed(&leases), listed(&pods)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let shared = context.clone();
        let marked = Mutex::default();
        let controller = NodeLifecycle { context, nodes, pods, heartbeats, marked, recorder };
        tokio::join!(events.run(shared.stop.clone()), shared.drive(Arc::new(controller), queue));
    }
}

/// A lease that was renewed is heard; the node need not be looked at for it, since its next look is due by time.
fn on_lease(heartbeats: &Heartbeats, delta: &Delta<Lease>) -> Vec<ObjectKey> {
    let lease = delta.object();
    if lease.metadata.namespace.as_deref() == Some(LEASES) && !matches!(delta, Delta::Deleted(_)) {
        heartbeats.heard(lease.metadata.name.as_deref().unwrap_or_default());
    }
    Vec::new()
}

fn readiness_changed(delta: &Delta<Node>) -> bool {
    match delta {
        Delta::Updated { old, new } => is_ready(old) != is_ready(new),
        Delta::Added(_) | Delta::Deleted(_) => true,
    }
}

/// Whether the kubelet wrote the status: its heartbeat moved.
fn spoke(delta: &Delta<Node>) -> bool {
    let heartbeat =
        |node: &Node| condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
    match delta {
        Delta::Added(_) => true,
        Delta::Updated { old, new } => heartbeat(old) != heartbeat(new),
        Delta::Deleted(_) => false,
    }
}

impl Reconciler for NodeLifecycle {
    const NAME: &'static str = "node-lifecycle-controller";
    const WORKERS: usize = 4;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(node) = self.nodes.cache().get(key) else {
            self.heartbeats.forget(&key.name);
            self.marked.lock().remove(&key.name);
            return Ok(Requeue::NEVER);
        };
        let now = Timestamp::now();
        let grace = if condition(&node, "Ready").is_some() { GRACE } else { STARTUP_GRACE };
        let silence = self.heartbeats.since(&key.name);
        if silence >= grace
            && let Some(status) = silenced(&node, now)
        {
            let next = Node { status: Some(status), ..(*node).clone() };
            let api = self.context.cluster::<Node>();
            let written = api.replace_status(&key.name, &PostParams::default(), &next).await;
            written.unless_gone("writing the node's status")?;
            return Ok(Requeue::NEVER); // the change brings us back
        }
        self.taint(key, &node, now).await?;
        self.mark_pods(key, &node, now).await?;
        let silent = silence >= grace;
        Ok(if silent { Requeue::NEVER } else { Requeue::after(grace - silence) })
    }
}

impl NodeLifecycle {
    async fn taint(&self, key: &ObjectKey, node: &Node, now: Timestamp) -> Result<(), ReconcileError> {
        let any_ready = self.nodes.cache().list().iter().any(|node| is_ready(node));
        let Some(taints) = desired_taints(node, any_ready, now) else { return Ok(()) };
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": taints},
        }));
        let api = self.context.cluster::<Node>();
        let patched = api.patch(&key.name, &PatchParams::default(), &patch).await;
        patched.unless_gone("writing the node's taints").map(drop)
    }

    /// Takes the pods of a node that stopped being ready out of service, once.
    async fn mark_pods(&self, key: &ObjectKey, node: &Node, now: Timestamp) -> Result<(), ReconcileError> {
        if is_ready(node) {
            self.marked.lock().remove(&key.name);
            return Ok(());
        }
        if condition(node, "Ready").is_none() || self.marked.lock().contains(&key.name) {
            return Ok(());
        }
        let message = format!("Node {} status is now: NodeNotReady", key.name);
        let about = ObjectRef { namespace: String::new(), ..ObjectRef::of(node) };
        self.recorder.event(&about, EventType::Normal, "NodeNotReady", message);
        for pod in self.pods.cache().by_index(BY_NODE, &key.name) {
            if crate::pods::is_ready(&pod) {
                self.mark_pod(&pod, now).await?;
            }
        }
        self.marked.lock().insert(key.name.clone());
        tracing::info!(node = %key.name, ready = condition_status(node, "Ready"), "the node is not ready");
        Ok(())
    }

    async fn mark_pod(&self, pod: &Pod, now: Timestamp) -> Result<(), ReconcileError> {
        let key = ObjectKey::of(pod);
        let condition = json!({
            "type": "Ready", "status": "False", "lastTransitionTime": whole_second(now).to_string(),
        });
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
        let api = self.context.namespaced::<Pod>(&key.namespace);
        let patched = api.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        patched.unless_gone(format!("writing the status of the pod {key}"))?;
        let about = ObjectRef::of(pod);
        self.recorder.event(&about, EventType::Warning, "NodeNotReady", "Node is not ready");
        Ok(())
    }
}
