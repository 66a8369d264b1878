//! `steersman controller-manager`: kube-controller-manager.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ArgAction;
use steersman_client::Connection;
use steersman_controller_runtime::{Queues, SharedInformers};
use steersman_controllers::{CONTROLLERS, ClusterCidr, Controller, ControllersConfig, select};
use steersman_pki::certificates_pem;
use steersman_secure_serving::{Collector, MetricKind};

use super::connection::{ConnectionArguments, informers};
use super::election::ElectionArguments;
use super::serving::{ServingArguments, Shown};
use crate::parts::{self, Parts};

/// Where it serves if it is not told otherwise.
pub const PORT: u16 = 10257;
const NAME: &str = "kube-controller-manager";
const NAMESPACE: &str = "kube-system";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Controllers to run: * for all, foo for the one of this name, -foo to leave it out.
    #[arg(long, value_delimiter = ',', default_value = "*", allow_hyphen_values = true, value_name = "NAME")]
    controllers: Vec<String>,
    /// Act as each controller's own service account instead of as the kubeconfig's user, who may do much less.
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    use_service_account_credentials: bool,
    /// Authorities (PEM) that pods trust for the API server; the kubeconfig's if not given.
    #[arg(long, value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
    /// Give each node a part of --cluster-cidr for its pods.
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL")]
    allocate_node_cidrs: bool,
    /// Addresses of pods; needs --allocate-node-cidrs.
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Option<ClusterCidr>,
    /// How many ended pods are kept; 0 for all.
    #[arg(long, default_value_t = 12_500, value_name = "NUMBER")]
    terminated_pod_gc_threshold: usize,
    #[command(flatten)]
    election: ElectionArguments,
    /// Port of health and metrics over HTTPS; 0 for none.
    #[arg(long, default_value_t = PORT, value_name = "PORT")]
    secure_port: u16,
    #[command(flatten)]
    serving: ServingArguments,
}

/// Runs the controllers until it is told to stop, or leads no more.
pub fn main(arguments: &Arguments) -> Result<()> {
    let start = async |parts: &mut Parts| {
        let chosen = select(&arguments.controllers).context("--controllers names what there is not")?;
        let connection = arguments.connection.open().await?;
        let config = arguments.config(&connection)?;
        let informers = informers(&connection, parts)?;
        let turn = arguments.election.turn(connection.client()?, NAME, NAME)?;
        let shown = Shown {
            checks: turn.check().into_iter().collect(),
            collectors: turn.collector().into_iter().chain([metrics(config.queues.clone())]).collect(),
        };
        arguments.serving.start(arguments.secure_port, &connection, shown, parts).await?;
        let (client_for, shared) = (arguments.clients(&connection)?, informers.clone());
        turn.start(parts, "controllers", move |stop| async move {
            steersman_controllers::run(&chosen, client_for, shared, config, stop).await;
        });
        Ok(informers)
    };
    parts::run(super::LOG, start, || {}, async |informers: SharedInformers| informers.stopped().await)
}

/// Starts all controllers beside other components. `client_for` gives the client of a service account.
pub fn start(
    client_for: impl Fn(&str) -> kube::Client + Send + Sync + 'static,
    informers: &SharedInformers,
    config: ControllersConfig,
    parts: &mut Parts,
) {
    let (shared, stop) = (informers.clone(), parts.stop.clone());
    let all: &[Controller] = CONTROLLERS;
    parts.spawn("controllers", async move {
        steersman_controllers::run(all, client_for, shared, config, stop).await;
        Ok(())
    });
}

type ClientFor = Box<dyn Fn(&str) -> kube::Client + Send + Sync>;

impl Arguments {
    fn config(&self, connection: &Connection) -> Result<ControllersConfig> {
        let cluster_cidr = match (self.allocate_node_cidrs, self.cluster_cidr) {
            (true, None) => bail!("--allocate-node-cidrs needs --cluster-cidr"),
            (true, range) => range,
            (false, _) => None,
        };
        let root_ca = match &self.root_ca_file {
            Some(path) => read_authorities(path)?,
            None => certificates_pem(connection.authorities()),
        };
        Ok(ControllersConfig {
            root_ca,
            cluster_cidr,
            terminated_pod_threshold: self.terminated_pod_gc_threshold,
            queues: Queues::default(),
        })
    }

    /// The client of each controller.
    fn clients(&self, connection: &Connection) -> Result<ClientFor> {
        if self.use_service_account_credentials {
            let accounts = connection.service_accounts(NAMESPACE)?;
            return Ok(Box::new(move |account| accounts.client(account)));
        }
        tracing::warn!(
            "all controllers act as the kubeconfig's user; with upstream's roles that user may not do their work: pass \
             --use-service-account-credentials"
        );
        let own = connection.client()?;
        Ok(Box::new(move |_| own.clone()))
    }
}

fn read_authorities(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("--root-ca-file {} cannot be read", path.display()))?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        bail!("--root-ca-file {} has no PEM certificate", path.display());
    }
    Ok(text)
}

fn metrics(queues: Queues) -> Collector {
    type Number = fn(&steersman_controller_runtime::QueueFigures) -> u64;
    const FAMILIES: &[(&str, MetricKind, &str, Number)] = &[
        ("workqueue_adds_total", MetricKind::Counter, "Total number of adds handled by workqueue", |f| {
            f.added
        }),
        ("workqueue_depth", MetricKind::Gauge, "Current depth of workqueue", |f| f.depth as u64),
        (
            "workqueue_retries_total",
            MetricKind::Counter,
            "Total number of retries handled by workqueue",
            |f| f.retried,
        ),
    ];
    Box::new(move |out| {
        let figures = queues.figures();
        for (name, kind, help, number) in FAMILIES {
            let mut family = out.family(name, *kind, help);
            for (queue, figures) in &figures {
                family.sample(&[("name", queue)], number(figures));
            }
        }
    })
}
