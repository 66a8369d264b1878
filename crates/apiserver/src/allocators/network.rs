//! The arithmetic of service networks: which addresses they have, and which of them are handed out first.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One network of a `ServiceCIDR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network")]
pub struct NotANetwork;

/// Numbers of addresses; empty if the start is beyond the end.
pub type Band = RangeInclusive<u128>;

impl Network {
    /// The network of `address` with a prefix of `bits`.
    pub fn new(address: IpAddr, bits: u32) -> Option<Self> {
        let width = width(address);
        let host = width.checked_sub(bits)?;
        let mask = if host == 128 { 0 } else { u128::MAX << host };
        Some(Self { base: address_of(number_of(address) & mask, address.is_ipv4()), bits })
    }

    /// `IPv4` or `IPv6`.
    pub fn family(&self) -> &'static str {
        family(self.base)
    }

    /// The address of the network itself.
    pub fn own_address(&self) -> IpAddr {
        self.base
    }

    /// Whether a service can have `address` from here: the network's own address is not one, nor is IPv4's broadcast
    /// address.
    pub fn has(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.base.is_ipv4() && self.usable().contains(&number_of(address))
    }

    /// The address of a number.
    pub fn address(&self, number: u128) -> IpAddr {
        address_of(number, self.base.is_ipv4())
    }

    /// The addresses that are handed out first, and those that users may choose from undisturbed until the first are
    /// all taken (KEP-3070).
    pub fn bands(&self) -> [Band; 2] {
        let usable = self.usable();
        let dynamic = usable.start() + self.reserved();
        [dynamic..=*usable.end(), *usable.start()..=dynamic - 1]
    }

    fn usable(&self) -> Band {
        let (first, size) = (number_of(self.base), self.size());
        let broadcast = u128::from(self.base.is_ipv4());
        first + 1..=(first + (size - 1)).saturating_sub(broadcast)
    }

    /// All its addresses; no more than fit, which is never reached.
    fn size(&self) -> u128 {
        1u128.checked_shl(width(self.base) - self.bits).unwrap_or(u128::MAX)
    }

    /// Upstream keeps a sixteenth, but 16 to 256, and nothing of 16 or less.
    fn reserved(&self) -> u128 {
        if self.size() <= 16 { 0 } else { (self.size() / 16).clamp(16, 256) }
    }
}

/// `IPv4` or `IPv6`.
pub fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The address as a number.
pub fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address_of(number: u128, v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if v4 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').ok_or(NotANetwork)?;
        let (address, bits) = (address.parse().ok(), bits.parse().ok());
        address.zip(bits).and_then(|(address, bits)| Self::new(address, bits)).ok_or(NotANetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_upstreams() {
        let cases = [
            ("10.0.0.0/24", "10.0.0.17", "10.0.0.254", "10.0.0.1"),
            ("10.0.0.0/16", "10.0.1.1", "10.0.255.254", "10.0.0.1"),
            ("fd00::/112", "fd00::101", "fd00::ffff", "fd00::1"),
        ];
        for (network, dynamic, last, first) in cases {
            let network: Network = network.parse().unwrap();
            let [upper, lower] = network.bands();
            let text = |number: &u128| network.address(*number).to_string();
            assert_eq!(
                (text(upper.start()), text(upper.end()), text(lower.start())),
                (dynamic.into(), last.into(), first.into())
            );
            assert_eq!(lower.end() + 1, *upper.start());
        }
        let [upper, lower]: [Band; 2] = "10.0.0.0/28".parse::<Network>().unwrap().bands();
        assert_eq!((upper.count(), lower.count()), (14, 0), "a small network keeps nothing back");
    }

    #[test]
    fn ends_of_a_network_are_nobodys() {
        let cases = [
            ("10.0.0.0/24", "10.0.0.0", false),
            ("10.0.0.0/24", "10.0.0.255", false),
            ("10.0.0.0/24", "10.0.0.254", true),
            ("10.0.0.0/24", "10.0.1.1", false),
            ("fd00::/120", "fd00::ff", true),
            ("fd00::/120", "fd00::", false),
            ("10.0.0.0/8", "fd00::1", false),
            ("10.0.0.1/32", "10.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("::/0", "fd00::1", true),
        ];
        for (network, address, want) in cases {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.has(address.parse().unwrap()), want, "{network} {address}");
        }
        assert!("10.0.0.0/33".parse::<Network>().is_err() && "10.0.0.0".parse::<Network>().is_err());
    }
}
