//! All controllers together.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Client;
use steersman_controller_runtime::SharedInformers;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Context, ControllersConfig};

/// One controller: its upstream name and how it is run.
#[derive(Clone, Copy)]
pub struct Controller {
    /// As `kube-controller-manager --controllers` names it.
    pub name: &'static str,
    start: fn(Context) -> BoxFuture<'static, ()>,
}

/// Every controller there is.
pub const CONTROLLERS: &[Controller] = &[
    Controller { name: "serviceaccount-controller", start: |c| Box::pin(crate::service_account::run(c)) },
    Controller {
        name: "root-ca-certificate-publisher-controller",
        start: |c| Box::pin(crate::root_ca::run(c)),
    },
    Controller { name: "namespace-controller", start: |c| Box::pin(crate::namespace::run(c)) },
    Controller {
        name: "clusterrole-aggregation-controller",
        start: |c| Box::pin(crate::cluster_role_aggregation::run(c)),
    },
    Controller { name: "replicaset-controller", start: |c| Box::pin(crate::replica_set::run(c)) },
    Controller { name: "deployment-controller", start: |c| Box::pin(crate::deployment::run(c)) },
    Controller { name: "endpointslice-controller", start: |c| Box::pin(crate::endpoint_slice::run(c)) },
    Controller { name: "endpoints-controller", start: |c| Box::pin(crate::endpoints::run(c)) },
    Controller {
        name: "endpointslice-mirroring-controller",
        start: |c| Box::pin(crate::endpoint_slice_mirroring::run(c)),
    },
    Controller {
        name: "garbage-collector-controller",
        start: |c| Box::pin(crate::garbage_collector::run(c)),
    },
    Controller {
        name: "pod-garbage-collector-controller",
        start: |c| Box::pin(crate::pod_garbage_collector::run(c)),
    },
    Controller { name: "node-lifecycle-controller", start: |c| Box::pin(crate::node_lifecycle::run(c)) },
    Controller { name: "taint-eviction-controller", start: |c| Box::pin(crate::taint_eviction::run(c)) },
    Controller { name: "node-ipam-controller", start: |c| Box::pin(crate::node_ipam::run(c)) },
];

impl Controller {
    /// Runs this one until the context's stop; returns when all it had under way has ended.
    pub async fn run(self, context: Context) {
        (self.start)(context).await;
    }
}

impl Context {
    /// A context whose controllers read through `informers`, write as `client` and end with `stop`.
    pub fn new(
        client: Client,
        informers: SharedInformers,
        config: ControllersConfig,
        stop: CancellationToken,
    ) -> Self {
        Self { client, informers, config: Arc::new(config), stop }
    }
}

/// Runs every controller until `stop`; returns after all of them ended.
pub async fn run(
    client: Client,
    informers: SharedInformers,
    config: ControllersConfig,
    stop: CancellationToken,
) {
    let context = Context::new(client, informers, config, stop);
    let mut running = JoinSet::new();
    for controller in CONTROLLERS {
        running.spawn(controller.run(context.clone()));
    }
    while let Some(ended) = running.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(%panic, "a controller panicked; stopping the others");
            context.stop.cancel();
        }
    }
}
