//! Links, addresses and routes, by netlink. Each call is made on a thread of its own with a socket of its own, so
//! that it works in whatever namespace the thread is in.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use futures::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Why the kernel did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Netlink refused.
    #[error("could not {what}")]
    Refused {
        /// What was to be done.
        what: String,
        /// The kernel's reason.
        source: Box<rtnetlink::Error>,
    },
    /// No such link.
    #[error("there is no link named {0}")]
    NoLink(String),
    /// The kernel does not say how large its packets may be.
    #[error("the link {0} has no MTU")]
    NoMtu(String),
    /// The socket or its thread failed.
    #[error("could not open a netlink socket")]
    Socket(#[from] std::io::Error),
    /// The kernel did not answer.
    #[error("the kernel did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
}

const TIMEOUT: Duration = Duration::from_secs(10);

fn refused(what: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> LinkError {
    move |source| LinkError::Refused { what: what.into(), source: Box::new(source) }
}

/// Runs `work` with a netlink handle of the calling thread's network namespace. Blocks; not for async callers.
pub fn with_handle<T, F, R>(work: F) -> Result<T, LinkError>
where
    F: FnOnce(Handle) -> R,
    R: Future<Output = Result<T, LinkError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = tokio::time::timeout(TIMEOUT, work(handle)).await.unwrap_or(Err(LinkError::Timeout));
        connection.abort();
        result
    })
}

/// The index of a link; `None` if there is none of this name.
pub async fn index(handle: &Handle, name: &str) -> Result<Option<u32>, LinkError> {
    Ok(get(handle, name).await?.map(|link| link.header.index))
}

async fn get(handle: &Handle, name: &str) -> Result<Option<LinkMessage>, LinkError> {
    match handle.link().get().match_name(name.to_owned()).execute().try_next().await {
        Ok(link) => Ok(link),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc_enodev() => Ok(None),
        Err(error) => Err(refused(format!("look up link {name}"))(error)),
    }
}

fn libc_enodev() -> i32 {
    nix::errno::Errno::ENODEV as i32
}

async fn must_index(handle: &Handle, name: &str) -> Result<u32, LinkError> {
    index(handle, name).await?.ok_or_else(|| LinkError::NoLink(name.to_owned()))
}

/// Makes the bridge with its address and brings it up; what is there already stays, but for its largest packet.
pub async fn ensure_bridge(
    handle: &Handle,
    name: &str,
    address: Ipv4Addr,
    prefix: u8,
    mtu: u32,
) -> Result<(), LinkError> {
    if index(handle, name).await?.is_none() {
        let bridge = LinkBridge::new(name).mtu(mtu).up().build();
        handle.link().add(bridge).execute().await.map_err(refused(format!("create bridge {name}")))?;
    }
    let index = must_index(handle, name).await?;
    let add = handle.address().add(index, address.into(), prefix).replace().execute().await;
    add.map_err(refused(format!("give {name} the address {address}/{prefix}")))?;
    // Set even when it is new: a bridge whose largest packet was never set takes that of its smallest port.
    let sized = LinkUnspec::new_with_index(index).mtu(mtu).build();
    handle
        .link()
        .change(sized)
        .execute()
        .await
        .map_err(refused(format!("set the MTU of {name} to {mtu}")))?;
    set_up(handle, index, name).await
}

async fn set_up(handle: &Handle, index: u32, name: &str) -> Result<(), LinkError> {
    let up = LinkUnspec::new_with_index(index).up().build();
    handle.link().change(up).execute().await.map_err(refused(format!("bring {name} up")))
}

/// Brings a link up.
pub async fn bring_up(handle: &Handle, name: &str) -> Result<(), LinkError> {
    set_up(handle, must_index(handle, name).await?, name).await
}

/// Removes a link; nothing happens if there is none.
pub async fn delete(handle: &Handle, name: &str) -> Result<(), LinkError> {
    let Some(index) = index(handle, name).await? else { return Ok(()) };
    handle.link().del(index).execute().await.map_err(refused(format!("delete link {name}")))
}

/// The names of all links.
pub async fn names(handle: &Handle) -> Result<Vec<String>, LinkError> {
    let links: Vec<LinkMessage> =
        handle.link().get().execute().try_collect().await.map_err(refused("list links"))?;
    let name = |link: LinkMessage| {
        link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
    };
    Ok(links.into_iter().filter_map(name).collect())
}

