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
    /// The service account of `kube-system` that it acts as: the roles `system:controller:*` are bound to these.
    pub account: &'static str,
    start: fn(Context) -> BoxFuture<'static, ()>,
}

/// Every controller there is.
pub const CONTROLLERS: &[Controller] = &[
    Controller {
        name: "serviceaccount-controller",
        account: "service-account-controller",
        start: |c| Box::pin(crate::service_account::run(c)),
    },
    Controller {
        name: "root-ca-certificate-publisher-controller",
        account: "root-ca-cert-publisher",
        start: |c| Box::pin(crate::root_ca::run(c)),
    },
    Controller {
        name: "namespace-controller",
        account: "namespace-controller",
        start: |c| Box::pin(crate::namespace::run(c)),
    },
    Controller {
        name: "clusterrole-aggregation-controller",
        account: "clusterrole-aggregation-controller",
        start: |c| Box::pin(crate::cluster_role_aggregation::run(c)),
    },
    Controller {
        name: "replicaset-controller",
        account: "replicaset-controller",
        start: |c| Box::pin(crate::replica_set::run(c)),
    },
    Controller {
        name: "deployment-controller",
        account: "deployment-controller",
        start: |c| Box::pin(crate::deployment::run(c)),
    },
    Controller {
        name: "endpointslice-controller",
        account: "endpointslice-controller",
        start: |c| Box::pin(crate::endpoint_slice::run(c)),
    },
    Controller {
        name: "endpoints-controller",
        account: "endpoint-controller",
        start: |c| Box::pin(crate::endpoints::run(c)),
    },
    Controller {
        name: "endpointslice-mirroring-controller",
        account: "endpointslicemirroring-controller",
        start: |c| Box::pin(crate::endpoint_slice_mirroring::run(c)),
    },
    Controller {
        name: "garbage-collector-controller",
        account: "generic-garbage-collector",
        start: |c| Box::pin(crate::garbage_collector::run(c)),
    },
    Controller {
        name: "pod-garbage-collector-controller",
        account: "pod-garbage-collector",
        start: |c| Box::pin(crate::pod_garbage_collector::run(c)),
    },
    Controller {
        name: "node-lifecycle-controller",
        account: "node-controller",
        start: |c| Box::pin(crate::node_lifecycle::run(c)),
    },
    Controller {
        name: "taint-eviction-controller",
        account: "node-controller",
        start: |c| Box::pin(crate::taint_eviction::run(c)),
    },
    Controller {
        name: "node-ipam-controller",
        account: "node-controller",
        start: |c| Box::pin(crate::node_ipam::run(c)),
    },
    Controller {
        name: "service-cidr-controller",
        account: "service-cidrs-controller",
        start: |c| Box::pin(crate::service_cidr::run(c)),
    },
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
        config: Arc<ControllersConfig>,
        stop: CancellationToken,
    ) -> Self {
        Self { client, informers, config, stop }
    }
}

/// A name that no controller has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not in the list of known controllers")]
pub struct UnknownController(String);

/// The controllers that `--controllers` names: `*` stands for all, `foo` for this one, `-foo` takes it out; what is
/// named counts more than `*`.
pub fn select(names: &[String]) -> Result<Vec<Controller>, UnknownController> {
    let known = |name: &str| name == "*" || CONTROLLERS.iter().any(|controller| controller.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name.strip_prefix('-').unwrap_or(name))) {
        return Err(UnknownController(unknown.clone()));
    }
    let named = |wanted: &str| names.iter().any(|name| name == wanted);
    let chosen = |controller: &&Controller| {
        let name = controller.name;
        named(name) || (named("*") && !named(&format!("-{name}")))
    };
    Ok(CONTROLLERS.iter().filter(chosen).copied().collect())
}

/// Runs `controllers` until `stop`; returns after all of them ended. `client_for` gives the client of a service
/// account of `kube-system`, so that each controller may do no more than its own role says.
pub async fn run(
    controllers: &[Controller],
    client_for: impl Fn(&str) -> Client,
    informers: SharedInformers,
    config: ControllersConfig,
    stop: CancellationToken,
) {
    let config = Arc::new(config);
    let mut running = JoinSet::new();
    for controller in controllers {
        let client = client_for(controller.account);
        let context = Context::new(client, informers.clone(), config.clone(), stop.clone());
        running.spawn(controller.run(context));
    }
    while let Some(ended) = running.join_next().await {
        if let Err(panic) = ended {
            tracing::error!(%panic, "a controller panicked; stopping the others");
            stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_chosen_by_name() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            select(&names).map(|chosen| chosen.iter().map(|controller| controller.name).collect::<Vec<_>>())
        };
        let all = CONTROLLERS.len();
        assert_eq!(chosen(&["*"]).unwrap().len(), all);
        assert_eq!(chosen(&["*", "-deployment-controller"]).unwrap().len(), all - 1);
        assert_eq!(chosen(&["deployment-controller"]).unwrap(), ["deployment-controller"]);
        assert_eq!(chosen(&[]).unwrap(), [""; 0]);
        let unknown = chosen(&["*", "-nonsense"]).unwrap_err().to_string();
        assert_eq!(unknown, "\"-nonsense\" is not in the list of known controllers");
    }
}
