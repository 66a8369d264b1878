//! The indexes that authorization decides by, and the tasks that keep them.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::follow::{Index, follow};
use super::{NodeGraph, Rbac};
use crate::storage::Storage;

/// What authorization knows of the cluster. Empty, and so refusing almost everything, until [`Self::run`] has read
/// the store.
pub struct Indexes {
    rbac: Arc<Rbac>,
    graph: Arc<NodeGraph>,
    /// Whether each followed resource has been read, in the order of [`Self::followed`].
    synced: Vec<watch::Sender<bool>>,
}

impl Default for Indexes {
    fn default() -> Self {
        let mut indexes = Self { rbac: Arc::default(), graph: Arc::default(), synced: Vec::new() };
        indexes.synced = indexes.followed().iter().map(|_| watch::Sender::new(false)).collect();
        indexes
    }
}

impl Indexes {
    /// Roles and bindings.
    pub fn rbac(&self) -> &Arc<Rbac> {
        &self.rbac
    }

    /// What pods refer to.
    pub fn graph(&self) -> &Arc<NodeGraph> {
        &self.graph
    }

    /// Each index with a resource it is made of.
    fn followed(&self) -> Vec<(Arc<dyn Index>, &'static str, &'static str)> {
        let indexes: [Arc<dyn Index>; 2] = [self.rbac.clone(), self.graph.clone()];
        let resources = |index: Arc<dyn Index>| {
            let pairs = index.resources().iter();
            pairs.map(|(group, resource)| (index.clone(), *group, *resource)).collect::<Vec<_>>()
        };
        indexes.into_iter().flat_map(resources).collect()
    }

    /// Follows the store until `stop` is cancelled; returns after every task has ended. A resource that is not
    /// served counts as read.
    pub async fn run(&self, storage: &Storage, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for ((index, group, resource), synced) in self.followed().into_iter().zip(&self.synced) {
            match storage.source(group, resource) {
                Some(source) => {
                    tasks.spawn(follow(source, resource, index, synced.clone(), stop.clone()));
                }
                None => drop(synced.send_replace(true)),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                // Without the index every decision would be made on old news: better none than that.
                tracing::error!(%error, "a task that keeps authorization's indexes died");
                stop.cancel();
            }
        }
    }

    /// Whether everything that the store held has been read.
    pub fn is_synced(&self) -> bool {
        self.synced.iter().all(|synced| *synced.borrow())
    }

    /// Waits until everything that the store held has been read.
    pub async fn synced(&self) {
        for synced in &self.synced {
            // The sender is ours, so the channel is open.
            let _ = synced.subscribe().wait_for(|synced| *synced).await;
        }
    }
}
