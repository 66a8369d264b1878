//! `steersman apiserver`: kube-apiserver, with the store in its own process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use steersman_apiserver::audit::Audit;
use steersman_apiserver::authorization::bootstrap;
use steersman_apiserver::flow_control::FlowControl;
use steersman_apiserver::request::User;
use steersman_apiserver::security::Security;
use steersman_apiserver::{
    AddressRange, ApiServer, Component, Config, HookTable, Place, ServiceAllocations, Storage, Version,
};
use steersman_network::Ipv4Range;
use steersman_pki::{
    ClientAuth, ClientVerifier, ClusterPki, Kubeconfig, Profile, Renewable, RotatingIdentity, client_config,
    server_config,
};
use steersman_store_wal::{WalOptions, WalStore};
use tokio::net::TcpListener;

use super::{controller_manager, scheduler};
use crate::data_dir::DataDir;
use crate::parts::{self, Parts};
use crate::progress::Progress;
use crate::settings::{CLUSTER_DOMAIN, DataDirArgument, RequestSettings, host_name, service_address};

/// The ports that NodePort services get, as upstream's default.
pub const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;
/// Name of the cluster in kubeconfigs.
pub const CLUSTER: &str = "steersman";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Where the API listens.
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    bind_address: IpAddr,
    /// Port of the API.
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    secure_port: u16,
    /// Address by which pods and other nodes reach the API; that of the default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    advertise_address: Option<Ipv4Addr>,
    /// More names and addresses by which clients reach the API; they go into its certificate.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tls_san: Vec<String>,
    /// Addresses of services.
    #[arg(long, default_value = "10.96.0.0/16", value_name = "CIDR")]
    service_cluster_ip_range: Ipv4Range,
    /// Ports of NodePort services.
    #[arg(long, default_value = "30000-32767", value_parser = port_range, value_name = "FROM-TO")]
    service_node_port_range: RangeInclusive<u16>,
    #[command(flatten)]
    requests: RequestSettings,
}

/// How an API server is set up, and which flags say so.
pub struct Options {
    pub listen: SocketAddr,
    pub advertise: Ipv4Addr,
    /// Names and addresses that the certificate has beside the usual ones.
    pub names: Vec<String>,
    pub services: Ipv4Range,
    pub node_ports: RangeInclusive<u16>,
    pub port_flag: &'static str,
    pub services_flag: &'static str,
    pub audit: Option<Arc<Audit>>,
    /// Seats for requests, all levels of priority and fairness together.
    pub requests_inflight: u32,
    /// Where the scheduler and the controllers run.
    pub components: [Component; 2],
}

/// An API server on its store.
pub struct RunningApi {
    store: Arc<WalStore>,
    server: ApiServer,
    pub pki: Arc<ClusterPki>,
    url: String,
}

/// Serves the API until it is told to stop.
pub fn main(arguments: &Arguments) -> Result<()> {
    let data_dir = DataDir::new(&arguments.data_dir.data_dir)?;
    data_dir.create()?;
    let _lock = data_dir.lock()?;
    let start = async |parts: &mut Parts| {
        let mut progress = Progress::new();
        let api = start(&arguments.options()?, &data_dir, parts, &mut progress).await?;
        api.write_component_kubeconfigs(&data_dir)?;
        parts.renew_certificates(api.pki.clone());
        progress.all_ready(&data_dir.admin_kubeconfig());
        Ok(api)
    };
    parts::run("warn", start, || {}, async |api: RunningApi| api.close().await)
}

impl Arguments {
    fn options(&self) -> Result<Options> {
        Ok(Options {
            listen: SocketAddr::new(self.bind_address, self.secure_port),
            advertise: advertised(self.advertise_address)?,
            names: self.tls_san.clone(),
            services: self.service_cluster_ip_range,
            node_ports: self.service_node_port_range.clone(),
            port_flag: "--secure-port",
            services_flag: "--service-cluster-ip-range",
            audit: self.requests.open_audit()?,
            requests_inflight: self.requests.seats(),
            components: components(Place::Port(scheduler::PORT), Place::Port(controller_manager::PORT)),
        })
    }
}

