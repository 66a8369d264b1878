//! Pod networks on a node, and nftables.
//!
//! Each pod has a link to the node's bridge and an address of the node's pod range. Its address is a /32 and its only
//! route leads to the bridge, so that every packet between pods passes the host's IP layer: service translation
//! works on it without `br_netfilter`, which not every kernel has.
//!
//! ```text
//!  pod netns                      host
//!  eth0 10.244.0.5/32 ──veth──▶ steersman0 10.244.0.1/24 ──▶ forward ──▶ another pod, or masqueraded to outside
//! ```

mod addresses;
mod attribute;
mod conntrack;
pub mod links;
mod netfilter;
mod netns;
pub mod nft;
mod node_address;
mod pod_network;
mod rules;

pub use addresses::{AddressError, Ipv4Range, PodAddresses};
pub use conntrack::{ConntrackError, UdpFlow, forget_udp};
pub use netns::{NetnsError, create_netns, delete_netns, inside};
pub use node_address::node_address;
pub use pod_network::{HostPort, NetworkError, PodNetwork, PodNetworkConfig};
