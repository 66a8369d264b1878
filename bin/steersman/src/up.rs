//! `steersman up`: a server and an agent in one process, the whole single-node cluster.

mod detach;

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use steersman_kubelet::server::ServerTls;
use steersman_pki::{ClientAuth, ClientVerifier, Profile, server_config};

use crate::addons::{self, DnsPlace};
use crate::agent::{self, NodeApi};
use crate::components::apiserver::identity;
use crate::data_dir::DataDir;
use crate::parts::{self, Parts};
use crate::progress::Progress;
use crate::server::{self, Server};
use crate::settings::{ClusterSettings, DataDirArgument, NodeSettings, ServerSettings};

#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    node: NodeSettings,
    #[command(flatten)]
    cluster: ClusterSettings,
    /// Return when the cluster is ready; it goes on in the background.
    #[arg(long)]
    detach: bool,
    /// Deploy a small web page to look at.
    #[arg(long)]
    demo: bool,
}

/// Runs the cluster until it is told to stop, or starts it in the background.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("up")?;
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    data_dir.create()?;
    if arguments.detach {
        return detach::start(&data_dir);
    }
    let _lock = data_dir.lock()?;
    let start = async |parts: &mut Parts| start(arguments, &data_dir, parts).await;
    let farewell = || println!("stopping; containers go on (steersman down stops them)");
    parts::run("warn", start, farewell, async |server: Server| server.close().await)
}

async fn start(arguments: &Arguments, data_dir: &DataDir, parts: &mut Parts) -> Result<Server> {
    let Arguments { cluster, node, server: settings, .. } = arguments;
    let (name, ip, gateway) = (node.name()?, node.ip(cluster)?, node.gateway(cluster)?);
    let mut progress = Progress::new();
    let names =
        [name.clone(), gateway.to_string()].into_iter().chain(settings.tls_san.iter().cloned()).collect();
    let server = server::start(settings, cluster, ip, names, data_dir, parts, &mut progress).await?;
    let administrator = server.administrator();
    let place = DnsPlace { service: cluster.dns_service()?, node: name.clone(), server: gateway };
    addons::ensure_dns(&administrator, &place).await?;
    let api = NodeApi {
        kubelet: server.api.client(&format!("system:node:{name}"), &["system:nodes"]),
        informers: server.informers.clone(),
        serving: kubelet_serving(&server, &name, ip.into(), parts)?,
        cluster_dns: Some(place.service),
    };
    let images = agent::start(node, cluster, data_dir, api, parts, &mut progress).await?;
    parts.renew_certificates(server.api.pki.clone());
    if arguments.demo {
        crate::demo::deploy(administrator, images).await?;
        progress.ready("demo", format!("http://{ip}:30080"));
    }
    progress.all_ready(&data_dir.admin_kubeconfig());
    Ok(server)
}

/// The kubelet's TLS by the keys of the cluster, which are at hand.
fn kubelet_serving(server: &Server, name: &str, ip: IpAddr, parts: &mut Parts) -> Result<ServerTls> {
    let pki = &server.api.pki;
    let serving = identity(pki, "kubelet", Profile::kubelet_server(name, vec![ip]))?;
    let verifier = ClientVerifier::new([pki.ca().certificate()])?;
    let config = server_config(serving.current.clone(), &ClientAuth::Verified(verifier))?;
    parts.renewables.push(serving);
    Ok(ServerTls { config: Arc::new(config) })
}
