//! Watches the metadata of every resource that can be deleted, and feeds the graph.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use kube::Api;
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::graph::{Graph, Place, Uid};
use crate::context::Context;
use crate::discovery::{ServedResource, discover};
use steersman_controller_runtime::{Backoff, WorkQueue};

/// Objects that have no dependents and come in floods.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];
/// Objects whose change adds or takes away resources.
const DEFINING: [&str; 2] = ["customresourcedefinitions", "apiservices"];
/// How long a new definition is given to be served.
const SETTLING: std::time::Duration = std::time::Duration::from_secs(1);

/// What the watches and the workers share.
pub(super) struct Shared {
    pub graph: Mutex<Graph>,
    pub queue: Arc<WorkQueue<Uid>>,
    /// The resource of each group and kind.
    pub kinds: Mutex<HashMap<(String, String), ServedResource>>,
    /// Signalled when what is served may have changed.
    definitions: Notify,
}

impl Shared {
    pub(super) fn new() -> Self {
        let queue = Arc::new(WorkQueue::new(Backoff::default()));
        Self { graph: Mutex::default(), queue, kinds: Mutex::default(), definitions: Notify::new() }
    }

    pub(super) fn look_at(&self, uids: Vec<Uid>) {
        uids.into_iter().for_each(|uid| self.queue.add(uid));
    }

    fn observe(&self, resource: &ServedResource, meta: &ObjectMeta) {
        if DEFINING.contains(&resource.plural.as_str()) {
            self.definitions.notify_one();
        }
        let place = Place {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
        };
        let look = self.graph.lock().observe(place, meta);
        self.look_at(look);
    }

    pub(super) fn remove(&self, uid: &str) {
        let look = self.graph.lock().remove(uid);
        self.look_at(look);
    }
}

/// The running watches by group and plural.
#[derive(Default)]
struct Watches {
    running: HashMap<(String, String), (CancellationToken, watch::Receiver<bool>)>,
    tasks: JoinSet<()>,
}

/// Keeps a watch on every resource until the stop. Calls `ready` once, after all resources were listed.
pub(super) async fn watch_all(context: Context, shared: Arc<Shared>, ready: impl FnOnce()) {
    let mut watches = Watches::default();
    let mut backoff = (0, Backoff { first: SETTLING, most: SETTLING * 32 });
    let mut ready = Some(ready);
    loop {
        let complete = watches.follow(&context, &shared).await;
        if let Some(ready) = ready.take_if(|_| complete) {
            tokio::select! {
                () = context.stop.cancelled() => break,
                () = watches.listed() => ready(),
            }
        }
        // A look at what is served is due when a definition changes, or again if this one was incomplete.
        backoff.0 = if complete { 0 } else { backoff.0 + 1 };
        let again: BoxFuture<'_, ()> = if complete {
            Box::pin(shared.definitions.notified())
        } else {
            Box::pin(tokio::time::sleep(backoff.1.delay(backoff.0)))
        };
        tokio::select! {
            () = context.stop.cancelled() => break,
            () = again => {}
        }
        tokio::select! {
            () = context.stop.cancelled() => break,
            () = tokio::time::sleep(SETTLING) => {}
        }
    }
    while watches.tasks.join_next().await.is_some() {}
}

impl Watches {
    /// Watches what is served now and nothing else; false if not all of it could be found out.
    async fn follow(&mut self, context: &Context, shared: &Arc<Shared>) -> bool {
        let discovered = match discover(&context.client).await {
            Ok(discovered) => discovered,
            Err(error) => {
                tracing::debug!(%error, "the resources could not be discovered");
                return false;
            }
        };
        let complete = discovered.failures.is_empty();
        let mut served = HashSet::new();
        for resource in discovered.resources {
            shared.kinds.lock().insert((resource.group.clone(), resource.kind.clone()), resource.clone());
            let id = (resource.group.clone(), resource.plural.clone());
            let ignored = IGNORED.contains(&(resource.group.as_str(), resource.plural.as_str()));
            if ignored || !resource.supports(&["delete", "list", "watch"]) {
                continue;
            }
            served.insert(id.clone());
            if let Entry::Vacant(free) = self.running.entry(id) {
                let (stop, synced) = (context.stop.child_token(), watch::Sender::new(false));
                free.insert((stop.clone(), synced.subscribe()));
                self.tasks.spawn(watch_one(context.clone(), shared.clone(), resource, synced, stop));
            }
        }
        if complete {
            self.running.retain(|id, (stop, _)| {
                let keep = served.contains(id);
                if !keep {
                    stop.cancel();
                }
                keep
            });
        }
        while self.tasks.try_join_next().is_some() {}
        complete
    }

    /// Waits until every resource was listed.
    async fn listed(&self) {
        for (_, synced) in self.running.values() {
            // A watch that ended before its list was complete has nothing to tell any more.
            let _ = synced.clone().wait_for(|done| *done).await;
        }
    }
}

async fn watch_one(
    context: Context,
    shared: Arc<Shared>,
    resource: ServedResource,
    synced: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(context.client, &resource.api_resource());
    let stream = watcher(api, watcher::Config::default().timeout(290)).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut listed: HashSet<Uid> = HashSet::new();
    loop {
        let item = tokio::select! {
            () = stop.cancelled() => break,
            item = stream.next() => item,
        };
        match item {
            Some(Ok(event)) => apply(&shared, &resource, event, &mut listed, &synced),
            Some(Err(error)) => {
                tracing::debug!(resource = %resource.plural, %error, "watch interrupted, trying again");
            }
            None => break,
        }
    }
    if !context.stop.is_cancelled() {
        // Not served any more: nothing of it exists.
        forget_others(&shared, &resource, &HashSet::new());
    }
}

fn apply(
    shared: &Shared,
    resource: &ServedResource,
    event: watcher::Event<PartialObjectMeta<DynamicObject>>,
    listed: &mut HashSet<Uid>,
    synced: &watch::Sender<bool>,
) {
    match event {
        watcher::Event::Init => listed.clear(),
        watcher::Event::InitApply(object) => {
            listed.extend(object.metadata.uid.clone());
            shared.observe(resource, &object.metadata);
        }
        watcher::Event::InitDone => {
            forget_others(shared, resource, &std::mem::take(listed));
            synced.send_replace(true);
        }
        watcher::Event::Apply(object) => shared.observe(resource, &object.metadata),
        watcher::Event::Delete(object) => {
            if DEFINING.contains(&resource.plural.as_str()) {
                shared.definitions.notify_one();
            }
            shared.remove(object.metadata.uid.as_deref().unwrap_or_default());
        }
    }
}

fn forget_others(shared: &Shared, resource: &ServedResource, there: &HashSet<Uid>) {
    let seen = shared.graph.lock().seen_of(&resource.group, &resource.kind);
    seen.iter().filter(|uid| !there.contains(*uid)).for_each(|uid| shared.remove(uid));
}
