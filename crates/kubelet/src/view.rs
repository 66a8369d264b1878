//! What the runtime has of one pod, as plain values: the input of every decision.

use crate::backoff::Nanos;

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// One container the runtime knows, running or dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id.
    pub id: String,
    /// Name in the pod.
    pub name: String,
    /// The sandbox it is in.
    pub sandbox: String,
    /// How many containers of this name came before it.
    pub attempt: u32,
    /// What it is doing.
    pub state: State,
    /// When it was made, nanoseconds of Unix time.
    pub created_at: Nanos,
    /// When it was started; 0 when it was not.
    pub started_at: Nanos,
    /// When it ended; 0 when it has not.
    pub finished_at: Nanos,
    /// Exit code of an exited container.
    pub exit_code: i32,
    /// The runtime's word for why it ended (`Completed`, `Error`, `OOMKilled`, …).
    pub reason: String,
    /// The runtime's sentence about it.
    pub message: String,
    /// Image as the pod named it.
    pub image: String,
    /// Image by digest.
    pub image_ref: String,
    /// Hash of the part of the specification whose change asks for a restart.
    pub hash: String,
    /// Log file on the host.
    pub log_path: String,
    /// Termination message file on the host; empty when there is none.
    pub message_path: String,
    /// Whether the tail of the log stands in for an empty termination message.
    pub message_from_log: bool,
    /// User, group and supplemental groups of the first process.
    pub user: Option<(i64, i64, Vec<i64>)>,
    /// The signal that asks it to end, when the runtime reports one.
    pub stop_signal: Option<String>,
}

/// One sandbox of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// How many sandboxes of the pod came before it.
    pub attempt: u32,
    /// Whether its namespaces and network stand.
    pub ready: bool,
    /// When it was made, nanoseconds of Unix time.
    pub created_at: Nanos,
    /// Addresses; none with the host's network.
    pub ips: Vec<String>,
}

/// All the runtime has of one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodView {
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Newest first.
    pub containers: Vec<Container>,
}

impl PodView {
    /// Puts sandboxes and containers in order, newest first.
    pub fn new(mut sandboxes: Vec<Sandbox>, mut containers: Vec<Container>) -> Self {
        sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.created_at, sandbox.attempt)));
        containers.sort_by_key(|container| std::cmp::Reverse((container.created_at, container.attempt)));
        Self { sandboxes, containers }
    }

    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// The newest container of this name, in whatever sandbox.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The newest container of this name in the newest sandbox.
    pub fn current(&self, name: &str) -> Option<&Container> {
        let sandbox = &self.sandbox()?.id;
        self.containers.iter().find(|container| container.name == name && container.sandbox == *sandbox)
    }

    /// All containers of this name, newest first.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Container> + use<'a> {
        let name = name.to_owned();
        self.containers.iter().filter(move |container| container.name == name)
    }

    /// The container with this id.
    pub fn by_id(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id)
    }

    /// Containers whose process may be alive.
    pub fn alive(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| matches!(container.state, State::Running | State::Unknown))
    }

    /// Whether the runtime has nothing left of the pod that runs.
    pub fn is_stopped(&self) -> bool {
        self.alive().next().is_none() && self.sandboxes.iter().all(|sandbox| !sandbox.ready)
    }
}
