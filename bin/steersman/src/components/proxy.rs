//! `steersman proxy`: kube-proxy, in nftables.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use steersman_controller_runtime::SharedInformers;
use steersman_network::nft;
use steersman_proxy::{Proxy, ProxyConfig, Shape};

use super::connection::{ConnectionArguments, informers};
use crate::parts::{self, Parts};
use crate::settings::{ClusterSettings, node_name};

/// Name of the nftables table of services.
pub const TABLE: &str = "steersman-services";

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Name of this node; the host's name if not given.
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// Address of this node, at which node ports are open; that of its default route if not given.
    #[arg(long, value_name = "ADDRESS")]
    bind_address: Option<Ipv4Addr>,
    #[command(flatten)]
    cluster: ClusterSettings,
}

/// Programs services until it is told to stop. The rules stay: connections go on while the proxy is away.
pub fn main(arguments: &Arguments) -> Result<()> {
    crate::require_root("proxy")?;
    let start = async |parts: &mut Parts| {
        let connection = arguments.connection.open().await?;
        let informers = informers(&connection, parts)?;
        let name = node_name(arguments.hostname_override.as_deref(), "--hostname-override")?;
        let address = arguments.bind_address.or_else(steersman_network::node_address);
        let address = address.context("this host has no default route; pass --bind-address")?;
        start(name, address, &arguments.cluster, &informers, parts);
        Ok(informers)
    };
    parts::run(super::LOG, start, || {}, async |informers: SharedInformers| informers.stopped().await)
}

/// Starts the proxy of the node of this name and address.
pub fn start(
    node_name: String,
    node_address: Ipv4Addr,
    cluster: &ClusterSettings,
    informers: &SharedInformers,
    parts: &mut Parts,
) -> Arc<Proxy> {
    let shape = Shape {
        table: TABLE.to_owned(),
        node_address,
        cluster_range: cluster.cluster_cidr,
        service_range: cluster.service_cidr,
    };
    let proxy = Proxy::new(ProxyConfig { node_name, shape }, informers);
    let (running, stop) = (proxy.clone(), parts.stop.clone());
    parts.spawn("proxy", async move { Ok(running.run(stop).await?) });
    proxy
}

/// Removes the rules if they are there.
pub fn tear_down() -> Result<()> {
    if !nft::list_tables()?.iter().any(|known| known == TABLE) {
        return Ok(());
    }
    let mut batch = nft::Batch::default();
    batch.delete_table(TABLE);
    nft::apply(&batch).with_context(|| format!("could not remove the nftables table {TABLE}"))
}
