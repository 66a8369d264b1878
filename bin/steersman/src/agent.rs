//! `steersman agent`: a node in one process. `up` has it too, beside the control plane.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use steersman_container_runtime::RuntimeConfig;
use steersman_controller_runtime::{Informer, ObjectKey, SharedInformers};
use steersman_dns::DnsConfig;
use steersman_image::ImageStore;
use steersman_kubelet::Config;
use steersman_kubelet::server::ServerTls;
use steersman_network::Ipv4Range;
use tokio::sync::Notify;

use crate::components::serving::TlsArguments;
use crate::components::{connection, dns, kubelet, proxy, runtime};
use crate::data_dir::DataDir;
use crate::parts::{self, Parts};
use crate::progress::Progress;
use crate::settings::{CLUSTER_DOMAIN, ClusterSettings, DataDirArgument, NodeSettings};

/// How long the node may take to become ready.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the cluster may take to give the node a range of pod addresses.
const RANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long DNS may take to answer.
const DNS_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Kubeconfig of the node: the user system:node:NAME in the group system:nodes. `steersman kubeconfig` makes one
    /// on the server.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    #[command(flatten)]
    cluster: ClusterSettings,
    #[command(flatten)]
    node: NodeSettings,
    #[command(flatten)]
    tls: TlsArguments,
}

/// How the node's parts reach the API, and what they tell their pods.
pub struct NodeApi {
    /// With the kubelet's identity.
    pub kubelet: kube::Client,
    /// What all parts read through.
    pub informers: SharedInformers,
    /// TLS of the kubelet's server.
    pub serving: ServerTls,
    /// The DNS server that pods ask; that of the node itself if `None`, so that none depends on another node for names.
    pub cluster_dns: Option<IpAddr>,
}

/// Runs the node until it is told to stop; containers go on.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("agent")?;
    let cluster = &arguments.cluster;
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    data_dir.create()?;
    let _lock = data_dir.lock()?;
    let start = async |parts: &mut Parts| {
        let mut progress = Progress::new();
        let connection = connection::open(&arguments.kubeconfig, "--kubeconfig").await?;
        let api = NodeApi {
            kubelet: connection.client()?,
            informers: connection::informers(&connection, parts)?,
            serving: kubelet::serving(&arguments.tls, &connection, parts)?,
            cluster_dns: None,
        };
        let mut node = arguments.node.clone();
        if node.pod_cidr.is_none() {
            node.pod_cidr = Some(assigned_pod_cidr(&node.name()?, &api).await?);
        }
        let informers = api.informers.clone();
        start(&node, cluster, &data_dir, api, parts, &mut progress).await?;
        Ok(informers)
    };
    let farewell = || println!("stopping; containers go on (steersman down stops them)");
    parts::run("warn", start, farewell, async |informers: SharedInformers| informers.stopped().await)
}

