//! Events: what happened to an object, for people. Repeats become a count on one event, floods are cut.

mod correlator;

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource as WireSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use correlator::{Correlator, Verdict};

/// How many events may wait to be written; more are dropped and counted in the log.
const QUEUE: usize = 1000;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Something went its way.
    Normal,
    /// Something to look at.
    Warning,
}

impl EventType {
    /// The wire value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Who reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventSource {
    /// `kubelet`, `default-scheduler`, `deployment-controller`, ….
    pub component: String,
    /// The node, where one reports; else empty.
    pub host: String,
}

/// The object that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct ObjectRef {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    /// A part of the object, such as `spec.containers{web}`; empty for the whole.
    pub field_path: String,
}

impl ObjectRef {
    /// A reference to `object`.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta().clone();
        Self {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            field_path: String::new(),
        }
    }

    /// The same object, a part of it.
    #[must_use]
    pub fn part(mut self, field_path: impl Into<String>) -> Self {
        self.field_path = field_path.into();
        self
    }
}

/// One thing that happened, before it is an Event object.
#[derive(Clone, Debug)]
struct Happening {
    about: ObjectRef,
    kind: EventType,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Takes events from a component; never waits.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<Happening>,
}

/// Writes what the recorders took.
pub struct EventWriter {
    client: Client,
    source: EventSource,
    queue: mpsc::Receiver<Happening>,
    correlator: Correlator,
}

impl EventRecorder {
    /// A recorder and the writer behind it, which somebody must run.
    pub fn new(client: Client, source: EventSource) -> (Self, EventWriter) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let writer = EventWriter { client, source, queue, correlator: Correlator::default() };
        (Self { queue: sender }, writer)
    }

    /// Reports that something happened to `about`.
    pub fn event(&self, about: &ObjectRef, kind: EventType, reason: &str, message: impl Into<String>) {
        let happening = Happening {
            about: about.clone(),
            kind,
            reason: reason.to_owned(),
            message: message.into(),
            at: Timestamp::now(),
        };
        if self.queue.try_send(happening).is_err() {
            tracing::warn!(object = %about.name, reason, "too many events are waiting; this one is dropped");
        }
    }
}

impl EventWriter {
    /// Writes events until `stop`, and then those that still wait.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let happening = tokio::select! {
                () = stop.cancelled() => break,
                happening = self.queue.recv() => happening,
            };
            match happening {
                Some(happening) => self.write(happening).await,
                None => return,
            }
        }
        while let Ok(happening) = self.queue.try_recv() {
            self.write(happening).await;
        }
    }

    async fn write(&mut self, happening: Happening) {
        let result = match self.correlator.judge(&self.source, &happening) {
            Verdict::Drop => return,
            Verdict::Create { message } => self.create(&happening, &message).await,
            Verdict::Repeat { name, count, message } => {
                match self.repeat(&happening, &name, count, &message).await {
                    // The old event has expired meanwhile.
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        self.create(&happening, &message).await
                    }
                    other => other,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(reason = %happening.reason, object = %happening.about.name, %error, "event not written");
        }
    }

    async fn create(&mut self, happening: &Happening, message: &str) -> Result<(), kube::Error> {
        let event = new_event(&self.source, happening, message);
        let name = event.metadata.name.clone().unwrap_or_default();
        self.api(happening).create(&PostParams::default(), &event).await?;
        self.correlator.created(&self.source, happening, message, name);
        Ok(())
    }

    async fn repeat(
        &self,
        happening: &Happening,
        name: &str,
        count: i32,
        message: &str,
    ) -> Result<(), kube::Error> {
        let patch = serde_json::json!({
            "count": count, "lastTimestamp": Time(happening.at), "message": message,
        });
        self.api(happening).patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop)
    }

    fn api(&self, happening: &Happening) -> Api<Event> {
        Api::namespaced(self.client.clone(), event_namespace(&happening.about))
    }
}

/// Events about cluster-wide objects live in `default`.
fn event_namespace(about: &ObjectRef) -> &str {
    if about.namespace.is_empty() { "default" } else { &about.namespace }
}

fn new_event(source: &EventSource, happening: &Happening, message: &str) -> Event {
    let about = &happening.about;
    let some = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(about, happening.at)),
            namespace: Some(event_namespace(about).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: some(&about.api_version),
            kind: some(&about.kind),
            namespace: some(&about.namespace),
            name: some(&about.name),
            uid: some(&about.uid),
            resource_version: some(&about.resource_version),
            field_path: some(&about.field_path),
        },
        reason: some(&happening.reason),
        message: some(message),
        type_: Some(happening.kind.as_str().to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(happening.at)),
        last_timestamp: Some(Time(happening.at)),
        source: Some(WireSource { component: some(&source.component), host: some(&source.host) }),
        reporting_component: some(&source.component),
        reporting_instance: some(&source.host),
        ..Event::default()
    }
}

/// `<object>.<time in hex>`, as client-go names events.
fn event_name(about: &ObjectRef, at: Timestamp) -> String {
    let mut name = about.name.clone();
    write!(name, ".{:x}", at.as_nanosecond()).expect("writing to a string does not fail");
    name
}
