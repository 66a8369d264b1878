//! `steersman kubelet`: the kubelet, over any runtime that speaks CRI.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use steersman_client::Connection;
use steersman_controller_runtime::SharedInformers;
use steersman_kubelet::server::ServerTls;
use steersman_kubelet::{Config, Kubelet};
use steersman_pki::{ClientAuth, ClientVerifier, server_config};

use super::connection::{ConnectionArguments, informers};
use super::serving::TlsArguments;
use crate::flags::{pair, unix_socket};
use crate::parts::{self, Parts};
use crate::settings::{CLUSTER_DOMAIN, node_name};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Endpoint of the container runtime.
    #[arg(long, value_parser = unix_socket, default_value = "unix:///run/containerd/containerd.sock",
          value_name = "ENDPOINT")]
    container_runtime_endpoint: PathBuf,
    /// Directory of volumes and everything else that the kubelet keeps.
    #[arg(long, default_value = "/var/lib/kubelet", value_name = "DIR")]
    root_dir: PathBuf,
    /// Directory of the logs of pods.
    #[arg(long, default_value = "/var/log/pods", value_name = "DIR")]
    pod_logs_dir: PathBuf,
    /// Name of this node; the host's name if not given.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// Address of this node; that of its default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    node_ip: Option<Ipv4Addr>,
    /// Where the kubelet's server listens.
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    address: IpAddr,
    /// Port of the kubelet's server.
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    port: u16,
    /// Addresses of the cluster's DNS servers, for pods.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster's DNS names.
    #[arg(long, default_value = CLUSTER_DOMAIN, value_name = "DOMAIN")]
    cluster_domain: String,
    /// Resolver configuration that pods with the DNS policy Default get.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    resolv_conf: PathBuf,
    /// The cgroup below which those of pods are made.
    #[arg(long, default_value = "/", value_name = "CGROUP")]
    cgroup_root: String,
    /// Most pods that the node takes.
    #[arg(long, default_value_t = 110, value_name = "NUMBER")]
    max_pods: u32,
    /// Labels that the node registers with.
    #[arg(long, value_delimiter = ',', value_parser = pair, value_name = "NAME=VALUE")]
    node_labels: Vec<(String, String)>,
    #[command(flatten)]
    tls: TlsArguments,
}

/// Runs the kubelet until it is told to stop; containers go on.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("kubelet")?;
    let start = async |parts: &mut Parts| {
        let connection = arguments.connection.open().await?;
        let informers = informers(&connection, parts)?;
        let tls = serving(&arguments.tls, &connection, parts)?;
        start(arguments.config()?, connection.client()?, &informers, tls, "--port", parts).await?;
        tracing::info!(port = arguments.port, "serving the kubelet");
        Ok(informers)
    };
    parts::run(super::LOG, start, || {}, async |informers: SharedInformers| informers.stopped().await)
}

impl Arguments {
    fn config(&self) -> Result<Config> {
        let name = node_name(self.hostname_override.as_deref(), "--hostname-override")?;
        let ip = self.node_ip.or_else(steersman_network::node_address);
        let ip = ip.context("this host has no default route; pass --node-ip")?;
        let mut config = Config::new(name, ip.to_string(), &self.container_runtime_endpoint);
        config.root_dir.clone_from(&self.root_dir);
        config.logs_dir.clone_from(&self.pod_logs_dir);
        config.listen = SocketAddr::new(self.address, self.port);
        config.cluster_dns = self.cluster_dns.iter().map(ToString::to_string).collect();
        config.cluster_domain.clone_from(&self.cluster_domain);
        config.resolv_conf.clone_from(&self.resolv_conf);
        config.cgroup_root.clone_from(&self.cgroup_root);
        config.max_pods = self.max_pods;
        config.labels = self.node_labels.iter().cloned().collect::<BTreeMap<_, _>>();
        Ok(config)
    }
}

/// Starts the kubelet; `port_flag` is what chooses another port.
pub async fn start(
    config: Config,
    client: kube::Client,
    informers: &SharedInformers,
    tls: ServerTls,
    port_flag: &str,
    parts: &mut Parts,
) -> Result<()> {
    let port = config.listen.port();
    let kubelet = Kubelet::new(config, client, informers, Some(tls)).await;
    let kubelet = kubelet.with_context(|| {
        format!("could not start the kubelet on port {port}; choose another with {port_flag}")
    })?;
    let stop = parts.stop.clone();
    parts.spawn("kubelet", async move { Ok(kubelet.run(stop).await?) });
    Ok(())
}

/// TLS of a kubelet away from the cluster's keys: the flags' certificate or a self-signed one; client certificates are
/// believed by --client-ca-file, or by the authority of the API server.
pub fn serving(tls: &TlsArguments, connection: &Connection, parts: &mut Parts) -> Result<ServerTls> {
    let verifier = match tls.verifier()? {
        Some(verifier) => Some(verifier),
        None if connection.authorities().is_empty() => None,
        None => {
            let authorities = connection.authorities().iter().cloned().map(CertificateDer::from);
            let authorities: Vec<CertificateDer<'static>> = authorities.collect();
            Some(ClientVerifier::new(&authorities).context("the kubeconfig's authority cannot be used")?)
        }
    };
    let auth = verifier.map_or(ClientAuth::None, ClientAuth::Verified);
    let config = server_config(tls.identity(&[], parts)?, &auth)?;
    Ok(ServerTls { config: Arc::new(config) })
}
