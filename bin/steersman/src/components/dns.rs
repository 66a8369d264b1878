//! `steersman dns`: the cluster's DNS server, as CoreDNS with kubeadm.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use steersman_controller_runtime::SharedInformers;
use steersman_dns::{Dns, DnsConfig};

use super::connection::{ConnectionArguments, informers};
use crate::parts::{self, Parts};
use crate::settings::CLUSTER_DOMAIN;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Where to answer queries, over UDP and TCP: an address of this host, since answers are sent from it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Domain of the cluster's DNS names.
    #[arg(long, default_value = CLUSTER_DOMAIN, value_name = "DOMAIN")]
    cluster_domain: String,
    /// Names the resolvers that other names are forwarded to.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    resolv_conf: PathBuf,
}

/// Answers queries until it is told to stop.
pub fn main(arguments: &Arguments) -> Result<()> {
    let config = DnsConfig {
        listen: arguments.listen,
        domain: arguments.cluster_domain.clone(),
        resolv_conf: arguments.resolv_conf.clone(),
    };
    let start = async |parts: &mut Parts| {
        let connection = arguments.connection.open().await?;
        let informers = informers(&connection, parts)?;
        start(config, &informers, parts)?;
        Ok(informers)
    };
    parts::run(super::LOG, start, || {}, async |informers: SharedInformers| informers.stopped().await)
}

/// Starts the DNS server.
pub fn start(config: DnsConfig, informers: &SharedInformers, parts: &mut Parts) -> Result<Arc<Dns>> {
    let dns = Arc::new(Dns::new(config, informers)?);
    let (running, stop) = (dns.clone(), parts.stop.clone());
    parts.spawn("dns", async move { Ok(running.run(stop).await?) });
    Ok(dns)
}
