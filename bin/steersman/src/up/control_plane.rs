//! Store, API server, controllers and scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use steersman_apiserver::authorization::bootstrap;
use steersman_apiserver::request::User;
use steersman_apiserver::security::Security;
use steersman_apiserver::{AddressRange, ApiServer, Config, HookTable, ServiceAllocations, Storage, Version};
use steersman_controller_runtime::SharedInformers;
use steersman_controllers::ControllersConfig;
use steersman_pki::{
    ClientAuth, ClientVerifier, ClusterPki, Kubeconfig, Profile, Renewable, RotatingIdentity, client_config,
    server_config,
};
use steersman_scheduler::Scheduler;
use steersman_store_wal::{WalOptions, WalStore};
use tokio::net::TcpListener;

use super::{Parts, Progress};
use crate::data_dir::DataDir;
use crate::settings::{CLUSTER_DOMAIN, Settings};

/// The ports that NodePort services get, as upstream's default.
const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;

/// The running control plane, as the node's parts see it.
pub struct ControlPlane {
    store: Arc<WalStore>,
    pub server: ApiServer,
    pub pki: Arc<ClusterPki>,
    pub informers: SharedInformers,
}

impl ControlPlane {
    /// Starts everything; returns when the API answers and the controllers run.
    pub async fn start(
        settings: &Settings,
        data_dir: &DataDir,
        parts: &mut Parts,
        progress: &mut Progress,
    ) -> Result<Self> {
        let store = open_store(data_dir).await?;
        progress.ready("store", data_dir.store().display());
        let pki = ClusterPki::load_or_create(&data_dir.pki(), Timestamp::now());
        let pki = Arc::new(pki.context("could not prepare the certificates")?);
        let server = serve(settings, data_dir, store.clone(), &pki, parts).await?;
        progress.ready("api", format!("https://127.0.0.1:{}", settings.api_port));
        let watcher = user("system:informers", &["system:masters"]);
        let informers = SharedInformers::new(
            steersman_client::in_process(server.handler(), watcher),
            parts.stop.child_token(),
        );
        let scheduler = Scheduler::new(client(&server, "system:kube-scheduler"), informers.clone());
        let stop = parts.stop.clone();
        parts.spawn("scheduler", async move {
            scheduler.run(stop).await;
            Ok(())
        });
        let handler = server.handler();
        let client_for = move |account: &str| {
            steersman_client::in_process(handler.clone(), User::service_account("kube-system", account))
        };
        let config = ControllersConfig {
            root_ca: pki.ca().certificate_pem().to_owned(),
            // A range smaller than one node's has nothing to share out.
            cluster_cidr: settings.cluster_cidr.to_string().parse().ok(),
            ..ControllersConfig::default()
        };
        let (shared, stop) = (informers.clone(), parts.stop.clone());
        parts.spawn("controllers", async move {
            steersman_controllers::run(client_for, shared, config, stop).await;
            Ok(())
        });
        Ok(Self { store, server, pki, informers })
    }

    /// Ends what the parts stood on; everything acknowledged is on disk when it returns.
    pub async fn close(self) {
        self.informers.stopped().await;
        self.server.shutdown().await;
        self.store.close().await;
    }
}

/// Who makes the objects that every cluster has.
pub fn administrator() -> User {
    user("system:steersman", &["system:masters"])
}

/// A client with the identity of a node's kubelet.
pub fn node_client(server: &ApiServer, node: &str) -> kube::Client {
    steersman_client::in_process(server.handler(), user(&format!("system:node:{node}"), &["system:nodes"]))
}

/// A client with a component's own identity.
pub fn client(server: &ApiServer, name: &str) -> kube::Client {
    steersman_client::in_process(server.handler(), user(name, &[]))
}

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    User { name: name.to_owned(), groups, ..User::default() }
}

