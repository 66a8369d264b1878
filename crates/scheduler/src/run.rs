//! The loop: informers feed the picture of the cluster and the queue; one pod at a time is decided; bindings are
//! written beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use steersman_controller_runtime::{
    Delta, EventRecorder, EventSource, EventType, ObjectKey, ObjectRef, SharedInformers,
};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::DEFAULT_SCHEDULER;
use crate::bind::{bind, report_unscheduled};
use crate::cluster::Cluster;
use crate::framework::ClusterEvent;
use crate::plugins::{Profile, default_profile};
use crate::pod_info::{PodInfo, is_assigned, is_terminal};
use crate::queue::{Pending, Queue};
use crate::schedule::schedule;

/// Writes that may be under way at once; more wait.
const CONCURRENT_WRITES: usize = 64;

/// Binds pods to nodes.
pub struct Scheduler {
    client: kube::Client,
    informers: SharedInformers,
    shared: Arc<Shared>,
}

struct Shared {
    profile: Profile,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    cluster: Cluster,
    queue: Queue,
    turn: usize,
    attempts: Attempts,
}

/// How many tries ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The pod was bound.
    pub scheduled: u64,
    /// No node would do.
    pub unschedulable: u64,
    /// The binding was refused.
    pub error: u64,
}

/// Shows what a scheduler does, for its metrics.
#[derive(Clone)]
pub struct Figures(Arc<Shared>);

impl Figures {
    /// How many tries ended how, and how many pods wait.
    pub fn read(&self) -> (Attempts, Pending) {
        let state = self.0.state.lock();
        (state.attempts, state.queue.pending())
    }
}

impl Scheduler {
    /// A scheduler that reads through `informers` and writes as `client`.
    pub fn new(client: kube::Client, informers: SharedInformers) -> Self {
        let shared = Shared { profile: default_profile(), state: Mutex::default(), changed: Notify::new() };
        Self { client, informers, shared: Arc::new(shared) }
    }

    /// Shows what the scheduler does.
    pub fn figures(&self) -> Figures {
        Figures(self.shared.clone())
    }

    /// Schedules until `stop`; returns after the writes that were under way.
    pub async fn run(self, stop: CancellationToken) {
        let source = EventSource { component: DEFAULT_SCHEDULER.to_owned(), host: String::new() };
        let (recorder, events) = EventRecorder::new(self.client.clone(), source);
        let (nodes, pods) = (self.informers.informer::<Node>(), self.informers.informer::<Pod>());
        let shared = self.shared.clone();
        nodes.add_handler(move |delta| shared.on_node(delta));
        let shared = self.shared.clone();
        pods.add_handler(move |delta| shared.on_pod(delta));
        let synced = async { tokio::join!(nodes.wait_synced(), pods.wait_synced()) };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = synced => {}
        }
        let writer = Writer { client: self.client, recorder, shared: self.shared.clone() };
        tokio::join!(events.run(stop.clone()), decide_all(self.shared, Arc::new(writer), stop));
    }
}

async fn decide_all(shared: Arc<Shared>, writer: Arc<Writer>, stop: CancellationToken) {
    let (mut writes, permits) = (JoinSet::new(), Arc::new(Semaphore::new(CONCURRENT_WRITES)));
    loop {
        let Some(pod) = shared.next(&stop).await else { break };
        let outcome = shared.decide(&pod);
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let writer = writer.clone();
        writes.spawn(async move {
            writer.write(pod, outcome).await;
            drop(permit);
        });
        while writes.try_join_next().is_some() {}
    }
    while writes.join_next().await.is_some() {}
}

/// What was decided on a pod.
enum Outcome {
    Bind { node: String },
    Unschedulable { message: String, plugins: BTreeSet<&'static str> },
}

impl Shared {
    /// Waits for a pod to try; `None` once `stop` is cancelled.
    async fn next(&self, stop: &CancellationToken) -> Option<PodInfo> {
        loop {
            let notified = self.changed.notified();
            let wake = {
                let mut state = self.state.lock();
                if let Some(pod) = state.queue.pop(Instant::now()) {
                    return Some(pod);
                }
                state.queue.next_wake()
            };
            let due = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = notified => {}
                () = due => {}
            }
        }
    }

    /// Chooses a node and assumes the pod there at once, so that the next decision counts it.
    fn decide(&self, pod: &PodInfo) -> Outcome {
        let mut state = self.state.lock();
        let State { cluster, turn, .. } = &mut *state;
        *turn = turn.wrapping_add(1);
        match schedule(&self.profile, pod, cluster.nodes(), *turn) {
            Ok(node) => {
                let node = node.name.clone();
                cluster.assume(pod.clone(), &node);
                Outcome::Bind { node }
            }
            Err(error) => {
                state.attempts.unschedulable += 1;
                Outcome::Unschedulable { message: error.to_string(), plugins: error.plugins }
            }
        }
    }

