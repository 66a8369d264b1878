//! The node's half: pod network, container runtime, kubelet, service proxy and DNS.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use steersman_container_runtime::{NodeImages, NodeNetwork, Runtime, RuntimeConfig};
use steersman_controller_runtime::ObjectKey;
use steersman_dns::{Dns, DnsConfig};
use steersman_image::{ImageStore, Registries};
use steersman_kubelet::Kubelet;
use steersman_kubelet::server::ServerTls;
use steersman_network::{PodNetwork, PodNetworkConfig};
use steersman_pki::{ClientAuth, ClientVerifier, Profile, server_config};
use steersman_proxy::{Proxy, ProxyConfig, Shape};
use tokio::sync::Notify;

use super::control_plane::{ControlPlane, identity, node_client};
use super::{Parts, Progress, addons};
use crate::data_dir::DataDir;
use crate::settings::{CLUSTER_DOMAIN, Settings};

const BRIDGE: &str = "steersman0";
const NETWORK_TABLE: &str = "steersman-pods";
const PROXY_TABLE: &str = "steersman-services";
/// How long the node may take to become ready.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long DNS may take to answer.
const DNS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the runtime may take to answer on its socket.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(20);

/// The pod network as `settings` describe it.
pub fn pod_network(settings: &Settings, data_dir: &DataDir) -> Result<PodNetwork> {
    let config = PodNetworkConfig {
        bridge: BRIDGE.to_owned(),
        table: NETWORK_TABLE.to_owned(),
        pod_range: settings.pod_cidr(),
        cluster_range: settings.cluster_cidr,
        service_range: settings.service_cidr,
        state_dir: data_dir.addresses(),
        mtu: None,
    };
    PodNetwork::open(config).context("could not open the pod network")
}

/// Removes the pods' links, the bridge, the rules and the addresses of pods. Needs nothing of how the cluster was
/// started but where.
pub fn tear_down_network(data_dir: &DataDir) -> Result<()> {
    PodNetwork::tear_down(BRIDGE, NETWORK_TABLE, &data_dir.addresses())
        .context("could not remove the pod network")?;
    crate::down::remove_table(PROXY_TABLE)
}

