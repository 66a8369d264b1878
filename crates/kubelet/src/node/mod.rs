//! The node object: registered once, its status kept true, its lease renewed.

pub mod lease;
pub mod machine;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use steersman_controller_runtime::{EventType, ObjectKey, ObjectRef};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// How often the node is looked at.
const PERIOD: Duration = Duration::from_secs(10);
/// How often its status is written even when nothing changed.
const REPORT_EVERY: Duration = Duration::from_secs(300);
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Waits between attempts to register.
const REGISTER_RETRY: Duration = Duration::from_millis(200);
const REGISTER_RETRY_MOST: Duration = Duration::from_secs(7);

/// Keeps the node object until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let Some(mut known) = register(&shared, &stop).await else { return };
    let about = node_ref(&shared, &known);
    shared.events.event(&about, EventType::Normal, "Starting", "Starting kubelet.");
    let mut written = None;
    let mut told_cidr = String::new();
    loop {
        tell_pod_cidr(&shared, &known, &mut told_cidr).await;
        let now = jiff::Timestamp::now();
        let observed = status::observe(&shared).await;
        let old = known.status.clone().unwrap_or_default();
        let next = status::node_status(&shared, &observed, &old, now);
        let changed = status::differs(&old, &next);
        if changed || written.is_none_or(|at: Instant| at.elapsed() >= REPORT_EVERY) {
            match write(&shared, &next).await {
                Ok(node) => {
                    tell_transitions(&shared, &about, &old, &next);
                    known = node;
                    written = Some(Instant::now());
                }
                Err(error) => {
                    tracing::warn!(%error, "node status not written, trying again");
                    if is_gone(&error) {
                        match register(&shared, &stop).await {
                            Some(node) => known = node,
                            None => return,
                        }
                    }
                }
            }
        }
        // Not ready yet: the runtime or its network is about to come.
        let period = if status::is_ready(&next) { PERIOD } else { Duration::from_millis(500) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
    }
}

/// Hands the addresses that the cluster gave to this node on to the runtime, which may need them for its network.
async fn tell_pod_cidr(shared: &Shared, known: &Node, told: &mut String) {
    let seen = shared.node.cache().get(&ObjectKey::cluster(shared.config.node_name.as_str()));
    let spec = seen.as_deref().unwrap_or(known).spec.as_ref();
    let cidrs = spec.and_then(|spec| match &spec.pod_cidrs {
        Some(cidrs) if !cidrs.is_empty() => Some(cidrs.join(",")),
        _ => spec.pod_cidr.clone(),
    });
    let Some(cidrs) = cidrs.filter(|cidrs| !cidrs.is_empty() && cidrs != told) else { return };
    match shared.runtime.set_pod_cidr(cidrs.clone()).await {
        Ok(()) => *told = cidrs,
        Err(status) => {
            tracing::warn!(%cidrs, %status, "the runtime did not take the pod addresses, trying again")
        }
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn node_ref(shared: &Shared, node: &Node) -> ObjectRef {
    // Events of nodes name the node as its UID, as upstream's do: describe looks them up by it.
    ObjectRef { uid: shared.config.node_name.clone(), ..ObjectRef::of(node) }
}

/// Registers the node, or takes over the one that is there; tries until it works or `stop`.
async fn register(shared: &Shared, stop: &CancellationToken) -> Option<Node> {
    let mut delay = REGISTER_RETRY;
    loop {
        match try_register(shared).await {
            Ok(node) => return Some(node),
            Err(error) => tracing::warn!(%error, "node not registered, trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(delay) => {}
        }
        delay = (delay * 2).min(REGISTER_RETRY_MOST);
    }
}

async fn try_register(shared: &Shared) -> Result<Node, kube::Error> {
    let api = Api::<Node>::all(shared.client.clone());
    let name = &shared.config.node_name;
    if let Some(existing) = in_time(api.get_opt(name)).await? {
        return adopt(shared, &api, existing).await;
    }
    let observed = status::observe(shared).await;
    let now = jiff::Timestamp::now();
    let mut taints = shared.config.taints.clone();
    taints.push(Taint {
        key: "node.kubernetes.io/not-ready".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    });
    let node = Node {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(status::labels(shared)),
            annotations: Some(status::annotations()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec { taints: Some(taints), ..NodeSpec::default() }),
        status: Some(status::node_status(shared, &observed, &NodeStatus::default(), now)),
    };
    let params = PostParams::default();
    match in_time(api.create(&params, &node)).await {
        Err(kube::Error::Api(status)) if status.code == 409 => in_time(api.get(name)).await,
        created => created,
    }
}

/// A node that is there already keeps its own labels; the well-known ones are set right.
async fn adopt(shared: &Shared, api: &Api<Node>, existing: Node) -> Result<Node, kube::Error> {
    let wanted = status::labels(shared);
    let has = existing.metadata.labels.clone().unwrap_or_default();
    if wanted.iter().all(|(key, value)| has.get(key) == Some(value)) {
        return Ok(existing);
    }
    let patch = serde_json::json!({ "metadata": { "labels": wanted } });
    let params = PatchParams::default();
    in_time(api.patch(&shared.config.node_name, &params, &Patch::Merge(patch))).await
}

async fn write(shared: &Shared, status: &NodeStatus) -> Result<Node, kube::Error> {
    let api = Api::<Node>::all(shared.client.clone());
    let params = PatchParams::default();
    let mut status = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    // Addresses merge by type: the list is replaced, so that an address that went is gone.
    if let Some(addresses) = status.get_mut("addresses").and_then(serde_json::Value::as_array_mut) {
        addresses.insert(0, serde_json::json!({ "$patch": "replace" }));
    }
    let patch = Patch::Strategic(serde_json::json!({ "status": status }));
    in_time(api.patch_status(&shared.config.node_name, &params, &patch)).await
}

async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service("the API did not answer in time".into())),
    }
}

/// Events for conditions that turned.
fn tell_transitions(shared: &Shared, about: &ObjectRef, old: &NodeStatus, new: &NodeStatus) {
    let name = &shared.config.node_name;
    for reason in status::transitions(old, new) {
        let message = format!("Node {name} status is now: {reason}");
        shared.events.event(about, EventType::Normal, reason, message);
    }
}
