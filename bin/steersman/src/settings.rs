//! What a cluster, its server and its nodes are started with.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use steersman_apiserver::audit::{Audit, LogOptions};
use steersman_image::{Mirror, Registries};
use steersman_network::Ipv4Range;

use crate::flags;

/// The version of Kubernetes whose API is served.
pub const KUBERNETES: &str = "v1.37.0";
/// The domain of the cluster's DNS names.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Where the data is. Shared by all subcommands that have any.
#[derive(Args, Clone, Debug)]
pub struct DataDirArgument {
    /// Directory of everything the cluster keeps.
    #[arg(long, global = true, default_value = "/var/lib/steersman", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// What servers and nodes of a cluster must agree on.
#[derive(Args, Clone, Debug)]
pub struct ClusterSettings {
    /// Addresses of pods.
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    pub cluster_cidr: Ipv4Range,
    /// Addresses of services.
    #[arg(long, default_value = "10.96.0.0/16", value_name = "CIDR")]
    pub service_cidr: Ipv4Range,
}

impl ClusterSettings {
    /// The address of the cluster's DNS service: the tenth of the services, as kubeadm has it.
    pub fn dns_service(&self) -> Result<IpAddr> {
        service_address(self.service_cidr, 10, "--service-cidr")
    }
}

/// An address of the services' range, which `flag` gives.
pub fn service_address(range: Ipv4Range, offset: u32, flag: &str) -> Result<IpAddr> {
    let address = range.nth(offset);
    address.map(IpAddr::V4).with_context(|| format!("{flag} {range} is too small"))
}

/// How the control plane is set up.
#[derive(Args, Clone, Debug)]
pub struct ServerSettings {
    /// Port of the API.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub api_port: u16,
    /// More names and addresses by which clients reach the API; they go into its certificate.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub tls_san: Vec<String>,
    #[command(flatten)]
    pub requests: RequestSettings,
}

/// How an API server treats requests. Shared by all subcommands that run one; flags and defaults are kube-apiserver's.
#[derive(Args, Clone, Debug)]
pub struct RequestSettings {
    /// With --max-mutating-requests-inflight, the seats that priority and fairness shares out.
    #[arg(long, default_value_t = 400, value_name = "SEATS")]
    max_requests_inflight: u32,
    /// See --max-requests-inflight.
    #[arg(long, default_value_t = 200, value_name = "SEATS")]
    max_mutating_requests_inflight: u32,
    /// What the audit log says (audit.k8s.io/v1, kind Policy).
    #[arg(long, value_name = "FILE", requires = "audit_log_path")]
    audit_policy_file: Option<PathBuf>,
    /// Where the audit log is; - for standard output.
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    audit_log_path: Option<PathBuf>,
    /// Days for which old audit logs are kept; 0 for ever.
    #[arg(long, default_value_t = 366, value_name = "DAYS")]
    audit_log_maxage: u32,
    /// How many old audit logs are kept; 0 for all.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    audit_log_maxbackup: u32,
    /// Megabytes after which an audit log is put aside.
    #[arg(long, default_value_t = 100, value_name = "MEGABYTES")]
    audit_log_maxsize: u32,
}

impl RequestSettings {
    /// Seats for requests, all levels of priority and fairness together.
    pub fn seats(&self) -> u32 {
        self.max_requests_inflight.saturating_add(self.max_mutating_requests_inflight).clamp(1, 1_000_000)
    }

    /// The audit log; there is one if there are a policy and a path.
    pub fn open_audit(&self) -> Result<Option<Arc<Audit>>> {
        let (Some(policy), Some(path)) = (&self.audit_policy_file, &self.audit_log_path) else {
            return Ok(None);
        };
        let options = LogOptions {
            path: path.clone(),
            max_age_days: self.audit_log_maxage,
            max_backups: self.audit_log_maxbackup,
            max_size_megabytes: self.audit_log_maxsize,
        };
        Ok(Some(Arc::new(Audit::open(policy.clone(), options)?)))
    }
}

/// How a node is set up.
#[derive(Args, Clone, Debug)]
pub struct NodeSettings {
    /// Port of the kubelet.
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    pub kubelet_port: u16,
    /// Name of this node; the host's name if not given.
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Address of this node; that of its default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    pub node_ip: Option<Ipv4Addr>,
    /// Addresses of this node's pods; with `up` the first /24 of the cluster's if not given, else what the cluster
    /// gives the node.
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Option<Ipv4Range>,
    #[command(flatten)]
    pub registries: RegistrySettings,
}

/// How a node reaches registries.
#[derive(Args, Clone, Debug)]
pub struct RegistrySettings {
    /// Registries (host:port) to reach over plain HTTP, beside those on the loopback.
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    /// A place (host:port) that is asked for the images of a registry before the registry itself, such as
    /// docker.io=mirror.example:5000; may be given more than once.
    #[arg(long, value_parser = flags::mirror, value_name = "REGISTRY=HOST")]
    registry_mirror: Vec<Mirror>,
}

impl RegistrySettings {
    /// The same, as the runtime takes it.
    pub fn registries(&self) -> Registries {
        Registries {
            mirrors: self.registry_mirror.clone(),
            plain_http: self.insecure_registry.clone(),
            ..Registries::default()
        }
    }
}

impl NodeSettings {
    /// The node's name.
    pub fn name(&self) -> Result<String> {
        node_name(self.node_name.as_deref(), "--node-name")
    }

    /// The addresses of this node's pods.
    pub fn pod_cidr(&self, cluster: &ClusterSettings) -> Ipv4Range {
        self.pod_cidr.unwrap_or_else(|| first_pod_cidr(cluster.cluster_cidr))
    }

    /// The gateway of the pods, which is the host's address on the bridge.
    pub fn gateway(&self, cluster: &ClusterSettings) -> Result<Ipv4Addr> {
        let range = self.pod_cidr(cluster);
        range.nth(1).with_context(|| format!("--pod-cidr {range} is too small"))
    }

    /// The node's address: as given, or of its default route, or the bridge's where there is no network.
    pub fn ip(&self, cluster: &ClusterSettings) -> Result<Ipv4Addr> {
        match self.node_ip.or_else(steersman_network::node_address) {
            Some(address) => Ok(address),
            None => self.gateway(cluster),
        }
    }
}

/// The first /24 of the cluster's range, or all of a smaller one.
pub fn first_pod_cidr(cluster: Ipv4Range) -> Ipv4Range {
    Ipv4Range::new(cluster.network(), cluster.prefix().max(24)).expect("a prefix length of a range is valid")
}

/// The name that a node goes by: as `flag` gives it, or the host's, in lower case as upstream's kubelet has it.
pub fn node_name(given: Option<&str>, flag: &str) -> Result<String> {
    match given {
        Some(name) => Ok(name.trim().to_lowercase()),
        None => host_name().with_context(|| format!("could not read the host's name; pass {flag}")),
    }
}

/// The host's name in lower case.
pub fn host_name() -> Result<String> {
    Ok(nix::unistd::gethostname()?.to_string_lossy().to_lowercase())
}
