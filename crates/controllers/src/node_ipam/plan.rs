//! Which range a node gets. Pure.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

use k8s_openapi::api::core::v1::Node;

/// The range of all pod addresses: an IPv4 network that holds at least one `/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterCidr {
    base: u32,
    prefix: u8,
}

/// A text that is no usable range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 network of /{max} or larger", max = ClusterCidr::NODE_PREFIX)]
pub struct InvalidCidr(String);

impl ClusterCidr {
    /// The size of a node's range.
    pub const NODE_PREFIX: u8 = 24;
}

impl FromStr for ClusterCidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        if prefix > Self::NODE_PREFIX {
            return Err(invalid());
        }
        let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
        Ok(Self { base: u32::from(address) & mask, prefix })
    }
}

/// The first address of the range that the node has.
pub(super) fn range_of(node: &Node) -> Option<Ipv4Addr> {
    let range = node.spec.as_ref()?.pod_cidr.as_deref()?;
    range.split_once('/')?.0.parse().ok()
}

/// The lowest node range that nobody uses.
pub(super) fn first_free(cluster: ClusterCidr, used: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let count = 1_u32 << (ClusterCidr::NODE_PREFIX - cluster.prefix);
    let step = 1_u32 << (32 - ClusterCidr::NODE_PREFIX);
    let mut ranges = (0..count).map(|index| Ipv4Addr::from(cluster.base + index * step));
    ranges.find(|range| !used.contains(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_given_from_the_lowest_and_only_once() {
        let cluster: ClusterCidr = "10.42.7.9/22".parse().expect("a range");
        let mut used = HashSet::new();
        for expected in ["10.42.4.0", "10.42.5.0", "10.42.6.0", "10.42.7.0"] {
            let range = first_free(cluster, &used).expect("one is free");
            assert_eq!(range.to_string(), expected);
            used.insert(range);
        }
        assert_eq!(first_free(cluster, &used), None);
    }

    #[test]
    fn unusable_ranges_are_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/25", "10.0.0/16", "fd00::/48", "10.0.0.0/33"] {
            assert!(text.parse::<ClusterCidr>().is_err(), "{text}");
        }
        assert!("0.0.0.0/0".parse::<ClusterCidr>().is_ok());
    }
}
