//! `steersman runtime`: the container runtime with the pod network of its node, behind CRI.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use steersman_container_runtime::{NodeImages, NodeNetwork, Runtime, RuntimeConfig};
use steersman_image::{ImageStore, Registries};
use steersman_network::{Ipv4Range, PodNetwork, PodNetworkConfig};

use crate::data_dir::DataDir;
use crate::flags::unix_socket;
use crate::parts::{self, Parts};
use crate::settings::{ClusterSettings, RegistrySettings, first_pod_cidr};

pub const BRIDGE: &str = "steersman0";
pub const NETWORK_TABLE: &str = "steersman-pods";
/// How long the runtime may take to answer on its socket.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub struct Arguments {
    /// Endpoint on which to serve CRI; cri.sock below --root if not given.
    #[arg(long, value_parser = unix_socket, value_name = "ENDPOINT")]
    listen: Option<PathBuf>,
    /// Directory of images, containers and pods' addresses.
    #[arg(long, default_value = "/var/lib/steersman", value_name = "DIR")]
    root: PathBuf,
    #[command(flatten)]
    cluster: ClusterSettings,
    /// Addresses of this node's pods; the first /24 of the cluster's if not given.
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<Ipv4Range>,
    #[command(flatten)]
    registries: RegistrySettings,
}

/// How a runtime is set up.
pub struct Options {
    pub socket: PathBuf,
    pub pod_range: Ipv4Range,
    pub cluster_range: Ipv4Range,
    pub service_range: Ipv4Range,
    pub registries: Registries,
}

/// Serves CRI until it is told to stop. Containers go on; `steersman down` with the same directory removes them.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("runtime")?;
    let data_dir = DataDir::new(&arguments.root)?;
    data_dir.create().context("--root cannot be used")?;
    let _lock = data_dir.lock()?;
    let cluster = &arguments.cluster;
    let options = Options {
        socket: arguments.listen.clone().unwrap_or_else(|| data_dir.cri_socket()),
        pod_range: arguments.pod_cidr.unwrap_or_else(|| first_pod_cidr(cluster.cluster_cidr)),
        cluster_range: cluster.cluster_cidr,
        service_range: cluster.service_cidr,
        registries: arguments.registries.registries(),
    };
    let start = async |parts: &mut Parts| {
        start(&options, &data_dir, parts).await?;
        tracing::info!(socket = %options.socket.display(), "serving CRI");
        Ok(())
    };
    parts::run(super::LOG, start, || {}, async |()| {})
}

/// Sets up the pod network and serves CRI, and images on the control socket; returns when the runtime answers.
pub async fn start(options: &Options, data_dir: &DataDir, parts: &mut Parts) -> Result<Arc<ImageStore>> {
    let network = Arc::new(pod_network(options, data_dir)?);
    let setting_up = network.clone();
    tokio::task::spawn_blocking(move || setting_up.set_up())
        .await?
        .context("could not set up the pod network")?;
    let path = data_dir.images();
    let opened = tokio::task::spawn_blocking(move || ImageStore::open(path)).await?;
    let images = Arc::new(opened.context("could not open the image store")?);
    let seam = Arc::new(NodeImages::new(images.clone(), options.registries.clone()));
    let config = RuntimeConfig::for_data_dir(data_dir.path());
    let runtime = Runtime::start(config, seam, Arc::new(NodeNetwork::new(network))).await?;
    let (socket, stop) = (options.socket.clone(), parts.stop.clone());
    parts.spawn("runtime", async move { Ok(runtime.serve(&socket, stop).await?) });
    wait_for_socket(&options.socket).await?;
    let (control, shared, stop) = (data_dir.control_socket(), images.clone(), parts.stop.clone());
    parts.spawn("control socket", async move { crate::control::serve(&control, shared, stop).await });
    Ok(images)
}

fn pod_network(options: &Options, data_dir: &DataDir) -> Result<PodNetwork> {
    let config = PodNetworkConfig {
        bridge: BRIDGE.to_owned(),
        table: NETWORK_TABLE.to_owned(),
        pod_range: options.pod_range,
        cluster_range: options.cluster_range,
        service_range: options.service_range,
        state_dir: data_dir.addresses(),
        mtu: None,
    };
    PodNetwork::open(config).context("could not open the pod network")
}

/// Removes the pods' links, the bridge, the rules and the addresses of pods. Needs nothing of how the node was started
/// but where.
pub fn tear_down_network(data_dir: &DataDir) -> Result<()> {
    PodNetwork::tear_down(BRIDGE, NETWORK_TABLE, &data_dir.addresses())
        .context("could not remove the pod network")
}

/// The socket appears when the runtime listens.
async fn wait_for_socket(socket: &Path) -> Result<()> {
    let connected = async {
        while tokio::net::UnixStream::connect(socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(TIMEOUT, connected).await;
    waited.with_context(|| format!("the runtime does not listen on {}", socket.display()))
}
