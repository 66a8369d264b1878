//! Deletes what nobody owns any more, and carries out foreground deletion and orphaning.
//!
//! Watches the metadata of all deletable resources ([`monitor`]) into a graph of owners ([`graph`]). The key is the UID
//! of an object to look at. The graph only says where to look: before anything is deleted, the object and its absent
//! owners are looked up live, so that a stale view never costs a fresh object its life.

mod absent;
mod graph;
mod monitor;
mod plan;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{
    DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use steersman_controller_runtime::{Requeue, run_workers};
use tokio_util::sync::CancellationToken;

use crate::ReconcileError;
use crate::context::Context;
use crate::error::{During, is_conflict, is_gone};
use absent::AbsentOwners;
use graph::{FOREGROUND, Node, ORPHAN, Place, Uid, place_of};
use monitor::{Shared, watch_all};
use plan::{Owner, Plan, plan};

const NAME: &str = "garbage-collector-controller";
const WORKERS: usize = 20;

struct Collector {
    context: Context,
    shared: Arc<Shared>,
    absent: Mutex<AbsentOwners>,
}

/// Runs the controller until the context's stop.
pub(crate) async fn run(context: Context) {
    let shared = Arc::new(Shared::new());
    let listed = CancellationToken::new();
    let (ready, queue) = (listed.clone(), shared.queue.clone());
    let collector =
        Arc::new(Collector { context: context.clone(), shared: shared.clone(), absent: Mutex::default() });
    let work = async {
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = listed.cancelled() => {}
        }
        run_workers(NAME, queue, WORKERS, context.stop.clone(), move |uid: Uid| {
            let collector = collector.clone();
            async move { collector.look_at(&uid).await.map(|()| Requeue::NEVER) }
        })
        .await;
    };
    tokio::join!(watch_all(context.clone(), shared, move || ready.cancel()), work);
}

impl Collector {
    async fn look_at(&self, uid: &str) -> Result<(), ReconcileError> {
        let node = self.shared.graph.lock().get(uid).cloned();
        let Some(node) = node else { return Ok(()) };
        if node.orphans_dependents() {
            return self.orphan(uid, &node).await;
        }
        if node.deleting && !node.waits_for_dependents() {
            return Ok(()); // it goes already
        }
        let Some(meta) = self.live(uid, &node.place).await? else {
            self.shared.remove(uid);
            return Ok(());
        };
        if node.unseen {
            // It exists, and its watch will tell. Asked again until then, since it might go before the watch sees it.
            let Place { kind, name, .. } = &node.place;
            return Err(ReconcileError::Unusable(format!("the {kind} {name} was not seen by its watch yet")));
        }
        if node.waits_for_dependents() {
            return self.finish_foreground(uid, &node, &meta).await;
        }
        self.judge(uid, &node, &meta).await
    }

    /// The object itself, not what the graph believes; `None` if it is gone or another has its name.
    async fn live(&self, uid: &str, place: &Place) -> Result<Option<ObjectMeta>, ReconcileError> {
        let found = self.api(place)?.get_metadata_opt(&place.name).await;
        let found = found.during(format!("reading the {} {}", place.kind, place.name))?;
        Ok(found.map(|object| object.metadata).filter(|meta| meta.uid.as_deref() == Some(uid)))
    }

    /// The API of a kind, whose version is the preferred one. Of a kind that is not served nothing is known, so nothing
    /// may be concluded.
    fn api(&self, place: &Place) -> Result<Api<DynamicObject>, ReconcileError> {
        let kind = (place.group.clone(), place.kind.clone());
        let resource = self.shared.kinds.lock().get(&kind).cloned();
        let unknown = || ReconcileError::Unusable(format!("no resource serves {}.{}", kind.1, kind.0));
        let resource = resource.ok_or_else(unknown)?;
        let (client, api_resource) = (self.context.client.clone(), resource.api_resource());
        Ok(if resource.namespaced {
            Api::namespaced_with(client, &place.namespace, &api_resource)
        } else {
            Api::all_with(client, &api_resource)
        })
    }

