//! `steersman server`: the control plane in one process. `up` has it too, with a node beside it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use steersman_apiserver::Place;
use steersman_controller_runtime::SharedInformers;
use steersman_controllers::ControllersConfig;

use crate::addons;
use crate::components::apiserver::{self, NODE_PORTS, RunningApi, advertised};
use crate::components::{controller_manager, scheduler};
use crate::data_dir::DataDir;
use crate::parts::{self, Parts};
use crate::progress::Progress;
use crate::settings::{ClusterSettings, DataDirArgument, ServerSettings};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    #[command(flatten)]
    cluster: ClusterSettings,
    #[command(flatten)]
    server: ServerSettings,
    /// Address by which nodes and pods reach the API; that of the default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    advertise_address: Option<Ipv4Addr>,
}

/// A running control plane.
pub struct Server {
    pub api: RunningApi,
    /// What everything in this process reads through.
    pub informers: SharedInformers,
}

/// Runs the control plane until it is told to stop.
pub fn main(arguments: &Arguments) -> Result<()> {
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    data_dir.create()?;
    let _lock = data_dir.lock()?;
    let start = async |parts: &mut Parts| {
        let mut progress = Progress::new();
        let Arguments { cluster, server: settings, .. } = arguments;
        let names = settings.tls_san.clone();
        let advertise = advertised(arguments.advertise_address)?;
        let server = start(settings, cluster, advertise, names, &data_dir, parts, &mut progress).await?;
        parts.renew_certificates(server.api.pki.clone());
        progress.all_ready(&data_dir.admin_kubeconfig());
        Ok(server)
    };
    parts::run("warn", start, || {}, async |server: Server| server.close().await)
}

/// Starts store, API server, controllers and scheduler; returns when the API answers. `names` are those of the
/// certificate beside the usual ones.
pub async fn start(
    settings: &ServerSettings,
    cluster: &ClusterSettings,
    advertise: Ipv4Addr,
    names: Vec<String>,
    data_dir: &DataDir,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<Server> {
    let options = apiserver::Options {
        listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.api_port)),
        advertise,
        names,
        services: cluster.service_cidr,
        node_ports: NODE_PORTS,
        port_flag: "--api-port",
        services_flag: "--service-cidr",
        audit: settings.requests.open_audit()?,
        requests_inflight: settings.requests.seats(),
        components: apiserver::components(Place::SameProcess, Place::SameProcess),
    };
    let api = apiserver::start(&options, data_dir, parts, progress).await?;
    let watcher = api.client("system:informers", &["system:masters"]);
    let informers = SharedInformers::new(watcher, parts.stop.child_token());
    scheduler::start(api.client("system:kube-scheduler", &[]), &informers, parts);
    let config = ControllersConfig {
        root_ca: api.pki.ca().certificate_pem().to_owned(),
        // A range smaller than one node's has nothing to share out.
        cluster_cidr: cluster.cluster_cidr.to_string().parse().ok(),
        ..ControllersConfig::default()
    };
    controller_manager::start(api.service_accounts(), &informers, config, parts);
    let server = Server { api, informers };
    addons::ensure_access_of_nodes(&server.administrator()).await?;
    Ok(server)
}

impl Server {
    /// Who makes the objects that every cluster has.
    pub fn administrator(&self) -> kube::Client {
        self.api.client("system:steersman", &["system:masters"])
    }

    /// Ends what the parts stood on; everything acknowledged is on disk when it returns.
    pub async fn close(self) {
        self.informers.stopped().await;
        self.api.close().await;
    }
}
