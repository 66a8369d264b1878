//! What the runtime knows: sandboxes and containers by id.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use steersman_cri as cri;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::stream::Tickets;
use crate::cgroup::Layout;
use crate::client::ShimClient;
use crate::config::RuntimeConfig;
use crate::record::{ContainerRecord, SandboxRecord};
use crate::seams::{Images, Network, SeamError};
use crate::spec::ContainerRun;

/// Events kept for a slow listener; one that falls further behind is cut off and must list again.
const EVENT_BACKLOG: usize = 1024;

pub struct Inner {
    pub config: RuntimeConfig,
    pub layout: Layout,
    pub images: Arc<dyn Images>,
    pub network: Arc<dyn Network>,
    pub sandboxes: Mutex<HashMap<String, Arc<Sandbox>>>,
    pub containers: Mutex<HashMap<String, Arc<Container>>>,
    pub events: broadcast::Sender<cri::ContainerEventResponse>,
    pub tickets: Tickets,
    /// Ends the tasks that listen to shims.
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    /// Cancelled when the server is about to stop.
    pub closing: CancellationToken,
}

/// A sandbox and the way to its shim.
pub struct Sandbox {
    pub id: String,
    pub record: Mutex<SandboxRecord>,
    /// Whether its shim lives.
    pub alive: watch::Sender<bool>,
    pub shim: ShimClient,
    /// Held while it is stopped or removed.
    pub busy: tokio::sync::Mutex<()>,
}

/// A container and what became of it so far.
pub struct Container {
    pub id: String,
    pub record: Mutex<ContainerRecord>,
    pub run: watch::Sender<ContainerRun>,
    /// Held while it is started or removed.
    pub busy: tokio::sync::Mutex<()>,
    /// Last reading of the CPU counter: time and value, both in nanoseconds.
    pub cpu_sample: Mutex<Option<(i64, u64)>>,
}

impl Sandbox {
    pub fn new(record: SandboxRecord, shim: ShimClient) -> Self {
        Self {
            id: record.id.clone(),
            record: Mutex::new(record),
            alive: watch::Sender::new(false),
            shim,
            busy: tokio::sync::Mutex::default(),
        }
    }

    pub fn record(&self) -> SandboxRecord {
        self.record.lock().clone()
    }

    pub fn is_ready(&self) -> bool {
        *self.alive.borrow() && !self.record.lock().stopped
    }
}

impl Container {
    pub fn new(record: ContainerRecord, run: ContainerRun) -> Self {
        Self {
            id: record.id.clone(),
            record: Mutex::new(record),
            run: watch::Sender::new(run),
            busy: tokio::sync::Mutex::default(),
            cpu_sample: Mutex::default(),
        }
    }

    pub fn record(&self) -> ContainerRecord {
        self.record.lock().clone()
    }

    pub fn run(&self) -> ContainerRun {
        self.run.borrow().clone()
    }

    pub fn state(&self) -> cri::ContainerState {
        super::status::state(&self.run.borrow())
    }

    /// Takes news about it. What ended stays ended: an answer to the start may overtake the news of the end.
    pub fn update(&self, run: ContainerRun) {
        self.run.send_if_modified(|current| {
            let newer = current.exit.is_none() && *current != run;
            if newer {
                *current = run;
            }
            newer
        });
    }
}

impl Inner {
    pub fn new(
        config: RuntimeConfig,
        layout: Layout,
        images: Arc<dyn Images>,
        network: Arc<dyn Network>,
    ) -> Self {
        Self {
            config,
            layout,
            images,
            network,
            sandboxes: Mutex::default(),
            containers: Mutex::default(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            tickets: Tickets::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// The sandbox with this id or the only one whose id starts so.
    pub fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>, Status> {
        find(&self.sandboxes.lock(), id)
            .ok_or_else(|| Status::not_found(format!("could not find sandbox {id:?}")))
    }

    /// The container with this id or the only one whose id starts so.
    pub fn container(&self, id: &str) -> Result<Arc<Container>, Status> {
        find(&self.containers.lock(), id)
            .ok_or_else(|| Status::not_found(format!("could not find container {id:?}")))
    }

    pub fn all_sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.lock().values().cloned().collect()
    }

    pub fn all_containers(&self) -> Vec<Arc<Container>> {
        self.containers.lock().values().cloned().collect()
    }

    pub fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        let all = self.containers.lock();
        all.values().filter(|c| c.record.lock().sandbox == sandbox).cloned().collect()
    }
}

fn find<T>(all: &HashMap<String, Arc<T>>, id: &str) -> Option<Arc<T>> {
    if let Some(found) = all.get(id) {
        return Some(found.clone());
    }
    let mut matches = all.iter().filter(|(full, _)| !id.is_empty() && full.starts_with(id));
    let (first, second) = (matches.next(), matches.next());
    first.filter(|_| second.is_none()).map(|(_, found)| found.clone())
}

/// 64 hexadecimal digits, as every runtime names things.
pub fn new_id() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The gRPC status of a seam's error.
pub fn seam_status(error: SeamError) -> Status {
    let message = error.to_string();
    match error {
        SeamError::NotFound(_) => Status::not_found(message),
        SeamError::Invalid(_) => Status::invalid_argument(message),
        SeamError::Unavailable(_) => Status::unavailable(message),
        SeamError::Failed(_) => Status::unknown(message),
    }
}

/// A failure of the machine while doing `what`.
pub fn failed(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Status {
    Status::unknown(format!("{what}: {error}"))
}

/// Runs blocking work and names it in the error.
pub async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| failed(what, e)),
        Err(error) => Err(failed(what, error)),
    }
}
