//! ConfigMaps and Secrets that pods of this node refer to. Each is watched alone, and only while a pod needs it:
//! a node may read what its pods use and nothing else.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use steersman_controller_runtime::ObjectKey;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::env::Missing;

/// How long a pod waits for the first answer about an object.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// A kind that pods refer to by name.
pub trait Referred:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Referred for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

type Known<K> = Option<Result<Arc<K>, Missing>>;

/// The watched objects of one kind.
pub struct ObjectStore<K> {
    client: Client,
    entries: Mutex<HashMap<ObjectKey, Entry<K>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Entry<K> {
    known: watch::Receiver<Known<K>>,
    listeners: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    stop: CancellationToken,
}

impl<K: Referred> ObjectStore<K> {
    /// A store that watches through `client` until `stop`.
    pub fn new(client: Client, stop: CancellationToken) -> Self {
        Self { client, entries: Mutex::new(HashMap::new()), tasks: TaskTracker::new(), stop }
    }

    /// Watches exactly `names` of `namespace` for the pod `uid`, and no others; `changed` is told of each change.
    pub fn keep(&self, uid: &str, namespace: &str, names: &[String], changed: &Arc<Notify>) {
        let mut entries = self.entries.lock();
        for name in names {
            let key = ObjectKey::new(namespace, name.as_str());
            let entry = entries.entry(key.clone()).or_insert_with(|| self.start(key));
            entry.listeners.lock().insert(uid.to_owned(), changed.clone());
        }
        entries.retain(|key, entry| {
            let mut listeners = entry.listeners.lock();
            if key.namespace != namespace || !names.contains(&key.name) {
                listeners.remove(uid);
            }
            if listeners.is_empty() {
                entry.stop.cancel();
            }
            !listeners.is_empty()
        });
    }

    /// The object as last seen; waits for the first answer of the API.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Arc<K>, Missing> {
        let kind = K::kind(&()).to_lowercase();
        let key = ObjectKey::new(namespace, name);
        let Some(mut known) = self.entries.lock().get(&key).map(|entry| entry.known.clone()) else {
            let message = format!("object {namespace:?}/{name:?} not registered");
            return Err(Missing { not_found: false, message });
        };
        let answer = tokio::time::timeout(FIRST_ANSWER, known.wait_for(Option::is_some)).await;
        match answer {
            Ok(Ok(known)) => known.clone().unwrap_or_else(|| Err(timed_out(&kind))),
            Ok(Err(_)) | Err(_) => Err(timed_out(&kind)),
        }
    }

    fn start(&self, key: ObjectKey) -> Entry<K> {
        let (sender, known) = watch::channel(None);
        let listeners = Arc::new(Mutex::new(HashMap::new()));
        let stop = self.stop.child_token();
        let api = Api::<K>::namespaced(self.client.clone(), &key.namespace);
        self.tasks.spawn(follow(api, key.name, sender, listeners.clone(), stop.clone()));
        Entry { known, listeners, stop }
    }

    /// Waits until every watch has ended; call it after cancelling the token.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn follow<K: Referred>(
    api: Api<K>,
    name: String,
    known: watch::Sender<Known<K>>,
    listeners: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    stop: CancellationToken,
) {
    let kind = K::kind(&()).to_lowercase();
    let mut states = std::pin::pin!(watcher::watch_object(api, &name).default_backoff());
    loop {
        let state = tokio::select! {
            () = stop.cancelled() => return,
            state = states.next() => state,
        };
        let next = match state {
            None => return,
            Some(Ok(Some(object))) => Ok(Arc::new(object)),
            Some(Ok(None)) => {
                Err(Missing { not_found: true, message: format!("{kind} \"{name}\" not found") })
            }
            Some(Err(error)) => {
                tracing::debug!(%kind, %name, %error, "watch interrupted, trying again");
                // What is known stays good until the API says otherwise.
                if known.borrow().is_some() {
                    continue;
                }
                Err(Missing { not_found: false, message: refusal(&error) })
            }
        };
        known.send_replace(Some(next));
        listeners.lock().values().for_each(|listener| listener.notify_one());
    }
}

/// What the API said, without the layers around it; what went wrong on the way if it said nothing.
fn refusal(error: &watcher::Error) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let said = chain.filter_map(|error| error.downcast_ref()).find_map(|error| match error {
        kube::Error::Api(status) => Some(status.message.clone()),
        _ => None,
    });
    said.unwrap_or_else(|| error.to_string())
}

fn timed_out(kind: &str) -> Missing {
    let message = format!("failed to sync {kind} cache: timed out waiting for the condition");
    Missing { not_found: false, message }
}