/// The IPv4 addresses of all links.
pub async fn addresses(handle: &Handle) -> Result<Vec<Ipv4Addr>, LinkError> {
    let messages: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(refused("list addresses"))?;
    let address = |message: AddressMessage| {
        message.attributes.into_iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(address),
            _ => None,
        })
    };
    Ok(messages.into_iter().filter_map(address).collect())
}

/// The largest packet, in bytes, of the link that the IPv4 default route leads to; of several the preferred. `None`
/// without such a route.
pub async fn default_route_mtu(handle: &Handle) -> Result<Option<u32>, LinkError> {
    let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Vec<RouteMessage> =
        handle.route().get(all).execute().try_collect().await.map_err(refused("list routes"))?;
    let preferred = routes.iter().filter_map(default_route).min();
    let Some((_, index)) = preferred else { return Ok(None) };
    let mut links = handle.link().get().match_index(index).execute();
    let link = links.try_next().await.map_err(refused(format!("look up link {index}")))?;
    Ok(link.as_ref().and_then(mtu_of))
}

fn mtu_of(link: &LinkMessage) -> Option<u32> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

/// The metric and the link of a default route of the main table; a low metric is preferred.
fn default_route(route: &RouteMessage) -> Option<(u32, u32)> {
    if route.header.destination_prefix_length != 0 || route.header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let (mut metric, mut link) = (0, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::MultiPath(hops) => link = hops.first().map(|hop| hop.interface_index),
            _ => {}
        }
    }
    Some((metric, link?))
}

/// Makes a pair of links: `name` on the bridge here, `peer` in the namespace behind `netns`. Their largest packet is the
/// bridge's.
pub async fn add_pair(
    handle: &Handle,
    name: &str,
    bridge: &str,
    peer: &str,
    netns: BorrowedFd<'_>,
) -> Result<(), LinkError> {
    let controller = get(handle, bridge).await?.ok_or_else(|| LinkError::NoLink(bridge.to_owned()))?;
    let mtu = mtu_of(&controller).ok_or_else(|| LinkError::NoMtu(bridge.to_owned()))?;
    let pair = LinkVeth::new(name, peer).mtu(mtu).build();
    handle.link().add(pair).execute().await.map_err(refused(format!("create link {name}")))?;
    let peer_index = must_index(handle, peer).await?;
    // The two ends have each their own.
    let moved = LinkUnspec::new_with_index(peer_index).mtu(mtu).setns_by_fd(netns.as_raw_fd()).build();
    handle.link().change(moved).execute().await.map_err(refused(format!("move {peer} into the pod")))?;
    let index = must_index(handle, name).await?;
    let host = LinkUnspec::new_with_index(index).controller(controller.header.index).up().build();
    handle.link().change(host).execute().await.map_err(refused(format!("attach {name} to {bridge}")))?;
    // Where `br_netfilter` is on, a pod that reaches itself through a service is sent back out of its own port.
    let hairpin = LinkBridgePort::new(index).hairpin(true).build();
    handle.link().set_port(hairpin).execute().await.map_err(refused(format!("set {name} to hairpin mode")))
}

/// Inside a pod: names the link `eth0`, gives it `address` and a default route through `gateway`, and brings it and
/// the loopback up.
pub async fn configure_pod(
    handle: &Handle,
    link: &str,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
) -> Result<(), LinkError> {
    set_up(handle, must_index(handle, "lo").await?, "lo").await?;
    let index = must_index(handle, link).await?;
    let mut renamed = LinkUnspec::new_with_name("eth0").build();
    renamed.header.index = index;
    handle.link().change(renamed).execute().await.map_err(refused("name the pod's link eth0"))?;
    let add = handle.address().add(index, address.into(), 32).execute().await;
    add.map_err(refused(format!("give the pod the address {address}")))?;
    set_up(handle, index, "eth0").await?;
    let direct = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(gateway, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build();
    handle.route().add(direct).execute().await.map_err(refused("add the route to the gateway"))?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
    handle.route().add(default).execute().await.map_err(refused("add the default route"))
}

/// Routes `destination` to a link, with `source` as the host's address towards it.
pub async fn ensure_route(
    handle: &Handle,
    destination: (Ipv4Addr, u8),
    link: &str,
    source: Ipv4Addr,
) -> Result<(), LinkError> {
    let index = must_index(handle, link).await?;
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(destination.0, destination.1)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build();
    route.attributes.push(RouteAttribute::PrefSource(source.into()));
    let add = handle.route().add(route).replace().execute().await;
    add.map_err(refused(format!("route {}/{} to {link}", destination.0, destination.1)))
}
