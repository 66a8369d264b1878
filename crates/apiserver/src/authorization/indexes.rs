//! The indexes that authorization decides by, and the tasks that keep them.

use std::sync::Arc;
use std::time::Duration;

use steersman_store::Revision;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::follow::{Index, Position, follow};
use super::{NodeGraph, Rbac};
use crate::storage::Storage;

/// How long a decision waits for news at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// What authorization knows of the cluster. Empty, and so refusing almost everything, until [`Self::run`] has read
/// the store.
pub struct Indexes {
    rbac: Arc<Rbac>,
    graph: Arc<NodeGraph>,
    /// How far each followed resource has been read, in the order of [`Self::followed`].
    positions: Vec<Arc<Position>>,
}

impl Default for Indexes {
    fn default() -> Self {
        let mut indexes = Self { rbac: Arc::default(), graph: Arc::default(), positions: Vec::new() };
        indexes.positions = indexes.followed().iter().map(|_| Arc::default()).collect();
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
        for ((index, group, resource), position) in self.followed().into_iter().zip(&self.positions) {
            match storage.source(group, resource) {
                Some(source) => {
                    tasks.spawn(follow(source, resource, index, position.clone(), stop.clone()));
                }
                None => position.set_complete(),
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
        self.positions.iter().all(|position| position.is_synced())
    }

    /// Waits until everything that the store held has been read.
    pub async fn synced(&self) {
        for position in &self.positions {
            position.synced().await;
        }
    }

    /// Waits until everything up to `revision` has been read, or for a second: then old news must do.
    pub async fn catch_up(&self, revision: Revision) {
        self.positions.iter().for_each(|position| position.want(revision));
        let all = async {
            for position in &self.positions {
                position.reach(revision).await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(%revision, "authorization decides on old news: its indexes do not follow the store");
        }
    }
}
