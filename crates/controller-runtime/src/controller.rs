//! The reconcile loop.

use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::WorkQueue;

/// When a key that was reconciled without an error wants to be looked at again of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue(Option<Duration>);

impl Requeue {
    /// Only when something changes.
    pub const NEVER: Self = Self(None);

    /// After this time at the latest.
    pub fn after(delay: Duration) -> Self {
        Self(Some(delay))
    }

    /// The wait, if any.
    pub fn delay(self) -> Option<Duration> {
        self.0
    }
}

/// Takes keys from `queue` with `workers` tasks and reconciles each until `stop`; returns after all workers ended.
///
/// A key that fails is tried again with back-off; `name` is for the log. A reconcile that is under way when `stop`
/// comes is finished first.
pub async fn run_workers<T, F, R, E>(
    name: &'static str,
    queue: Arc<WorkQueue<T>>,
    workers: usize,
    stop: CancellationToken,
    reconcile: F,
) where
    T: Clone + Eq + Hash + Display + Send + Sync + 'static,
    F: Fn(T) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Requeue, E>> + Send + 'static,
    E: std::error::Error + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(work(name, queue.clone(), stop.clone(), reconcile.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(controller = name, %panic, "a worker panicked; starting another");
            tasks.spawn(work(name, queue.clone(), stop.clone(), reconcile.clone()));
        }
    }
}

async fn work<T, F, R, E>(name: &'static str, queue: Arc<WorkQueue<T>>, stop: CancellationToken, reconcile: F)
where
    T: Clone + Eq + Hash + Display,
    F: Fn(T) -> R,
    R: Future<Output = Result<Requeue, E>>,
    E: std::error::Error,
{
    while let Some(key) = queue.get(&stop).await {
        let claim = Claim { queue: &queue, key: &key };
        match reconcile(key.clone()).await {
            Ok(requeue) => {
                queue.forget(&key);
                if let Some(delay) = requeue.delay() {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                let failures = queue.failures(&key);
                tracing::debug!(controller = name, %key, failures, error = %Chain(&error), "reconcile failed");
                queue.add_rate_limited(key.clone());
            }
        }
        drop(claim);
    }
}

/// Gives the key back even if the reconcile panics, so that no key is lost.
struct Claim<'a, T: Clone + Eq + Hash> {
    queue: &'a WorkQueue<T>,
    key: &'a T,
}

impl<T: Clone + Eq + Hash> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.add_rate_limited(self.key.clone());
        }
        self.queue.done(self.key);
    }
}

/// An error with its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("not yet")]
    struct NotYet;

    #[tokio::test(start_paused = true)]
    async fn a_failing_or_panicking_key_is_tried_again() {
        let (queue, stop) = (Arc::new(WorkQueue::default()), CancellationToken::new());
        let (calls, ended) = (Arc::new(AtomicU32::new(0)), stop.clone());
        queue.add("key".to_owned());
        let counter = calls.clone();
        let reconcile = move |_key: String| {
            let (calls, ended) = (counter.clone(), ended.clone());
            async move {
                match calls.fetch_add(1, Ordering::Relaxed) {
                    0 => Err(NotYet),
                    1 => panic!("reconcile panics"),
                    _ => {
                        ended.cancel();
                        Ok(Requeue::NEVER)
                    }
                }
            }
        };
        run_workers("test", queue, 2, stop, reconcile).await;
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