/// Starts network, runtime, kubelet, proxy and DNS; returns when the node is ready and services and names work on it.
pub async fn start(
    node: &NodeSettings,
    cluster: &ClusterSettings,
    data_dir: &DataDir,
    api: NodeApi,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<Arc<ImageStore>> {
    let (name, gateway) = (node.name()?, node.gateway(cluster)?);
    let options = runtime::Options {
        socket: data_dir.cri_socket(),
        pod_range: node.pod_cidr(cluster),
        cluster_range: cluster.cluster_cidr,
        service_range: cluster.service_cidr,
        registries: node.registries.registries(),
    };
    let images = runtime::start(&options, data_dir, parts).await?;
    progress.ready("network", format!("{} {}", runtime::BRIDGE, options.pod_range));
    progress.ready("runtime", options.socket.display());
    let cluster_dns = api.cluster_dns.unwrap_or(gateway.into());
    let config = kubelet_config(node, cluster, data_dir, cluster_dns)?;
    kubelet::start(config, api.kubelet, &api.informers, api.serving, "--kubelet-port", parts).await?;
    let proxy = proxy::start(name.clone(), node.ip(cluster)?, cluster, &api.informers, parts);
    wait_for_node(&name, &api.informers).await?;
    progress.ready("node", name);
    proxy.wait_ready().await;
    progress.ready("services", cluster.service_cidr);
    // On the bridge, where pods reach it.
    let listen = SocketAddr::from((gateway, 53));
    let (domain, resolv_conf) = (CLUSTER_DOMAIN.to_owned(), "/etc/resolv.conf".into());
    let dns = dns::start(DnsConfig { listen, domain, resolv_conf }, &api.informers, parts)?;
    tokio::time::timeout(DNS_TIMEOUT, dns.wait_ready())
        .await
        .with_context(|| format!("DNS does not answer on {listen}; is the port taken?"))?;
    progress.ready("dns", cluster_dns);
    Ok(images)
}

fn kubelet_config(
    node: &NodeSettings,
    cluster: &ClusterSettings,
    data_dir: &DataDir,
    cluster_dns: IpAddr,
) -> Result<Config> {
    let mut config = Config::new(node.name()?, node.ip(cluster)?.to_string(), data_dir.cri_socket());
    config.root_dir = data_dir.kubelet();
    config.logs_dir = data_dir.pod_logs();
    // All cgroups of a cluster are below one, so that another cluster's are never touched.
    config.cgroup_root = RuntimeConfig::for_data_dir(data_dir.path()).cgroup_root;
    config.cluster_dns = vec![cluster_dns.to_string()];
    config.cluster_domain = CLUSTER_DOMAIN.to_owned();
    config.listen = SocketAddr::from(([0, 0, 0, 0], node.kubelet_port));
    Ok(config)
}

/// The range of pod addresses that the cluster gives the node, which is made if the cluster does not know it yet: the
/// network must be there before the kubelet can be.
async fn assigned_pod_cidr(name: &str, api: &NodeApi) -> Result<Ipv4Range> {
    let nodes: Api<Node> = Api::all(api.kubelet.clone());
    if nodes.get_opt(name).await.context("could not ask the API server for the node")?.is_none() {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let node = Node { metadata, ..Node::default() };
        nodes.create(&PostParams::default(), &node).await.context("could not create the node")?;
    }
    let given = |node: &Node| node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone());
    let range = tokio::time::timeout(RANGE_TIMEOUT, see_node(name, &api.informers, given)).await;
    let range = range.map_err(|_| {
        let seconds = RANGE_TIMEOUT.as_secs();
        anyhow::anyhow!("the cluster gave the node no range of pod addresses in {seconds} s; pass --pod-cidr")
    })?;
    range.parse().with_context(|| format!("the cluster gave the node the range {range:?}"))
}

/// Waits until `see` finds in the node what it looks for.
async fn see_node<T>(name: &str, informers: &SharedInformers, see: impl Fn(&Node) -> Option<T>) -> T {
    let nodes = node_informer(name, informers);
    let (key, changed) = (ObjectKey::cluster(name), Arc::new(Notify::new()));
    let notify = changed.clone();
    nodes.add_handler(move |_| notify.notify_one());
    loop {
        if let Some(found) = nodes.cache().get(&key).and_then(|node| see(&node)) {
            return found;
        }
        changed.notified().await;
    }
}

/// The informer of the node alone, as the kubelet has it too.
fn node_informer(name: &str, informers: &SharedInformers) -> Arc<Informer<Node>> {
    informers.selected(&format!("metadata.name={name}"))
}

async fn wait_for_node(name: &str, informers: &SharedInformers) -> Result<()> {
    let ready = see_node(name, informers, |node| is_ready(node).then_some(()));
    tokio::time::timeout(NODE_TIMEOUT, ready).await.map_err(|_| {
        let node = node_informer(name, informers).cache().get(&ObjectKey::cluster(name));
        let why = node.map_or("it has not registered".to_owned(), |node| why_not_ready(&node));
        anyhow::anyhow!("the node is not ready after {} s: {why}", NODE_TIMEOUT.as_secs())
    })
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.filter(|condition| condition.type_ == "Ready").any(|condition| condition.status == "True")
}

fn why_not_ready(node: &Node) -> String {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    ready
        .and_then(|condition| condition.message.clone())
        .unwrap_or_else(|| "it reports no condition".to_owned())
}
