//! The pods of one node on its bridge.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::links::{self, LinkError};
use crate::nft::{self, NftError};
use crate::{AddressError, Ipv4Range, NetnsError, PodAddresses, UdpFlow, forget_udp, inside, rules};

/// How the network is set up.
#[derive(Clone, Debug)]
pub struct PodNetworkConfig {
    /// Name of the bridge; at most 15 characters.
    pub bridge: String,
    /// Name of the nftables table.
    pub table: String,
    /// The addresses of this node's pods.
    pub pod_range: Ipv4Range,
    /// The addresses of all pods of the cluster: traffic to them is not masqueraded.
    pub cluster_range: Ipv4Range,
    /// The addresses of services: the host reaches them through the bridge.
    pub service_range: Ipv4Range,
    /// Where it is kept which pod has which address.
    pub state_dir: PathBuf,
    /// Largest packet in bytes; `None` for that of the link of the default route.
    pub mtu: Option<u32>,
}

/// A port of the host that leads to a port of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// IP protocol number: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u8,
    /// The one address of the host whose port it is; `None` for all of them.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port.
    pub host_port: u16,
    /// The pod's port.
    pub container_port: u16,
}

impl HostPort {
    fn is_udp(&self) -> bool {
        self.protocol == 17
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            6 => "TCP",
            17 => "UDP",
            _ => "SCTP",
        };
        write!(f, "{}:{}/{protocol}", self.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED), self.host_port)
    }
}

