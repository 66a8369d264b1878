//! What a cluster is started with.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use steersman_network::Ipv4Range;

/// The version of Kubernetes whose API is served.
pub const KUBERNETES: &str = "v1.37.0";
/// The domain of the cluster's DNS names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Where the data is. Shared by all subcommands.
#[derive(Args, Clone, Debug)]
pub struct DataDirArgument {
    /// Directory of everything the cluster keeps.
    #[arg(long, global = true, default_value = "/var/lib/steersman", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// How the cluster is set up.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    #[command(flatten)]
    pub data_dir: DataDirArgument,
    /// Port of the API.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub api_port: u16,
    /// Port of the kubelet.
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    pub kubelet_port: u16,
    /// Name of this node; the host's name if not given.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Address of this node; that of its default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    pub node_ip: Option<Ipv4Addr>,
    /// Addresses of pods.
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    pub cluster_cidr: Ipv4Range,
    /// Addresses of services.
    #[arg(long, default_value = "10.96.0.0/16", value_name = "CIDR")]
    pub service_cidr: Ipv4Range,
    /// Registries (host:port) to reach over plain HTTP, beside those on the loopback.
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
}

impl Settings {
    /// The node's name.
    pub fn node_name(&self) -> Result<String> {
        if let Some(name) = &self.node_name {
            return Ok(name.clone());
        }
        let name = nix::unistd::gethostname().context("could not read the host's name; pass --node-name")?;
        Ok(name.to_string_lossy().to_lowercase())
    }

    /// The addresses of this node's pods: the first /24 of the cluster's.
    pub fn pod_cidr(&self) -> Ipv4Range {
        Ipv4Range::new(self.cluster_cidr.network(), self.cluster_cidr.prefix().max(24))
            .expect("a prefix length of a range is valid")
    }

    /// The gateway of the pods, which is the host's address on the bridge.
    pub fn gateway(&self) -> Ipv4Addr {
        self.pod_cidr().nth(1).expect("a /24 has more than one address")
    }

    /// The node's address: as given, or of its default route, or the bridge's where there is no network.
    pub fn node_ip(&self) -> Ipv4Addr {
        self.node_ip.or_else(steersman_network::node_address).unwrap_or_else(|| self.gateway())
    }

    /// The address of the `kubernetes` service: the first of the services.
    pub fn kubernetes_service(&self) -> Result<IpAddr> {
        self.service_address(1)
    }

    /// The address of the cluster's DNS service: the tenth of the services, as kubeadm has it.
    pub fn dns_service(&self) -> Result<IpAddr> {
        self.service_address(10)
    }

    fn service_address(&self, offset: u32) -> Result<IpAddr> {
        let address = self.service_cidr.nth(offset);
        address.map(IpAddr::V4).with_context(|| format!("--service-cidr {} is too small", self.service_cidr))
    }
}
