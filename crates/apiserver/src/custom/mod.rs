//! Custom resources: a definition adds rows to the table of served resources at run time, and nothing else. Every
//! request for its objects goes the generic path.
//!
//! ```text
//!  store ─▶ follow ─▶ Definitions ─▶ rows in Storage::routes ─▶ discovery, OpenAPI, requests
//!                          └─▶ queue ─▶ keeper ─▶ status of the definition; its objects' end
//! ```

mod columns;
mod conditions;
mod definitions;
mod keeper;
mod kind;
mod rows;
mod rules;
mod status;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::authorization::{Index, follow};
use crate::server::ApiServer;

pub use definitions::Definitions;
pub use kind::CustomType;

const GROUP: &str = "apiextensions.k8s.io";
const VERSION: &str = "v1";
const PLURAL: &str = "customresourcedefinitions";
/// Keeps a deleted definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

impl ApiServer {
    /// Serves custom resources by the definitions in the store until `stop` is cancelled; returns after every task has
    /// ended. Without it, definitions are objects like others and add nothing.
    pub async fn run_custom_resources(&self, stop: CancellationToken) {
        let definitions = self.0.definitions.clone();
        let Some(source) = self.0.storage.source(GROUP, PLURAL) else {
            definitions.position.set_complete();
            return;
        };
        let mut tasks = JoinSet::new();
        let (index, position): (Arc<dyn Index>, _) = (definitions.clone(), definitions.position.clone());
        tasks.spawn(follow(source, PLURAL, index, position, stop.clone()));
        let (server, token) = (self.0.clone(), stop.clone());
        tasks.spawn(async move { keeper::run(&server, token).await });
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task that serves custom resources died");
                stop.cancel();
            }
        }
    }

    /// Waits until the definitions that the store held at the start are served.
    pub async fn custom_resources_synced(&self) {
        self.0.definitions.position.synced().await;
    }
}