    fn on_node(&self, delta: &Delta<Node>) {
        let mut state = self.state.lock();
        match delta {
            Delta::Added(node) => state.cluster.set_node(node.clone()),
            Delta::Updated { old, new } => {
                state.cluster.set_node(new.clone());
                if !matters_to_pods(old, new) {
                    return;
                }
            }
            Delta::Deleted(node) => {
                state.cluster.remove_node(node.metadata.name.as_deref().unwrap_or_default());
                return;
            }
        }
        self.retry(&mut state, ClusterEvent::NodeChanged);
    }

    fn on_pod(&self, delta: &Delta<Pod>) {
        let mut state = self.state.lock();
        let pod = delta.object();
        let key = ObjectKey::of(&**pod);
        let gone = matches!(delta, Delta::Deleted(_)) || is_terminal(pod);
        if gone {
            state.queue.remove(&key);
            if state.cluster.remove_pod(&key) {
                self.retry(&mut state, ClusterEvent::PodFreed);
            }
        } else if is_assigned(pod) {
            state.queue.remove(&key);
            state.cluster.set_pod(pod.clone());
        } else if wants_us(pod) {
            self.enqueue(&mut state, delta);
        }
    }

    fn enqueue(&self, state: &mut State, delta: &Delta<Pod>) {
        if let Delta::Updated { old, new } = delta
            && old.spec == new.spec
            && old.metadata.labels == new.metadata.labels
            && state.queue.get(&ObjectKey::of(&**new)).is_some()
        {
            return; // only its status changed, most likely by ourselves
        }
        let info = PodInfo::new(delta.object().clone());
        let gated = self.profile.plugins().any(|plugin| plugin.pre_enqueue(&info).is_err());
        state.queue.add(info, gated);
        self.changed.notify_one();
    }

    fn retry(&self, state: &mut State, event: ClusterEvent) {
        let helps = |name: &str, event| {
            self.profile.plugins().any(|plugin| plugin.name() == name && plugin.helped_by(event))
        };
        state.queue.on_event(event, helps, Instant::now());
        self.changed.notify_one();
    }

    /// The try failed: what was assumed is taken back and the pod waits.
    fn failed(&self, pod: &PodInfo, plugins: BTreeSet<&'static str>) {
        let mut state = self.state.lock();
        if plugins.is_empty() {
            state.cluster.remove_pod(&pod.key);
        }
        state.queue.failed(&pod.key, plugins, Instant::now());
        self.changed.notify_one();
    }
}

/// Pods of other schedulers and pods that are being deleted are not ours.
fn wants_us(pod: &Pod) -> bool {
    let name = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(DEFAULT_SCHEDULER);
    name == DEFAULT_SCHEDULER && pod.metadata.deletion_timestamp.is_none()
}

/// Heartbeats do not make a node take more pods.
fn matters_to_pods(old: &Node, new: &Node) -> bool {
    let offers = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    old.spec != new.spec || old.metadata.labels != new.metadata.labels || offers(old) != offers(new)
}

struct Writer {
    client: kube::Client,
    recorder: EventRecorder,
    shared: Arc<Shared>,
}

impl Writer {
    async fn write(&self, pod: PodInfo, outcome: Outcome) {
        match outcome {
            Outcome::Bind { node } => self.bind(pod, &node).await,
            Outcome::Unschedulable { message, plugins } => {
                self.shared.failed(&pod, plugins);
                self.report(&pod, "Unschedulable", &message).await;
            }
        }
    }

    async fn bind(&self, pod: PodInfo, node: &str) {
        let about = ObjectRef::of(&*pod.pod);
        match bind(&self.client, &pod, node).await {
            Ok(()) => {
                self.shared.state.lock().attempts.scheduled += 1;
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.recorder.event(&about, EventType::Normal, "Scheduled", message);
            }
            // Gone, or bound by somebody else meanwhile: the informer tells the rest.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.shared.failed(&pod, BTreeSet::new());
            }
            Err(error) => {
                self.shared.state.lock().attempts.error += 1;
                self.shared.failed(&pod, BTreeSet::new());
                self.report(&pod, "SchedulerError", &format!("binding rejected: {error}")).await;
            }
        }
    }

    async fn report(&self, pod: &PodInfo, reason: &str, message: &str) {
        self.recorder.event(&ObjectRef::of(&*pod.pod), EventType::Warning, "FailedScheduling", message);
        if let Err(error) = report_unscheduled(&self.client, pod, reason, message).await {
            tracing::debug!(pod = %pod.key, %error, "the pod's condition was not written");
        }
    }
}
