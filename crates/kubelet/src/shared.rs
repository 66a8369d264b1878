//! What all parts of one kubelet share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret, Service, Taint};
use kube::Client;
use steersman_controller_runtime::{EventRecorder, EventType, Informer, ObjectRef};
use steersman_cri::DnsConfig;

use crate::cgroups::Cgroups;
use crate::cri_config::sandbox::NodeFacts;
use crate::dns::ClusterDns;
use crate::node::machine::Machine;
use crate::objects::ObjectStore;
use crate::pod::{PodExt, Role, container_ref};
use crate::runtime::Runtime;
use crate::status_writer::StatusWriter;

/// How a kubelet is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the node object.
    pub node_name: String,
    /// Directory of everything the kubelet keeps, `/var/lib/kubelet` with upstream.
    pub root_dir: PathBuf,
    /// Directory of the logs of pods, `/var/log/pods` with upstream.
    pub logs_dir: PathBuf,
    /// Socket of the container runtime.
    pub cri_socket: PathBuf,
    /// Addresses of the cluster's DNS service.
    pub cluster_dns: Vec<String>,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// Addresses of the node, the first one primary.
    pub node_ips: Vec<String>,
    /// The cgroup that `kubepods` is made in, `/` for the root.
    pub cgroup_root: String,
    /// Where the cgroup file system is mounted.
    pub cgroup_mount: PathBuf,
    /// The resolver configuration that pods with `dnsPolicy: Default` get.
    pub resolv_conf: PathBuf,
    /// Most pods the node takes.
    pub max_pods: u32,
    /// Labels the node registers with, beside the well-known ones.
    pub labels: BTreeMap<String, String>,
    /// Taints the node registers with.
    pub taints: Vec<Taint>,
    /// Where the HTTPS server listens; its port is told to the API.
    pub listen: SocketAddr,
    /// A container's log is rotated when it has more bytes than this.
    pub container_log_max_size: u64,
    /// How many log files a container may have, the current one among them.
    pub container_log_max_files: usize,
    /// How often the sizes of logs are looked at.
    pub container_log_monitor_interval: Duration,
}

impl Config {
    /// A kubelet with upstream's settings, for a node of this name and address.
    pub fn new(
        node_name: impl Into<String>,
        node_ip: impl Into<String>,
        cri_socket: impl Into<PathBuf>,
    ) -> Self {
        Self {
            node_name: node_name.into(),
            root_dir: "/var/lib/kubelet".into(),
            logs_dir: "/var/log/pods".into(),
            cri_socket: cri_socket.into(),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            node_ips: vec![node_ip.into()],
            cgroup_root: "/".to_owned(),
            cgroup_mount: "/sys/fs/cgroup".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            max_pods: 110,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            listen: SocketAddr::from(([0, 0, 0, 0], 10250)),
            container_log_max_size: 10 << 20,
            container_log_max_files: 5,
            container_log_monitor_interval: Duration::from_secs(10),
        }
    }
}

/// Everything a pod worker reaches.
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The API.
    pub client: Client,
    /// The runtime.
    pub runtime: Runtime,
    /// Events.
    pub events: EventRecorder,
    /// ConfigMaps that pods refer to.
    pub config_maps: ObjectStore<ConfigMap>,
    /// Secrets that pods refer to.
    pub secrets: ObjectStore<Secret>,
    /// Services, for variables.
    pub services: Arc<Informer<Service>>,
    /// Pods of this node.
    pub pods: Arc<Informer<Pod>>,
    /// The node of this kubelet alone.
    pub node: Arc<Informer<Node>>,
    /// Statuses on their way.
    pub statuses: StatusWriter,
    /// Cgroups of pods.
    pub cgroups: Cgroups,
    /// What the machine has.
    pub machine: Machine,
}

impl Shared {
    /// Directory of one pod.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.config.root_dir.join("pods").join(uid)
    }

    /// Reports what happened to a pod.
    pub fn pod_event(&self, pod: &Pod, kind: EventType, reason: &str, message: impl Into<String>) {
        self.events.event(&ObjectRef::of(pod), kind, reason, message);
    }

    /// Reports what happened to a container of a pod.
    pub fn container_event(
        &self,
        pod: &Pod,
        name: &str,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let role = pod.find_container(name).map_or(Role::Regular, |(role, _)| role);
        self.events.event(&container_ref(pod, role, name), kind, reason, message);
    }

    /// The cluster's resolver.
    pub fn cluster_dns(&self) -> ClusterDns {
        ClusterDns { servers: self.config.cluster_dns.clone(), domain: self.config.cluster_domain.clone() }
    }

    /// The node's resolver, as its file says now.
    pub fn node_dns(&self) -> DnsConfig {
        let text = std::fs::read_to_string(&self.config.resolv_conf).unwrap_or_else(|error| {
            tracing::warn!(file = %self.config.resolv_conf.display(), %error, "resolver configuration not read");
            String::new()
        });
        crate::dns::parse_resolv_conf(&text)
    }

    /// Calls `use_facts` with what a sandbox needs to know of the node.
    pub fn with_facts<T>(&self, use_facts: impl FnOnce(&NodeFacts<'_>) -> T) -> T {
        let seccomp = self.config.root_dir.join("seccomp");
        use_facts(&NodeFacts {
            logs_root: &self.config.logs_dir.to_string_lossy(),
            cgroup_root: &self.config.cgroup_root,
            seccomp_root: &seccomp.to_string_lossy(),
        })
    }
}
