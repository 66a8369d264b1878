//! Brings pod statuses to the API: only what differs, only the latest, one write per pod at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use steersman_controller_runtime::{Backoff, Informer, ObjectKey, WorkQueue};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::pod::PodExt;
use crate::status::patch::patch;

/// Writes that run at the same time.
const WRITERS: usize = 4;
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Statuses that are to be seen by the API.
pub struct StatusWriter {
    client: Client,
    pods: Arc<Informer<Pod>>,
    entries: Mutex<HashMap<String, Entry>>,
    queue: WorkQueue<String>,
    settled: Notify,
}

struct Entry {
    key: ObjectKey,
    status: Arc<PodStatus>,
    version: u64,
    written: u64,
    /// The pod as the last write left it, which the informer may not have seen yet.
    last: Option<Arc<Pod>>,
}

impl StatusWriter {
    /// A writer through `client`; `pods` is what the API is known to have.
    pub fn new(client: Client, pods: Arc<Informer<Pod>>) -> Self {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(60) };
        let entries = Mutex::new(HashMap::new());
        Self { client, pods, entries, queue: WorkQueue::new(backoff), settled: Notify::new() }
    }

    /// Takes the newest status of a pod; an older one that is not written yet is forgotten.
    pub fn set(&self, pod: &Pod, status: PodStatus) {
        let uid = pod.uid().to_owned();
        let mut entries = self.entries.lock();
        let entry = entries.entry(uid.clone()).or_insert_with(|| Entry {
            key: ObjectKey::of(pod),
            status: Arc::default(),
            version: 0,
            written: 0,
            last: None,
        });
        entry.status = Arc::new(status);
        entry.version += 1;
        drop(entries);
        self.queue.add(uid);
    }

    /// Forgets a pod that is gone.
    pub fn forget(&self, uid: &str) {
        self.entries.lock().remove(uid);
        self.settled.notify_waiters();
    }

    /// Waits until the newest status of the pod is written, or the pod is gone.
    pub async fn settle(&self, uid: &str) {
        loop {
            let changed = self.settled.notified();
            if self.entries.lock().get(uid).is_none_or(|entry| entry.written >= entry.version) {
                return;
            }
            changed.await;
        }
    }

    /// Writes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let workers = futures::stream::iter(0..WRITERS).map(|_| self.work(&stop));
        workers.buffer_unordered(WRITERS).collect::<()>().await;
    }

    async fn work(&self, stop: &CancellationToken) {
        while let Some(uid) = self.queue.get(stop).await {
            match self.write(&uid).await {
                Ok(()) => self.queue.forget(&uid),
                Err(error) => {
                    tracing::warn!(%uid, %error, "pod status not written, trying again");
                    self.queue.add_rate_limited(uid.clone());
                }
            }
            self.queue.done(&uid);
            self.settled.notify_waiters();
        }
    }

    async fn write(&self, uid: &str) -> Result<(), kube::Error> {
        let Some((key, status, version, last)) = self
            .entries
            .lock()
            .get(uid)
            .map(|entry| (entry.key.clone(), entry.status.clone(), entry.version, entry.last.clone()))
        else {
            return Ok(());
        };
        let known = self.pods.cache().get(&key).filter(|pod| pod.uid() == uid);
        let base = newer(known, last);
        let old = base.as_ref().map(|pod| pod.status_or_default()).unwrap_or_default();
        let Some(change) = patch(uid, &old, &status) else {
            self.wrote(uid, version, base);
            return Ok(());
        };
        let api = Api::<Pod>::namespaced(self.client.clone(), &key.namespace);
        let params = PatchParams::default();
        let change = Patch::Strategic(change);
        let call = api.patch_status(&key.name, &params, &change);
        let answer = match tokio::time::timeout(CALL_LIMIT, call).await {
            Ok(answer) => answer,
            Err(_) => return Err(kube::Error::Service("the API did not answer in time".into())),
        };
        match answer {
            Ok(pod) => self.wrote(uid, version, Some(Arc::new(pod))),
            // Gone, or another pod has the name: there is nobody to tell.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => self.forget(uid),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn wrote(&self, uid: &str, version: u64, pod: Option<Arc<Pod>>) {
        if let Some(entry) = self.entries.lock().get_mut(uid) {
            entry.written = entry.written.max(version);
            entry.last = pod;
        }
    }
}

/// The one with the higher resource version; both come from one API server, which counts up.
fn newer(a: Option<Arc<Pod>>, b: Option<Arc<Pod>>) -> Option<Arc<Pod>> {
    let version = |pod: &Arc<Pod>| {
        pod.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok()).unwrap_or(0)
    };
    match (a, b) {
        (Some(a), Some(b)) if version(&b) > version(&a) => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}