async fn open_store(data_dir: &DataDir) -> Result<Arc<WalStore>> {
    let path = data_dir.store();
    let open = tokio::task::spawn_blocking(move || WalStore::open(&path, WalOptions::default()));
    Ok(Arc::new(open.await.context("opening the store panicked")?.context("could not open the store")?))
}

async fn serve(
    settings: &Settings,
    data_dir: &DataDir,
    store: Arc<WalStore>,
    pki: &ClusterPki,
    parts: &mut Parts,
) -> Result<ApiServer> {
    let (now, node, node_ip) = (Timestamp::now(), settings.node_name()?, settings.node_ip());
    let url = format!("https://127.0.0.1:{}", settings.api_port);
    let services = settings.service_cidr;
    let range = AddressRange::new(services.network(), services.prefix())
        .with_context(|| format!("--service-cidr {services} must have a prefix of 8 to 30"))?;
    let mut hooks = HookTable::new();
    hooks.set("", "services", Arc::new(ServiceAllocations::new(range, NODE_PORTS)));
    let storage = Arc::new(Storage::new(store, steersman_registry::resources(), &hooks));
    let security = Security::new(&storage, pki, &format!("https://{node_ip}:{}", settings.api_port))?;
    let (indexes, watched, stop) = (security.indexes.clone(), storage.clone(), parts.stop.clone());
    parts.spawn("authorizer", async move {
        indexes.run(&watched, stop).await;
        Ok(())
    });
    let kubelet_client = identity(pki, "apiserver-kubelet-client", Profile::apiserver_kubelet_client())?;
    let config = Config {
        storage: storage.clone(),
        authenticator: security.authenticator,
        authorizer: security.authorizer,
        admission: security.admission,
        creators: security.creators,
        version: Version::default(),
        kubelet_tls: Some(Arc::new(client_config(
            [pki.ca().certificate()],
            Some(kubelet_client.current.clone()),
        )?)),
        advertise: SocketAddr::new(IpAddr::V4(node_ip), settings.api_port),
        service_address: settings.kubernetes_service()?,
        issuer: Some(security.issuer),
        health: security.health,
    };
    let server = ApiServer::new(config).await?;
    bootstrap::apply(&server.handler(), &*storage).await?;
    security.indexes.synced().await;

    let addresses = [settings.kubernetes_service()?, IpAddr::V4(node_ip), IpAddr::V4(settings.gateway())];
    let serving = identity(pki, "apiserver", Profile::apiserver(&node, CLUSTER_DOMAIN, &[], &addresses))?;
    let verifier = ClientVerifier::new([pki.ca().certificate()])?;
    let tls = server_config(serving.current.clone(), &ClientAuth::Deferred(verifier))?;
    parts.renewables.extend([kubelet_client, serving]);
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.api_port));
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("could not listen on port {}; choose another with --api-port", settings.api_port)
    })?;
    let (serving, stop) = (server.clone(), parts.stop.clone());
    parts.spawn("api server", async move { Ok(serving.serve(listener, tls, stop).await?) });
    write_admin_kubeconfig(data_dir, pki, &url, now)?;
    Ok(server)
}

/// An identity that is renewed while the cluster runs, once it is among `Parts::renewables`.
pub fn identity(pki: &ClusterPki, stem: &'static str, profile: Profile) -> Result<Renewable> {
    let issued = pki.identity(stem, &profile, Timestamp::now())?;
    Ok(Renewable { current: RotatingIdentity::new(&issued)?, stem, profile })
}

fn write_admin_kubeconfig(data_dir: &DataDir, pki: &ClusterPki, url: &str, now: Timestamp) -> Result<()> {
    let kubeconfig = Kubeconfig {
        cluster: "steersman",
        server: url,
        authority_pem: pki.ca().certificate_pem(),
        user: "kubernetes-admin",
        identity: &pki.identity("admin", &Profile::admin(), now)?,
    };
    Ok(kubeconfig.write(&data_dir.admin_kubeconfig())?)
}