    async fn judge(&self, uid: &str, node: &Node, meta: &ObjectMeta) -> Result<(), ReconcileError> {
        let references = meta.owner_references.clone().unwrap_or_default();
        let mut owners = Vec::new();
        for reference in &references {
            let owner = self.owner(reference, &node.place.namespace).await?;
            owners.push((reference.uid.clone(), owner));
        }
        let dependent_waits = {
            let graph = self.shared.graph.lock();
            let mut dependents = node.dependents.iter().filter_map(|dependent| graph.get(dependent));
            dependents.any(Node::waits_for_dependents)
        };
        match plan(&owners, meta, !node.dependents.is_empty(), dependent_waits) {
            Plan::Keep => Ok(()),
            Plan::Forget(lost) => {
                let kept: Vec<_> = references.into_iter().filter(|r| !lost.contains(&r.uid)).collect();
                self.change(&node.place, meta, json!({"ownerReferences": kept})).await
            }
            Plan::Delete(policy) => self.delete(uid, node, meta, policy).await,
            Plan::UnblockAndDelete => {
                let unblocking =
                    |r: OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..r };
                let freed: Vec<_> = references.into_iter().map(unblocking).collect();
                self.change(&node.place, meta, json!({"ownerReferences": freed})).await?;
                let as_is = ObjectMeta { resource_version: None, ..meta.clone() };
                self.delete(uid, node, &as_is, PropagationPolicy::Foreground).await
            }
        }
    }

    /// What became of an owner. What the graph has seen alive counts: if it is gone by now, its end will wake us.
    async fn owner(&self, reference: &OwnerReference, namespace: &str) -> Result<Owner, ReconcileError> {
        let mut place = place_of(reference, namespace);
        let seen = {
            let graph = self.shared.graph.lock();
            graph.get(&reference.uid).filter(|node| !node.unseen).map(|node| {
                let reachable = node.place.namespace.is_empty() || node.place.namespace == namespace;
                (reachable && node.place.kind == place.kind, node.deleting)
            })
        };
        if seen == Some((true, false)) {
            return Ok(Owner::Solid);
        }
        if self.is_cluster_wide(&place) {
            place.namespace.clear();
        }
        if self.absent.lock().has(&reference.uid, &place) {
            return Ok(Owner::Absent);
        }
        let Some(live) = self.live(&reference.uid, &place).await? else {
            self.absent.lock().add(&reference.uid, &place);
            return Ok(Owner::Absent);
        };
        let waits = live.deletion_timestamp.is_some()
            && live.finalizers.iter().flatten().any(|finalizer| finalizer == FOREGROUND);
        Ok(if waits { Owner::Waiting } else { Owner::Solid })
    }

    fn is_cluster_wide(&self, place: &Place) -> bool {
        let kinds = self.shared.kinds.lock();
        kinds.get(&(place.group.clone(), place.kind.clone())).is_some_and(|resource| !resource.namespaced)
    }

    /// Deletes the object as it was read.
    async fn delete(
        &self,
        uid: &str,
        node: &Node,
        meta: &ObjectMeta,
        policy: PropagationPolicy,
    ) -> Result<(), ReconcileError> {
        let as_read =
            Preconditions { uid: Some(uid.to_owned()), resource_version: meta.resource_version.clone() };
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        let deleted = self.api(&node.place)?.delete(&node.place.name, &params.preconditions(as_read)).await;
        deleted.unless_gone(format!("deleting the {} {}", node.place.kind, node.place.name)).map(drop)
    }

    /// Lets the object go once nothing blocks it; until then sees to what blocks it.
    async fn finish_foreground(
        &self,
        uid: &str,
        node: &Node,
        meta: &ObjectMeta,
    ) -> Result<(), ReconcileError> {
        let blocking = self.shared.graph.lock().blocking(uid);
        if blocking.is_empty() {
            return self.drop_finalizer(&node.place, meta, FOREGROUND).await;
        }
        let going = |dependent: &Uid| {
            let graph = self.shared.graph.lock();
            graph.get(dependent).is_some_and(|node| node.deleting)
        };
        self.shared.look_at(blocking.into_iter().filter(|dependent| !going(dependent)).collect());
        Ok(())
    }

    /// Makes every dependent forget the object, and only then lets it go.
    async fn orphan(&self, uid: &str, node: &Node) -> Result<(), ReconcileError> {
        for dependent in &node.dependents {
            let place = self.shared.graph.lock().get(dependent).map(|node| node.place.clone());
            let Some(place) = place else { continue };
            let Some(meta) = self.live(dependent, &place).await? else { continue };
            let references = meta.owner_references.clone().unwrap_or_default();
            let before = references.len();
            let kept: Vec<_> = references.into_iter().filter(|owner| owner.uid != uid).collect();
            if kept.len() != before {
                self.change(&place, &meta, json!({"ownerReferences": kept})).await?;
            }
        }
        match self.live(uid, &node.place).await? {
            Some(meta) => self.drop_finalizer(&node.place, &meta, ORPHAN).await,
            None => Ok(()),
        }
    }

    async fn drop_finalizer(
        &self,
        place: &Place,
        meta: &ObjectMeta,
        finalizer: &str,
    ) -> Result<(), ReconcileError> {
        let held = meta.finalizers.clone().unwrap_or_default();
        let kept: Vec<_> = held.iter().filter(|name| *name != finalizer).collect();
        if kept.len() == held.len() {
            return Ok(());
        }
        self.change(place, meta, json!({"finalizers": kept})).await
    }

    /// Changes metadata of the object as it was read.
    async fn change(
        &self,
        place: &Place,
        meta: &ObjectMeta,
        mut change: Value,
    ) -> Result<(), ReconcileError> {
        change["uid"] = json!(meta.uid);
        change["resourceVersion"] = json!(meta.resource_version);
        let patch = Patch::Merge(json!({"metadata": change}));
        match self.api(place)?.patch_metadata(&place.name, &PatchParams::default(), &patch).await {
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) if is_conflict(&error) => Err(error).during("changing what has changed meanwhile"),
            other => other.during(format!("changing the {} {}", place.kind, place.name)).map(drop),
        }
    }
}