/// The components that `kubectl get componentstatuses` shows beside the store.
pub fn components(scheduler: Place, controller_manager: Place) -> [Component; 2] {
    [
        Component { name: "scheduler", place: scheduler },
        Component { name: "controller-manager", place: controller_manager },
    ]
}

/// The address that others reach us by: as `--advertise-address` gives it, or that of the default route.
pub fn advertised(given: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
    let address = given.or_else(steersman_network::node_address);
    let address = address.context("this host has no default route; pass --advertise-address")?;
    if address.is_loopback() {
        bail!("--advertise-address {address} is of no use to others: they cannot reach it");
    }
    Ok(address)
}

/// `from-to`, or one port.
fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse::<u16>(), to.parse::<u16>()) {
        (Ok(from), Ok(to)) if 0 < from && from <= to => Ok(from..=to),
        _ => Err(format!("{text:?} is not a range of ports such as 30000-32767")),
    }
}

/// Opens the store and serves the API on it; returns when it answers.
pub async fn start(
    options: &Options,
    data_dir: &DataDir,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<RunningApi> {
    let store = open_store(data_dir).await?;
    progress.ready("store", data_dir.store().display());
    let pki = ClusterPki::load_or_create(&data_dir.pki(), Timestamp::now());
    let pki = Arc::new(pki.context("could not prepare the certificates")?);
    let server = serve(options, store.clone(), &pki, parts).await?;
    let host =
        if options.listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { options.listen.ip() };
    let url = format!("https://{}", SocketAddr::new(host, options.listen.port()));
    progress.ready("api", &url);
    let api = RunningApi { store, server, pki, url };
    api.write_kubeconfig(data_dir, "admin", "kubernetes-admin", &Profile::admin())?;
    Ok(api)
}

impl RunningApi {
    /// A client of this process for the user `name`, who has these groups beside that of all who are known.
    pub fn client(&self, name: &str, groups: &[&str]) -> kube::Client {
        let groups =
            groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
        let user = User { name: name.to_owned(), groups, ..User::default() };
        steersman_client::in_process(self.server.handler(), user)
    }

    /// Makes clients of this process for service accounts of `kube-system`.
    pub fn service_accounts(&self) -> impl Fn(&str) -> kube::Client + Send + Sync + 'static {
        let handler = self.server.handler();
        move |account| {
            steersman_client::in_process(handler.clone(), User::service_account("kube-system", account))
        }
    }

    /// Ends what the parts stood on; everything acknowledged is on disk when it returns.
    pub async fn close(self) {
        self.server.shutdown().await;
        self.store.close().await;
    }

    /// The kubeconfigs of the components that would run in this process with `server`.
    fn write_component_kubeconfigs(&self, data_dir: &DataDir) -> Result<()> {
        for (stem, profile) in [
            ("controller-manager", Profile::controller_manager()),
            ("scheduler", Profile::scheduler()),
            ("proxy", Profile::proxy()),
        ] {
            self.write_kubeconfig(data_dir, stem, &profile.common_name, &profile)?;
        }
        Ok(())
    }

    fn write_kubeconfig(&self, data_dir: &DataDir, stem: &str, user: &str, profile: &Profile) -> Result<()> {
        let kubeconfig = Kubeconfig {
            cluster: CLUSTER,
            server: &self.url,
            authority_pem: self.pki.ca().certificate_pem(),
            user,
            identity: &self.pki.identity(stem, profile, Timestamp::now())?,
        };
        Ok(kubeconfig.write(&data_dir.kubeconfig(stem))?)
    }
}

async fn open_store(data_dir: &DataDir) -> Result<Arc<WalStore>> {
    let path = data_dir.store();
    let open = tokio::task::spawn_blocking(move || WalStore::open(&path, WalOptions::default()));
    Ok(Arc::new(open.await.context("opening the store panicked")?.context("could not open the store")?))
}

