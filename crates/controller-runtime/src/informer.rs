//! Informers: one list-and-watch per kind per process, shared by everything in it.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Cache, ObjectKey};

/// What a kind needs to be watched: every `k8s-openapi` kind has it.
pub trait InformerKind:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

impl<K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static> InformerKind
    for K
{
}

/// One change as a handler sees it.
#[derive(Debug)]
pub enum Delta<K> {
    /// The object is new to this process.
    Added(Arc<K>),
    /// The object changed, or a list saw it again.
    Updated {
        /// Before.
        old: Arc<K>,
        /// After.
        new: Arc<K>,
    },
    /// The object is gone; this is its last known state.
    Deleted(Arc<K>),
}

impl<K> Delta<K> {
    /// The object: its newest state, or its last.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => object,
        }
    }
}

type Handler<K> = Box<dyn Fn(&Delta<K>) + Send + Sync>;

/// The objects of one kind, kept current by one watch.
pub struct Informer<K> {
    cache: Cache<K>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

impl<K: InformerKind> Informer<K> {
    fn new() -> Self {
        Self { cache: Cache::default(), handlers: RwLock::default(), synced: watch::Sender::new(false) }
    }

    /// The objects.
    pub fn cache(&self) -> &Cache<K> {
        &self.cache
    }

    /// Calls `handler` on every change from now on, and once for each object that is there already. It runs in the
    /// informer's task and must not wait: put a key into a queue and return.
    pub fn add_handler(&self, handler: impl Fn(&Delta<K>) + Send + Sync + 'static) {
        let mut handlers = self.handlers.write();
        for object in self.cache.list() {
            handler(&Delta::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// Whether the first list is complete.
    pub fn has_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits until the first list is complete.
    pub async fn wait_synced(&self) {
        let mut synced = self.synced.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = synced.wait_for(|done| *done).await;
    }

    /// Follows the API until `stop`. Lists again by itself when a watch is lost, with back-off.
    async fn run(&self, api: Api<K>, config: watcher::Config, stop: CancellationToken) {
        let stream = watcher(api, config).default_backoff();
        let mut stream = std::pin::pin!(stream);
        let mut listed = HashSet::new();
        loop {
            let item = tokio::select! {
                () = stop.cancelled() => return,
                item = stream.next() => item,
            };
            match item {
                Some(Ok(event)) => self.apply(event, &mut listed),
                Some(Err(error)) => report(&K::kind(&()), &error),
                None => return,
            }
        }
    }

    /// Brings one event into the cache and to the handlers. `listed` collects the keys of a list that is under way.
    fn apply(&self, event: watcher::Event<K>, listed: &mut HashSet<ObjectKey>) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(object) => {
                listed.insert(ObjectKey::of(&object));
                self.put(object);
            }
            watcher::Event::InitDone => {
                for key in self.cache.keys() {
                    if !listed.contains(&key) {
                        self.take(&key);
                    }
                }
                *listed = HashSet::new();
                self.synced.send_replace(true);
            }
            watcher::Event::Apply(object) => self.put(object),
            watcher::Event::Delete(object) => self.take(&ObjectKey::of(&object)),
        }
    }

    fn put(&self, mut object: K) {
        // Nobody reads it here, and it is often half of an object's size.
        object.meta_mut().managed_fields = None;
        let new = Arc::new(object);
        // Held across both, so that a handler that is being added sees each object once.
        let handlers = self.handlers.read();
        let delta = match self.cache.insert(new.clone()) {
            None => Delta::Added(new),
            Some(old) if old.meta().resource_version == new.meta().resource_version => return,
            Some(old) => Delta::Updated { old, new },
        };
        handlers.iter().for_each(|handler| handler(&delta));
    }

    fn take(&self, key: &ObjectKey) {
        let handlers = self.handlers.read();
        if let Some(last) = self.cache.remove(key) {
            let delta = Delta::Deleted(last);
            handlers.iter().for_each(|handler| handler(&delta));
        }
    }
}

/// Somebody has to help where access is refused; everything else ends by itself.
fn report(kind: &str, error: &watcher::Error) {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let refused = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => matches!(status.code, 401 | 403),
        _ => false,
    };
    if refused {
        tracing::warn!(kind, %error, "not allowed to watch, trying again");
    } else {
        tracing::debug!(kind, %error, "watch interrupted, trying again");
    }
}

/// The informers of a process: the first to ask for a kind starts its watch, all others share it.
#[derive(Clone)]
pub struct SharedInformers {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    informers: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl SharedInformers {
    /// Informers that list and watch through `client` until `stop` is cancelled.
    pub fn new(client: Client, stop: CancellationToken) -> Self {
        let informers = Mutex::new(HashMap::new());
        Self { inner: Arc::new(Inner { client, informers, tasks: TaskTracker::new(), stop }) }
    }

    /// The client that the informers use.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The informer of every object of `K`. Must be called in a tokio runtime.
    pub fn informer<K: InformerKind>(&self) -> Arc<Informer<K>> {
        self.selected("")
    }

    /// The informer of the objects of `K` that a field selector chooses (`spec.nodeName=n1`).
    pub fn selected<K: InformerKind>(&self, field_selector: &str) -> Arc<Informer<K>> {
        let mut informers = self.inner.informers.lock();
        let id = (TypeId::of::<K>(), field_selector.to_owned());
        let shared = informers.entry(id).or_insert_with(|| self.start::<K>(field_selector)).clone();
        shared.downcast().expect("the entry of a type holds an informer of that type")
    }

    fn start<K: InformerKind>(&self, field_selector: &str) -> Arc<dyn Any + Send + Sync> {
        let informer = Arc::new(Informer::<K>::new());
        let mut config = watcher::Config::default().timeout(290);
        if !field_selector.is_empty() {
            config = config.fields(field_selector);
        }
        let (running, stop) = (informer.clone(), self.inner.stop.clone());
        let api = Api::all(self.inner.client.clone());
        self.inner.tasks.spawn(async move { running.run(api, config, stop).await });
        informer
    }

    /// Waits until every watch has ended; call it after cancelling the token.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}
