//! Gives every node its own range of pod addresses out of the cluster's.
//!
//! Watches nodes; the key is the node. Does nothing when no cluster range is configured.

mod plan;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use steersman_controller_runtime::{EventRecorder, EventType, Informer, ObjectKey, ObjectRef, Requeue};

use crate::ReconcileError;
use crate::context::{Context, KeyQueue, Reconciler, enqueue_on, listed};
use crate::error::During;
pub use plan::{ClusterCidr, InvalidCidr};
use plan::{first_free, range_of};

const COMPONENT: &str = "cidrAllocator";

struct NodeIpam {
    context: Context,
    cluster: ClusterCidr,
    nodes: Arc<Informer<Node>>,
    /// What was given and may not be in the cache yet.
    given: Mutex<HashMap<String, Ipv4Addr>>,
    recorder: EventRecorder,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let Some(cluster) = context.config.cluster_cidr else { return };
    let nodes = context.informer::<Node>();
    let queue = KeyQueue::default();
    enqueue_on(&nodes, &queue, |delta| vec![ObjectKey::of(&**delta.object())]);
    if context.synced([listed(&nodes)]).await {
        let (recorder, events) = context.recorder(COMPONENT);
        let shared = context.clone();
        let given = Mutex::default();
        let controller = NodeIpam { context, cluster, nodes, given, recorder };
        tokio::join!(events.run(shared.stop.clone()), shared.drive(Arc::new(controller), queue));
    }
}

impl Reconciler for NodeIpam {
    const NAME: &'static str = "node-ipam-controller";
    /// One, so that no range is given twice.
    const WORKERS: usize = 1;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Requeue, ReconcileError> {
        let Some(node) = self.nodes.cache().get(key) else {
            self.given.lock().remove(&key.name);
            return Ok(Requeue::NEVER);
        };
        if range_of(&node).is_some() || node.metadata.deletion_timestamp.is_some() {
            return Ok(Requeue::NEVER);
        }
        let Some(range) = self.choose(&key.name) else {
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
            self.recorder.event(&ObjectRef::of(&*node), EventType::Normal, "CIDRNotAvailable", message);
            return Err(ReconcileError::Unusable("no range of pod addresses is free".to_owned()));
        };
        let range = format!("{range}/{}", ClusterCidr::NODE_PREFIX);
        let patch = Patch::Merge(json!({
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": range, "podCIDRs": [range]},
        }));
        let api = self.context.cluster::<Node>();
        let patched = api.patch(&key.name, &PatchParams::default(), &patch).await;
        patched.unless_gone("writing the node's range of pod addresses").map(|_| Requeue::NEVER)
    }
}

impl NodeIpam {
    /// The range that was chosen for the node before, or the first free one.
    fn choose(&self, node: &str) -> Option<Ipv4Addr> {
        let mut given = self.given.lock();
        if let Some(range) = given.get(node) {
            return Some(*range);
        }
        let nodes = self.nodes.cache().list();
        let used = nodes.iter().filter_map(|node| range_of(node)).chain(given.values().copied()).collect();
        let range = first_free(self.cluster, &used)?;
        given.insert(node.to_owned(), range);
        Some(range)
    }
}