/// Why a pod could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A link, address or route.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A rule.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The pod's namespace.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A host port leads to another pod.
    #[error("a host port of {} is taken by another pod", list(.ports))]
    PortTaken {
        /// The ports that were wanted.
        ports: Vec<HostPort>,
    },
    /// A kernel setting.
    #[error("could not set {path}")]
    Sysctl {
        /// The file below `/proc/sys`.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The network of one node's pods. Its calls block for the kernel, a few milliseconds each.
#[derive(Debug)]
pub struct PodNetwork {
    config: PodNetworkConfig,
    addresses: PodAddresses,
}

impl PodNetwork {
    /// The network as `config` describes it; nothing is set up yet but the directory.
    pub fn open(config: PodNetworkConfig) -> Result<Self, NetworkError> {
        let addresses = PodAddresses::open(config.state_dir.clone(), config.pod_range)?;
        Ok(Self { config, addresses })
    }

    /// The bridge's address, which is also the pods' gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        self.addresses.gateway()
    }

    /// Sets up the bridge, routes, rules and kernel settings; what is there already stays, running pods notice nothing.
    pub fn set_up(&self) -> Result<(), NetworkError> {
        let config = &self.config;
        let (gateway, prefix) = (self.gateway(), config.pod_range.prefix());
        links::with_handle(|handle| async move {
            let mtu = match config.mtu {
                Some(mtu) => mtu,
                None => links::default_route_mtu(&handle).await?.unwrap_or(ETHERNET_MTU),
            };
            links::ensure_bridge(&handle, &config.bridge, gateway, prefix, mtu).await?;
            let services = (config.service_range.network(), config.service_range.prefix());
            links::ensure_route(&handle, services, &config.bridge, gateway).await
        })?;
        sysctl("net/ipv4/ip_forward", "1")?;
        // Pods talk through the gateway although they share a link: that is meant, no redirects.
        // What `all` says counts for every link, even one that says no. The other links keep their own setting.
        sysctl("net/ipv4/conf/all/send_redirects", "0")?;
        sysctl(&format!("net/ipv4/conf/{}/send_redirects", config.bridge), "0")?;
        // The host reaches host ports at its loopback addresses, and then sends to the pod from there.
        sysctl(&format!("net/ipv4/conf/{}/route_localnet", config.bridge), "1")?;
        nft::apply(&rules::install(&config.table, &config.bridge, config.pod_range, config.cluster_range))?;
        Ok(())
    }

    /// Connects the sandbox `id` in the namespace at `netns`, and gives its address. Calling it again for a sandbox
    /// that is connected gives the same address.
    pub fn add(&self, id: &str, netns: &Path, ports: &[HostPort]) -> Result<Ipv4Addr, NetworkError> {
        let known = self.addresses.of(id)?;
        let address = self.addresses.allocate(id)?;
        let connected = self.connect(id, netns, address, ports);
        if connected.is_err() && known.is_none() {
            // Its host ports were not added: they may be another pod's. The cause is worth more than a failure to
            // clean up after it.
            if let Err(error) = self.remove(id, &[]) {
                tracing::warn!(%id, %error, "a pod that could not be connected was not cleaned up");
            }
        }
        connected.map(|()| address)
    }

    /// Disconnects a sandbox and frees its address; nothing happens if it is not connected.
    pub fn remove(&self, id: &str, ports: &[HostPort]) -> Result<(), NetworkError> {
        let link = link_name(id);
        links::with_handle(|handle| async move { links::delete(&handle, &link).await })?;
        if let Some(address) = self.addresses.of(id)? {
            for batch in rules::delete_pod(&self.config.table, &rules::elements(address, ports)) {
                match nft::apply(&batch) {
                    Err(NftError::Refused { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            if ports.iter().any(HostPort::is_udp) {
                forget(id, |flow| *flow.responder.ip() == address);
            }
        }
        self.addresses.release(id)?;
        Ok(())
    }

    /// Removes the bridge, the pods' links, the rules and the addresses of a network; what is not there is fine.
    pub fn tear_down(bridge: &str, table: &str, state_dir: &Path) -> Result<(), NetworkError> {
        links::with_handle(|handle| async move {
            for name in links::names(&handle).await? {
                if name.starts_with(LINK_PREFIX) {
                    links::delete(&handle, &name).await?;
                }
            }
            links::delete(&handle, bridge).await
        })?;
        delete_table(table)?;
        match fs::remove_dir_all(state_dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(AddressError::Io { dir: state_dir.to_owned(), source }.into())
            }
            _ => Ok(()),
        }
    }

    fn connect(
        &self,
        id: &str,
        netns: &Path,
        address: Ipv4Addr,
        ports: &[HostPort],
    ) -> Result<(), NetworkError> {
        let (config, link, gateway) = (&self.config, link_name(id), self.gateway());
        let peer = format!("{link}p");
        let namespace = File::open(netns).map_err(LinkError::Socket)?;
        let connected = links::with_handle(|handle| {
            let (link, peer, namespace) = (link.clone(), peer.clone(), &namespace);
            async move {
                if links::index(&handle, &link).await?.is_some() {
                    return Ok(true);
                }
                links::add_pair(&handle, &link, &config.bridge, &peer, namespace.as_fd()).await?;
                Ok(false)
            }
        })?;
        if !connected {
            inside(netns, move || {
                links::with_handle(|handle| async move {
                    links::configure_pod(&handle, &peer, address, gateway).await
                })
            })??;
        }
        match nft::apply(&rules::add_pod(&config.table, &rules::elements(address, ports))) {
            Err(NftError::Refused { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NetworkError::PortTaken { ports: ports.to_vec() });
            }
            other => other?,
        }
        forget_untranslated(id, address, ports)
    }
}

/// Clients that sent to UDP host ports before they led to a pod must find it.
fn forget_untranslated(id: &str, pod: Ipv4Addr, ports: &[HostPort]) -> Result<(), NetworkError> {
    let udp: Vec<&HostPort> = ports.iter().filter(|port| port.is_udp()).collect();
    if udp.is_empty() {
        return Ok(());
    }
    let host = links::with_handle(|handle| async move { links::addresses(&handle).await })?;
    let leads_here = |port: &&HostPort, to: &SocketAddrV4| {
        port.host_port == to.port() && port.host_ip.is_none_or(|address| address == *to.ip())
    };
    let elsewhere =
        |port: &&HostPort, from: &SocketAddrV4| *from != SocketAddrV4::new(pod, port.container_port);
    forget(id, |flow| {
        let (to, from) = (&flow.destination, &flow.responder);
        host.contains(to.ip()) && udp.iter().any(|port| leads_here(port, to) && elsewhere(port, from))
    });
    Ok(())
}

/// Forgets UDP flows. Pods come and go even where the kernel cannot do that; only a client that keeps its port suffers.
fn forget(id: &str, stale: impl Fn(&UdpFlow) -> bool) {
    if let Err(error) = forget_udp(stale) {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%id, %error, cause, "UDP clients of a pod's host ports may miss that it came or went");
    }
}

/// Removes a table of rules; nothing happens if there is none.
pub(crate) fn delete_table(table: &str) -> Result<(), NftError> {
    let mut batch = nft::Batch::default();
    batch.add_table(table);
    batch.delete_table(table);
    nft::apply(&batch)
}

/// The largest packet where nothing says otherwise.
const ETHERNET_MTU: u32 = 1500;
const LINK_PREFIX: &str = "sm";

/// The host end's name: links have at most 15 characters, and the peer's name is one longer.
fn link_name(id: &str) -> String {
    format!("{LINK_PREFIX}{}", id.chars().filter(char::is_ascii_alphanumeric).take(12).collect::<String>())
}

fn list(ports: &[HostPort]) -> String {
    ports.iter().map(HostPort::to_string).collect::<Vec<_>>().join(", ")
}

fn sysctl(name: &str, value: &str) -> Result<(), NetworkError> {
    let path = Path::new("/proc/sys").join(name);
    let current = fs::read_to_string(&path).unwrap_or_default();
    if current.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(|source| NetworkError::Sysctl { path, source })
}