/// Starts the node; returns when it is ready and services and DNS work on it.
pub async fn start(
    settings: &Settings,
    data_dir: &DataDir,
    plane: &ControlPlane,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<Arc<ImageStore>> {
    let network = Arc::new(pod_network(settings, data_dir)?);
    let setting_up = network.clone();
    tokio::task::spawn_blocking(move || setting_up.set_up())
        .await?
        .context("could not set up the pod network")?;
    progress.ready("network", format!("{BRIDGE} {}", settings.pod_cidr()));
    let images = start_runtime(settings, data_dir, network, parts).await?;
    progress.ready("runtime", data_dir.cri_socket().display());
    start_kubelet(settings, data_dir, plane, parts).await?;
    let proxy = start_proxy(settings, plane, parts)?;
    wait_for_node(settings, plane).await?;
    progress.ready("node", settings.node_name()?);
    proxy.wait_ready().await;
    progress.ready("services", settings.service_cidr);
    start_dns(settings, plane, parts).await?;
    progress.ready("dns", settings.dns_service()?);
    let (socket, shared, stop) = (data_dir.control_socket(), images.clone(), parts.stop.clone());
    parts.spawn("control socket", async move { crate::control::serve(&socket, shared, stop).await });
    Ok(images)
}

async fn start_runtime(
    settings: &Settings,
    data_dir: &DataDir,
    network: Arc<PodNetwork>,
    parts: &mut Parts,
) -> Result<Arc<ImageStore>> {
    let path = data_dir.images();
    let opened = tokio::task::spawn_blocking(move || ImageStore::open(path)).await?;
    let images = Arc::new(opened.context("could not open the image store")?);
    let registries = Registries { plain_http: settings.insecure_registry.clone(), ..Registries::default() };
    let seam = Arc::new(NodeImages::new(images.clone(), registries));
    let config = RuntimeConfig::for_data_dir(data_dir.path());
    let runtime = Runtime::start(config, seam, Arc::new(NodeNetwork::new(network))).await?;
    let (socket, stop) = (data_dir.cri_socket(), parts.stop.clone());
    let listening = socket.clone();
    parts.spawn("runtime", async move { Ok(runtime.serve(&listening, stop).await?) });
    wait_for_socket(&socket).await?;
    Ok(images)
}

/// The socket appears when the runtime listens.
async fn wait_for_socket(socket: &PathBuf) -> Result<()> {
    let connected = async {
        while tokio::net::UnixStream::connect(socket).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(RUNTIME_TIMEOUT, connected).await;
    waited.with_context(|| format!("the runtime does not listen on {}", socket.display()))
}

async fn start_kubelet(
    settings: &Settings,
    data_dir: &DataDir,
    plane: &ControlPlane,
    parts: &mut Parts,
) -> Result<()> {
    let (name, ip) = (settings.node_name()?, settings.node_ip());
    let mut config = steersman_kubelet::Config::new(&name, ip.to_string(), data_dir.cri_socket());
    config.root_dir = data_dir.kubelet();
    config.logs_dir = data_dir.pod_logs();
    // All cgroups of a cluster are below one, so that another cluster's are never touched.
    config.cgroup_root = RuntimeConfig::for_data_dir(data_dir.path()).cgroup_root;
    config.cluster_dns = vec![settings.dns_service()?.to_string()];
    config.cluster_domain = CLUSTER_DOMAIN.to_owned();
    config.listen = SocketAddr::from(([0, 0, 0, 0], settings.kubelet_port));
    let serving = identity(&plane.pki, "kubelet", Profile::kubelet_server(&name, vec![IpAddr::V4(ip)]))?;
    let verifier = ClientVerifier::new([plane.pki.ca().certificate()])?;
    let tls = server_config(serving.current.clone(), &ClientAuth::Verified(verifier))?;
    parts.renewables.push(serving);
    let tls = ServerTls { config: Arc::new(tls) };
    let kubelet = Kubelet::new(config, node_client(&plane.server, &name), &plane.informers, Some(tls));
    let kubelet = kubelet.await.with_context(|| {
        format!(
            "could not start the kubelet on port {}; choose another with --kubelet-port",
            settings.kubelet_port
        )
    })?;
    let stop = parts.stop.clone();
    parts.spawn("kubelet", async move { Ok(kubelet.run(stop).await?) });
    Ok(())
}

fn start_proxy(settings: &Settings, plane: &ControlPlane, parts: &mut Parts) -> Result<Arc<Proxy>> {
    let config = ProxyConfig {
        node_name: settings.node_name()?,
        shape: Shape {
            table: PROXY_TABLE.to_owned(),
            node_address: settings.node_ip(),
            cluster_range: settings.cluster_cidr,
            service_range: settings.service_cidr,
        },
    };
    let proxy = Proxy::new(config, &plane.informers);
    let (running, stop) = (proxy.clone(), parts.stop.clone());
    parts.spawn("proxy", async move { Ok(running.run(stop).await?) });
    Ok(proxy)
}

/// DNS listens on the bridge, where pods reach it through its service.
async fn start_dns(settings: &Settings, plane: &ControlPlane, parts: &mut Parts) -> Result<()> {
    let config = DnsConfig {
        listen: SocketAddr::from((settings.gateway(), 53)),
        domain: CLUSTER_DOMAIN.to_owned(),
        resolv_conf: "/etc/resolv.conf".into(),
    };
    let dns = Arc::new(Dns::new(config, &plane.informers)?);
    let (running, stop) = (dns.clone(), parts.stop.clone());
    parts.spawn("dns", async move { Ok(running.run(stop).await?) });
    let client = steersman_client::in_process(plane.server.handler(), super::control_plane::administrator());
    addons::ensure(&client, settings).await?;
    tokio::time::timeout(DNS_TIMEOUT, dns.wait_ready())
        .await
        .with_context(|| format!("DNS does not answer on {}:53; is the port taken?", settings.gateway()))?;
    Ok(())
}

async fn wait_for_node(settings: &Settings, plane: &ControlPlane) -> Result<()> {
    let (nodes, key) = (plane.informers.informer::<Node>(), ObjectKey::cluster(settings.node_name()?));
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    nodes.add_handler(move |_| notify.notify_one());
    let ready = async {
        while !nodes.cache().get(&key).is_some_and(|node| is_ready(&node)) {
            changed.notified().await;
        }
    };
    tokio::time::timeout(NODE_TIMEOUT, ready).await.map_err(|_| {
        let why =
            nodes.cache().get(&key).map_or("it has not registered".to_owned(), |node| why_not_ready(&node));
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
