//! Cluster DNS: authoritative for the cluster domain, forwarding with a cache for everything else.
//!
//! ```text
//! informers ──▶ sources ──▶ World ◀──read── answer (pure) ◀── server (UDP, TCP) ◀── pods
//!                                              │ not ours
//!                                              └──▶ upstream (cache, coalescing) ──▶ the host's resolvers
//! ```
//! What the cluster's names mean follows the Kubernetes DNS-based service discovery specification 1.1.0; where that
//! is silent, CoreDNS as kubeadm configures it (`pods insecure`, `ttl 30`, `cache 30`). A query for a cluster name
//! never waits for anything: it is answered from memory where it was received.

mod answer;
mod message;
mod server;
mod service;
mod sources;
mod upstream;
mod world;
mod zone;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use steersman_controller_runtime::SharedInformers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use server::{Listeners, Server};
use sources::Sources;
use upstream::Upstream;
use world::World;
use zone::Zone;

/// What a DNS server needs to know.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// The address of the UDP and the TCP listener; normally port 53. Must be an address of this host: answers
    /// are sent from it.
    pub listen: SocketAddr,
    /// The cluster domain, such as `cluster.local`.
    pub domain: String,
    /// Names the resolvers that other names are forwarded to. Read again when it changes.
    pub resolv_conf: PathBuf,
}

/// Why the DNS server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The cluster domain is not a domain name.
    #[error("{domain:?} is not a domain name")]
    BadDomain {
        /// What was given.
        domain: String,
    },
    /// A listener cannot be opened: the port is taken, the address is not ours, or a privilege is missing.
    #[error("could not listen for DNS queries on {protocol} {address}")]
    Listen {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A task of the server panicked.
    #[error("a task of the DNS server failed")]
    Task(#[from] tokio::task::JoinError),
}

/// The cluster's DNS server.
pub struct Dns {
    config: DnsConfig,
    sources: Arc<Sources>,
    server: Arc<Server>,
    ready: watch::Sender<Option<SocketAddr>>,
}

impl Dns {
    /// A server for the Services, EndpointSlices and Namespaces of `informers`. Must be called in a tokio runtime;
    /// answers nothing before [`Self::run`].
    pub fn new(config: DnsConfig, informers: &SharedInformers) -> Result<Self, DnsError> {
        let zone = Zone::parse(&config.domain)
            .ok_or_else(|| DnsError::BadDomain { domain: config.domain.clone() })?;
        let world = Arc::new(RwLock::new(World::new(zone)));
        let sources = Arc::new(Sources::new(informers, world.clone()));
        let upstream = Upstream::new(config.resolv_conf.clone(), config.listen);
        let server = Arc::new(Server::new(world, upstream));
        Ok(Self { config, sources, server, ready: watch::Sender::new(None) })
    }

    /// Waits until queries are answered; gives the address. Waits for ever if [`Self::run`] fails: wait for that too.
    pub async fn wait_ready(&self) -> SocketAddr {
        let mut ready = self.ready.subscribe();
        match ready.wait_for(Option::is_some).await.map(|address| *address) {
            Ok(Some(address)) => address,
            // The sender lives in `self`, and the wait is for `Some`.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Answers queries until `stop`; returns after every query under way has its answer.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), DnsError> {
        let listeners = Listeners::bind(self.config.listen)?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = self.sources.wait_synced() => {}
        }
        self.sources.refresh_all();
        let following = tokio::spawn(self.sources.clone().run(stop.clone()));
        self.ready.send_replace(Some(listeners.address()));
        let outcome = self.server.clone().run(listeners, stop.clone()).await;
        stop.cancel(); // without its server, following the API is of no use
        self.ready.send_replace(None);
        following.await?;
        outcome
    }
}
