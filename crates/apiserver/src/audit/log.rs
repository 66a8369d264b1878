//! The log: JSON lines behind a bounded queue.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::policy::{Policy, PolicyError};
use super::rotation::{RotatingFile, Rotation};

/// Events that may wait to be written; more are dropped (`--audit-log-batch-buffer-size` upstream).
const QUEUE: usize = 10_000;
/// Events that are written at once.
const BATCH: usize = 400;

/// Where the log is, and for how long.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The file; `-` for standard output.
    pub path: PathBuf,
    /// Days after which an old file is removed; 0 for never.
    pub max_age_days: u32,
    /// Old files that are kept; 0 for all.
    pub max_backups: u32,
    /// Megabytes after which a file is put aside.
    pub max_size_megabytes: u32,
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The policy file cannot be read.
    #[error("could not read the audit policy file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The policy file is wrong.
    #[error("the audit policy file {path} is wrong")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What.
        source: PolicyError,
    },
    /// The log cannot be opened.
    #[error("could not open the audit log {path}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The audit log of one server.
pub struct Audit {
    pub(super) policy: Policy,
    queue: mpsc::Sender<Vec<u8>>,
    receiver: Mutex<Option<mpsc::Receiver<Vec<u8>>>>,
    file: Arc<Mutex<RotatingFile>>,
    events: AtomicU64,
    dropped: Arc<AtomicU64>,
}

impl Audit {
    /// The log that the policy in a file wants.
    pub fn open(policy: PathBuf, options: LogOptions) -> Result<Self, AuditError> {
        let text = std::fs::read(&policy)
            .map_err(|source| AuditError::Unreadable { path: policy.clone(), source })?;
        let parsed =
            Policy::parse(&text).map_err(|source| AuditError::Policy { path: policy.clone(), source })?;
        Self::new(parsed, options)
    }

    /// The log that `policy` wants.
    pub fn new(policy: Policy, options: LogOptions) -> Result<Self, AuditError> {
        let rotation = Rotation {
            max_age_days: options.max_age_days,
            max_backups: options.max_backups as usize,
            max_bytes: u64::from(options.max_size_megabytes.max(1)) * 1024 * 1024,
        };
        let file = RotatingFile::open(options.path.clone(), rotation)
            .map_err(|source| AuditError::Log { path: options.path, source })?;
        let (queue, receiver) = mpsc::channel(QUEUE);
        Ok(Self {
            policy,
            queue,
            receiver: Mutex::new(Some(receiver)),
            file: Arc::new(Mutex::new(file)),
            events: AtomicU64::new(0),
            dropped: Arc::default(),
        })
    }

    /// Writes events until `stop`, then those that wait. Only the first call does.
    pub async fn run(&self, stop: CancellationToken) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        loop {
            let mut lines = Vec::new();
            // Cancel-safe: nothing is taken from the queue unless it is given.
            if stop.run_until_cancelled(receiver.recv_many(&mut lines, BATCH)).await.is_none() {
                break;
            }
            self.append(lines).await;
        }
        receiver.close();
        let mut rest = Vec::new();
        while receiver.recv_many(&mut rest, BATCH).await > 0 {
            self.append(std::mem::take(&mut rest)).await;
        }
    }

    async fn append(&self, lines: Vec<Vec<u8>>) {
        let (file, count) = (self.file.clone(), lines.len() as u64);
        let written = tokio::task::spawn_blocking(move || file.lock().append(&lines)).await;
        let failed = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.dropped.fetch_add(count, Ordering::Relaxed);
        tracing::error!(error = failed, count, "audit events are lost: the log cannot be written");
    }

    /// Puts an event into the queue; drops it if that is full.
    pub(super) fn write(&self, event: &Map<String, Value>) {
        let mut line = serde_json::to_vec(event).expect("a tree has string keys, and a Vec takes every byte");
        line.push(b'\n');
        self.events.fetch_add(1, Ordering::Relaxed);
        let Err(refused) = self.queue.try_send(line) else { return };
        let before = self.dropped.fetch_add(1, Ordering::Relaxed);
        // Once in a while is enough: the metric has the number.
        if before.is_multiple_of(1000) {
            tracing::error!(why = %refused, "audit events are lost: more come than can be written, or the log has ended");
        }
    }

    /// The metrics, in Prometheus's text form.
    pub(crate) fn metrics(&self) -> String {
        let (events, dropped) = (self.events.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed));
        format!(
            "# HELP apiserver_audit_event_total Counter of audit events generated and sent to the audit backend.\n\
             # TYPE apiserver_audit_event_total counter\napiserver_audit_event_total {events}\n\
             # HELP apiserver_audit_error_total Counter of audit events that failed to be audited properly. Plugin \
             identifies the plugin affected by the error.\n\
             # TYPE apiserver_audit_error_total counter\napiserver_audit_error_total{{plugin=\"log\"}} {dropped}\n"
        )
    }
}
