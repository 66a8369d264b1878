//! Keeps the plan at what is stored, what is stored at what it must be, and lends seats between levels.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admit::FlowControl;
use super::ensure::ensure;
use super::{GROUP, LEVELS, SCHEMAS};
use crate::authorization::{Change, Index, follow};
use crate::server::ApiServer;
use crate::storage::Storage;
use steersman_apimachinery::meta::Object;

/// How often seats are lent anew, as upstream.
const LENDING_PERIOD: Duration = Duration::from_secs(10);
/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Index for FlowControl {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[(GROUP, LEVELS), (GROUP, SCHEMAS)]
    }

    fn apply(&self, resource: &str, change: Change) {
        self.change(|book| {
            let objects = if resource == LEVELS { &mut book.levels } else { &mut book.schemas };
            match change {
                Change::Replace(all) => {
                    *objects = all.into_iter().map(|object| (object.name().to_owned(), object)).collect();
                }
                Change::Put(object) => drop(objects.insert(object.name().to_owned(), object)),
                Change::Delete(object) => drop(objects.remove(object.name())),
            }
        });
    }
}

impl FlowControl {
    /// Follows the objects, keeps the defaults and lends seats until `stop`; returns after every task has ended. Until
    /// then only the levels that are always there exist.
    pub async fn run(self: Arc<Self>, storage: &Storage, server: &ApiServer, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for ((group, resource), position) in self.resources().iter().zip(&self.positions) {
            match storage.source(group, resource) {
                Some(source) => {
                    tasks.spawn(follow(source, resource, self.clone(), position.clone(), stop.clone()));
                }
                None => position.set_complete(),
            }
        }
        tasks.spawn(keep(self.clone(), server.clone(), stop.clone()));
        tasks.spawn(lend(self, stop.clone()));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of priority and fairness died");
                stop.cancel();
            }
        }
    }
}

async fn keep(flow: Arc<FlowControl>, server: ApiServer, stop: CancellationToken) {
    let work = async {
        for position in &flow.positions {
            position.synced().await;
        }
        loop {
            let (schemas, levels) = flow.objects();
            match ensure(&server, &schemas, &levels).await {
                Ok(()) => {
                    flow.kept();
                    flow.changed.notified().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "could not write the objects of priority and fairness, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    // What is cut off is tried again by the next server.
    stop.run_until_cancelled(work).await;
}

async fn lend(flow: Arc<FlowControl>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LENDING_PERIOD)).await.is_some() {
        flow.end_period();
    }
}
