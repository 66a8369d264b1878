//! From the pods of this node to their workers, and from the runtime's events to the worker they concern.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use steersman_controller_runtime::{ObjectKey, WorkQueue};
use steersman_cri::{ContainerEventResponse, GetEventsRequest};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::pod::PodExt;
use crate::runtime::{Inventory, Owner};
use crate::shared::Shared;
use crate::worker::{Desired, PodWorker};

/// How often the runtime is asked for everything, in case an event was lost.
const RELIST: Duration = Duration::from_secs(60);
/// The same for a runtime that sends no events.
const RELIST_WITHOUT_EVENTS: Duration = Duration::from_secs(1);
const RECONNECT: Duration = Duration::from_secs(1);

struct Handle {
    key: ObjectKey,
    desired: watch::Sender<Desired>,
    wake: Arc<Notify>,
}

/// The workers of the pods of this node.
pub struct Pods {
    shared: Arc<Shared>,
    queue: Arc<WorkQueue<ObjectKey>>,
    handles: Mutex<HashMap<String, Handle>>,
    /// Counts what the runtime told, for those who wait for some container to change.
    changes: watch::Sender<u64>,
}

impl Pods {
    /// Workers for the pods that the informer of `shared` has and will have.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let queue = Arc::new(WorkQueue::default());
        let keys = queue.clone();
        shared.pods.add_handler(move |delta| keys.add(ObjectKey::of(&**delta.object())));
        Arc::new(Self { shared, queue, handles: Mutex::new(HashMap::new()), changes: watch::Sender::new(0) })
    }

    /// Changes with every event of the runtime and every change that was found without one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Runs workers until `stop`. Containers go on.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut workers = JoinSet::new();
        self.shared.pods.wait_synced().await;
        loop {
            tokio::select! {
                key = self.queue.get(&stop) => {
                    let Some(key) = key else { break };
                    self.route(&key, &mut workers, &stop);
                    self.queue.done(&key);
                }
                Some(ended) = workers.join_next() => match ended {
                    Ok(uid) => self.retire(&uid),
                    Err(error) => tracing::error!(%error, "a pod worker panicked"),
                },
            }
        }
        while workers.join_next().await.is_some() {}
    }

    /// Tells the worker of a pod what is wanted now; starts it if the pod is new.
    fn route(&self, key: &ObjectKey, workers: &mut JoinSet<String>, stop: &CancellationToken) {
        let pod = self.shared.pods.cache().get(key);
        let uid = pod.as_ref().map(|pod| pod.uid().to_owned());
        let mut handles = self.handles.lock();
        for (known, handle) in handles.iter() {
            if handle.key == *key && Some(known) != uid.as_ref() {
                handle.desired.send_modify(|desired| desired.removed = true);
            }
        }
        let (Some(pod), Some(uid)) = (pod, uid) else { return };
        match handles.get(&uid) {
            Some(handle) => {
                handle.desired.send_replace(Desired { pod, removed: false });
            }
            None => {
                let (sender, receiver) = watch::channel(Desired { pod, removed: false });
                let wake = Arc::new(Notify::new());
                let worker = PodWorker::new(self.shared.clone(), receiver, wake.clone());
                workers.spawn(worker.run(stop.clone()));
                handles.insert(uid, Handle { key: key.clone(), desired: sender, wake });
            }
        }
    }

    fn retire(&self, uid: &str) {
        let handle = self.handles.lock().remove(uid);
        if let Some(handle) = handle {
            // A pod of the same name may have come meanwhile.
            self.queue.add(handle.key);
        }
    }

    /// Makes the worker of a pod look at the runtime.
    fn wake(&self, uid: &str) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        let handles = self.handles.lock();
        let handle = handles.get(uid);
        if let Some(handle) = handle {
            handle.wake.notify_one();
        }
    }

    /// UIDs of the pods that are wanted or still being ended. What the API has counts even before its worker began.
    fn uids(&self) -> BTreeSet<String> {
        let wanted = self.shared.pods.cache().list();
        let wanted = wanted.iter().map(|pod| pod.uid().to_owned());
        wanted.chain(self.handles.lock().keys().cloned()).collect()
    }

    /// The pods as they are wanted now.
    pub fn list(&self) -> Vec<Arc<Pod>> {
        self.handles.lock().values().map(|handle| handle.desired.borrow().pod.clone()).collect()
    }

    /// Follows the runtime: its events, and everything it has from time to time.
    pub async fn follow_runtime(self: Arc<Self>, stop: CancellationToken) {
        self.shared.pods.wait_synced().await;
        let mut seen = Inventory::new();
        let mut relist = RELIST;
        let mut next = Instant::now();
        let mut events = None;
        loop {
            if events.is_none() && relist == RELIST {
                events = match self.events().await {
                    Ok(stream) => Some(stream),
                    Err(status) if status.code() == Code::Unimplemented => {
                        tracing::info!("the runtime sends no events; it is asked every second");
                        relist = RELIST_WITHOUT_EVENTS;
                        None
                    }
                    Err(status) => {
                        tracing::warn!(%status, "no events from the runtime, trying again");
                        next = next.min(Instant::now() + RECONNECT);
                        None
                    }
                };
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next) => {
                    next = Instant::now() + relist;
                    self.look_at_everything(&mut seen).await;
                }
                event = next_event(&mut events) => match event {
                    Some(event) => self.heard(&event),
                    None => {
                        events = None;
                        next = next.min(Instant::now() + RECONNECT);
                    }
                },
            }
        }
    }

    async fn events(&self) -> Result<tonic::Streaming<ContainerEventResponse>, tonic::Status> {
        let mut service = self.shared.runtime.service.clone();
        Ok(service.get_container_events(GetEventsRequest {}).await?.into_inner())
    }

    fn heard(&self, event: &ContainerEventResponse) {
        let metadata = event.pod_sandbox_status.as_ref().and_then(|status| status.metadata.as_ref());
        match metadata {
            Some(metadata) => self.wake(&metadata.uid),
            // It cannot be told whose it is.
            None => self.handles.lock().values().for_each(|handle| handle.wake.notify_one()),
        }
    }

    /// Wakes the workers of pods in which something changed unheard, and removes what belongs to no pod.
    async fn look_at_everything(&self, seen: &mut Inventory) {
        let now = match self.shared.runtime.inventory().await {
            Ok(now) => now,
            Err(status) => {
                tracing::warn!(%status, "could not list what the runtime has");
                return;
            }
        };
        for owner in changed(seen, &now) {
            self.wake(&owner.uid);
        }
        let known = self.uids();
        let orphans: BTreeSet<String> =
            now.values().map(|(owner, _)| owner.uid.clone()).filter(|uid| !known.contains(uid)).collect();
        for uid in &orphans {
            self.remove_orphan(uid).await;
        }
        self.remove_leftovers(&now).await;
        *seen = now;
    }

    /// Ends and removes what the runtime has of a pod that the API does not know.
    async fn remove_orphan(&self, uid: &str) {
        let runtime = &self.shared.runtime;
        let view = match runtime.pod_view(uid).await {
            Ok(view) => view,
            Err(status) => {
                tracing::warn!(%uid, %status, "could not look at a pod that is not wanted");
                return;
            }
        };
        tracing::info!(%uid, "removing a pod that is not wanted");
        for sandbox in &view.sandboxes {
            let stopped = runtime.stop_sandbox(&sandbox.id).await;
            if let Err(status) = stopped.and(runtime.remove_sandbox(&sandbox.id).await) {
                tracing::warn!(sandbox = %sandbox.id, %status, "could not remove a sandbox that is not wanted");
            }
        }
        let in_sandbox = |id: &str| view.sandboxes.iter().any(|sandbox| sandbox.id == id);
        for container in view.containers.iter().filter(|container| !in_sandbox(&container.sandbox)) {
            if let Err(status) = runtime.remove_container(&container.id).await {
                tracing::warn!(container = %container.id, %status, "could not remove a container");
            }
        }
    }

    /// Removes directories and cgroups of pods that neither the API nor the runtime knows.
    async fn remove_leftovers(&self, inventory: &Inventory) {
        let mut keep = self.uids();
        keep.extend(inventory.values().map(|(owner, _)| owner.uid.clone()));
        let (dir, cgroups) = (self.shared.config.root_dir.join("pods"), self.shared.cgroups.clone());
        let root = self.shared.config.cgroup_root.clone();
        let sweep = move || {
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            for entry in entries {
                let uid = entry.file_name().to_string_lossy().into_owned();
                if keep.contains(&uid) {
                    continue;
                }
                if let Err(error) = steersman_volume::mount::remove_tree(&entry.path()) {
                    tracing::warn!(%uid, %error, "could not remove the directory of a pod that is gone");
                }
            }
            for cgroup in cgroups.pods(&root) {
                let uid = cgroup.rsplit("/pod").next().unwrap_or_default();
                if !keep.contains(uid)
                    && let Err(error) = cgroups.remove(&cgroup)
                {
                    tracing::warn!(%cgroup, %error, "could not remove the cgroup of a pod that is gone");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(sweep).await {
            tracing::error!(%error, "removing leftovers panicked");
        }
    }
}

async fn next_event(
    events: &mut Option<tonic::Streaming<ContainerEventResponse>>,
) -> Option<ContainerEventResponse> {
    match events {
        Some(stream) => match stream.next().await {
            Some(Ok(event)) => Some(event),
            Some(Err(status)) => {
                tracing::debug!(%status, "the runtime's events ended");
                None
            }
            None => None,
        },
        None => std::future::pending().await,
    }
}

/// The pods in which something came, went or changed its state.
fn changed<'a>(before: &'a Inventory, now: &'a Inventory) -> Vec<&'a Owner> {
    let differs = |(id, entry): &(&String, &(Owner, i32)), other: &Inventory| other.get(*id) != Some(*entry);
    let came = now.iter().filter(|entry| differs(entry, before));
    let went = before.iter().filter(|(id, _)| !now.contains_key(*id));
    came.chain(went).map(|(_, (owner, _))| owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_changed_are_woken() {
        let owner = |uid: &str| Owner { namespace: "ns".into(), name: uid.into(), uid: uid.into() };
        let inventory = |items: &[(&str, &str, i32)]| -> Inventory {
            items.iter().map(|(id, uid, state)| ((*id).to_owned(), (owner(uid), *state))).collect()
        };
        let before = inventory(&[("1", "same", 0), ("2", "exited", 1), ("3", "gone", 1)]);
        let now = inventory(&[("1", "same", 0), ("2", "exited", 2), ("4", "new", 1)]);
        let woken: Vec<&str> = changed(&before, &now).into_iter().map(|owner| owner.uid.as_str()).collect();
        assert_eq!(woken, ["exited", "new", "gone"]);
    }
}