async fn serve(
    options: &Options,
    store: Arc<WalStore>,
    pki: &ClusterPki,
    parts: &mut Parts,
) -> Result<ApiServer> {
    let (port, flag) = (options.listen.port(), options.services_flag);
    let services = options.services;
    let range = AddressRange::new(services.network(), services.prefix())
        .with_context(|| format!("{flag} {services} must have a prefix of 8 to 30"))?;
    let service = service_address(services, 1, flag)?;
    let advertise = IpAddr::V4(options.advertise);
    let mut hooks = HookTable::new();
    hooks.set("", "services", Arc::new(ServiceAllocations::new(range, options.node_ports.clone())));
    let storage = Arc::new(Storage::new(store, steersman_registry::resources(), &hooks));
    let security = Security::new(&storage, pki, &format!("https://{advertise}:{port}"))?;
    let (indexes, watched, stop) = (security.indexes.clone(), storage.clone(), parts.stop.clone());
    parts.spawn("authorizer", async move {
        indexes.run(&watched, stop).await;
        Ok(())
    });
    let kubelet_client = identity(pki, "apiserver-kubelet-client", Profile::apiserver_kubelet_client())?;
    let flow_control = Arc::new(FlowControl::new(options.requests_inflight));
    let mut health = security.health;
    health.extend(flow_control.health());
    let config = Config {
        storage: storage.clone(),
        authenticator: security.authenticator,
        authorizer: security.authorizer,
        audit: options.audit.clone(),
        flow_control: Some(flow_control.clone()),
        admission: security.admission,
        creators: security.creators,
        version: Version::default(),
        kubelet_tls: Some(Arc::new(client_config(
            [pki.ca().certificate()],
            Some(kubelet_client.current.clone()),
        )?)),
        advertise: SocketAddr::new(advertise, port),
        service_address: service,
        issuer: Some(security.issuer),
        health,
        components: options.components.to_vec(),
    };
    if let Some(audit) = options.audit.clone() {
        let stop = parts.stop.clone();
        parts.spawn("audit log", async move {
            audit.run(stop).await;
            Ok(())
        });
    }
    let server = ApiServer::new(config).await?;
    let (custom, stop) = (server.clone(), parts.stop.clone());
    parts.spawn("custom resources", async move {
        custom.run_custom_resources(stop).await;
        Ok(())
    });
    let (limited, watched, stop) = (server.clone(), storage.clone(), parts.stop.clone());
    parts.spawn("priority and fairness", async move {
        flow_control.run(&watched, &limited, stop).await;
        Ok(())
    });
    bootstrap::apply(&server.handler(), &*storage).await?;
    security.indexes.synced().await;
    server.custom_resources_synced().await;

    let serving = identity(pki, "apiserver", serving_profile(options, service)?)?;
    let verifier = ClientVerifier::new([pki.ca().certificate()])?;
    let tls = server_config(serving.current.clone(), &ClientAuth::Deferred(verifier))?;
    parts.renewables.extend([kubelet_client, serving]);
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!("could not listen on port {port}; choose another with {}", options.port_flag)
    })?;
    let (serving, stop) = (server.clone(), parts.stop.clone());
    parts.spawn("api server", async move { Ok(serving.serve(listener, tls, stop).await?) });
    Ok(server)
}

/// What the API server's certificate says.
fn serving_profile(options: &Options, service: IpAddr) -> Result<Profile> {
    let (addresses, names): (Vec<_>, Vec<_>) =
        options.names.iter().partition(|name| name.parse::<IpAddr>().is_ok());
    let more = addresses.iter().filter_map(|name| name.parse().ok());
    let bound = Some(options.listen.ip()).filter(|address| !address.is_unspecified());
    let addresses: Vec<IpAddr> =
        [service, IpAddr::V4(options.advertise)].into_iter().chain(bound).chain(more).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let host = host_name().context("could not read the host's name")?;
    Ok(Profile::apiserver(&host, CLUSTER_DOMAIN, &names, &addresses))
}

/// An identity that is renewed while the cluster runs, once it is among `Parts::renewables`.
pub fn identity(pki: &ClusterPki, stem: &'static str, profile: Profile) -> Result<Renewable> {
    let issued = pki.identity(stem, &profile, Timestamp::now())?;
    Ok(Renewable { current: RotatingIdentity::new(&issued)?, stem, profile })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports_are_upstreams() {
        for (text, want) in [
            ("30000-32767", Some(30000..=32767)),
            ("31000", Some(31000..=31000)),
            ("0-5", None),
            ("7-5", None),
            ("1-99999", None),
        ] {
            assert_eq!(port_range(text).ok(), want, "{text}");
        }
    }
}
