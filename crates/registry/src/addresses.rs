//! IP addresses and CIDRs in the fields of objects. They are read as leniently as Go's parser once read them (leading
//! zeros), so that a problem can be named, and then checked strictly (`StrictIPCIDRValidation`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::quote::quote;

const VALID_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const VALID_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address as Go's `ParseIPSloppy` reads it.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if !text.contains(':') {
        return sloppy_v4(text).map(IpAddr::V4);
    }
    match text.rsplit_once(':') {
        Some((head, tail)) if tail.contains('.') => {
            format!("{head}:{}", sloppy_v4(tail)?).parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    }
}

fn sloppy_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = number(parts.next()?, 255)?.try_into().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// A decimal number of digits only, leading zeros allowed.
fn number(text: &str, max: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let significant = text.trim_start_matches('0');
    if !digits || significant.len() > 9 {
        return None;
    }
    let value = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    (value <= max).then_some(value)
}

/// The address as Go prints it: one of IPv4 inside IPv6 as IPv4.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// A network or, with bits beyond the prefix, an address in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    ip: IpAddr,
    bits: u32,
}

impl Cidr {
    /// As Go's `ParseCIDRSloppy` reads it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (ip, bits) = text.split_once('/')?;
        let ip = parse_ip(ip)?;
        Some(Self { ip, bits: number(bits, if ip.is_ipv4() { 32 } else { 128 })? })
    }

    /// The address without the bits beyond the prefix.
    pub(crate) fn network(self) -> IpAddr {
        match self.ip {
            IpAddr::V4(ip) => IpAddr::V4((u32::from(ip) & high_bits32(self.bits)).into()),
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & high_bits128(self.bits)).into()),
        }
    }

    /// Whether it is of IPv4, also if written inside IPv6.
    pub(crate) fn is_v4(self) -> bool {
        canonical(self.ip).is_ipv4()
    }

    /// The number of bits of the prefix, as it is written.
    pub(crate) fn bits(self) -> u32 {
        self.bits
    }

    /// Whether `ip` is in the network.
    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        match (canonical(self.network()), canonical(ip)) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = high_bits32(self.canonical_bits());
                u32::from(network) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = high_bits128(self.bits);
                u128::from(network) & mask == u128::from(ip) & mask
            }
            _ => false,
        }
    }

    fn canonical_bits(self) -> u32 {
        if is_mapped(self.network()) { self.bits.saturating_sub(96) } else { self.bits }
    }

    /// As Go prints a network.
    pub(crate) fn text(self) -> String {
        format!("{}/{}", canonical(self.network()), self.canonical_bits())
    }
}

/// An address of an interface with the length of its network's prefix, in the form in which Go prints it.
pub(crate) fn interface_address(found: &mut ErrorList, path: &Path, text: &str) {
    let Some(cidr) = Cidr::parse(text) else {
        let why = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        found.push(Error::invalid(path.clone(), text, why));
        return;
    };
    let bits = if is_mapped(cidr.ip) && cidr.bits > 32 { cidr.bits.saturating_sub(96) } else { cidr.bits };
    let canonical = format!("{}/{bits}", canonical(cidr.ip));
    if text != canonical {
        let why = format!("must be in canonical form ({})", quote(&canonical));
        found.push(Error::invalid(path.clone(), text, why));
    }
}

fn high_bits32(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0)
}

fn high_bits128(bits: u32) -> u128 {
    u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0)
}

/// An address in a field that has been there before the strict rules: any form but those that programs read
/// differently. Gives the address if it is one.
pub(crate) fn legacy_ip(found: &mut ErrorList, path: &Path, text: &str) -> Option<IpAddr> {
    let Some(ip) = parse_ip(text) else {
        found.push(Error::invalid(path.clone(), text, VALID_IP));
        return None;
    };
    if text.parse::<IpAddr>().is_err() {
        found.push(Error::invalid(path.clone(), text, "must not have leading 0s"));
    } else if is_mapped(ip) {
        found.push(Error::invalid(path.clone(), text, "must not be an IPv4-mapped IPv6 address"));
    }
    Some(ip)
}

/// An address in its canonical form.
pub(crate) fn strict_ip(found: &mut ErrorList, path: &Path, text: &str) {
    let before = found.len();
    if let Some(ip) = legacy_ip(found, path, text)
        && found.len() == before
        && ip.to_string() != text
    {
        let why = format!("must be in canonical form ({})", quote(&ip.to_string()));
        found.push(Error::invalid(path.clone(), text, why));
    }
}

/// A network in a field that has been there before the strict rules. Gives it if it is one.
pub(crate) fn legacy_cidr(found: &mut ErrorList, path: &Path, text: &str) -> Option<Cidr> {
    let Some(cidr) = Cidr::parse(text) else {
        found.push(Error::invalid(path.clone(), text, VALID_CIDR));
        return None;
    };
    let why = if !is_strict_cidr(text) {
        "must not have leading 0s in IP or prefix length"
    } else if is_mapped(cidr.ip) {
        "must not have an IPv4-mapped IPv6 address"
    } else if cidr.ip != cidr.network() {
        "must not have bits set beyond the prefix length"
    } else {
        return Some(cidr);
    };
    found.push(Error::invalid(path.clone(), text, why));
    Some(cidr)
}

/// A network in its canonical form.
pub(crate) fn strict_cidr(found: &mut ErrorList, path: &Path, text: &str) {
    let before = found.len();
    if let Some(cidr) = legacy_cidr(found, path, text)
        && found.len() == before
        && cidr.text() != text
    {
        let why = format!("must be in canonical form ({})", quote(&cidr.text()));
        found.push(Error::invalid(path.clone(), text, why));
    }
}

fn is_strict_cidr(text: &str) -> bool {
    let Some((ip, bits)) = text.split_once('/') else { return false };
    ip.parse::<IpAddr>().is_ok() && (bits == "0" || !bits.starts_with('0'))
}

/// Warnings about an address in an unusual form.
pub(crate) fn ip_warning(path: &Path, text: &str) -> Option<String> {
    let ip = parse_ip(text)?;
    if text.parse::<IpAddr>().is_err() || is_mapped(ip) {
        let better = quote(&canonical(ip).to_string());
        return Some(format!("{path}: non-standard IP address {} is invalid: use {better}", quote(text)));
    }
    let shown = ip.to_string();
    (ip.is_ipv6() && shown != text).then(|| {
        let (text, shown) = (quote(text), quote(&shown));
        format!("{path}: IPv6 address {text} should be in RFC 5952 canonical format ({shown})")
    })
}

/// Warnings about a network in an unusual form.
pub(crate) fn cidr_warnings(path: &Path, text: &str) -> Vec<String> {
    let Some(cidr) = Cidr::parse(text) else { return Vec::new() };
    let (quoted, network) = (quote(text), quote(&cidr.text()));
    let mut warnings = Vec::new();
    if cidr.ip != cidr.network() {
        let length = if cidr.ip.is_ipv4() { 32 } else { 128 };
        let single = quote(&format!("{}/{length}", canonical(cidr.ip)));
        warnings.push(format!(
            "{path}: CIDR value {quoted} is ambiguous in this context (should be {network} or {single}?)"
        ));
    }
    if !is_strict_cidr(text) || is_mapped(cidr.ip) {
        warnings.push(format!("{path}: non-standard CIDR value {quoted} is invalid: use {network}"));
    }
    let shown = format!("{}/{}", cidr.ip, cidr.bits);
    if warnings.is_empty() && cidr.ip.is_ipv6() && shown != text {
        let shown = quote(&shown);
        warnings.push(format!(
            "{path}: IPv6 CIDR value {quoted} should be in RFC 5952 canonical format ({shown})"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&mut ErrorList, &Path, &str);

    fn detail(check: Check, text: &str) -> String {
        let mut found = ErrorList::new();
        check(&mut found, &Path::new("x"), text);
        assert!(found.len() < 2, "{text}: {found:?}");
        found.pop().map(|error| error.detail).unwrap_or_default()
    }

    #[test]
    fn odd_addresses_are_named() {
        let cases: [(Check, &str, &str); 18] = [
            (strict_ip, "10.0.0.1", ""),
            (strict_ip, "fd00::1", ""),
            (strict_ip, "nonsense", VALID_IP),
            (strict_ip, "10.0.0", VALID_IP),
            (strict_ip, "10.0.0.256", VALID_IP),
            (strict_ip, "10.0.0.01", "must not have leading 0s"),
            (strict_ip, "::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
            (strict_ip, "FD00:0::1", "must be in canonical form (\"fd00::1\")"),
            (strict_cidr, "10.0.0.0/8", ""),
            (strict_cidr, "fd00::/64", ""),
            (strict_cidr, "10.0.0.0", VALID_CIDR),
            (strict_cidr, "10.0.0.0/33", VALID_CIDR),
            (strict_cidr, "10.00.0.0/8", "must not have leading 0s in IP or prefix length"),
            (strict_cidr, "10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            (strict_cidr, "::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
            (strict_cidr, "10.0.0.1/8", "must not have bits set beyond the prefix length"),
            (strict_cidr, "FD00::/64", "must be in canonical form (\"fd00::/64\")"),
            (|found, path, text| assert!(legacy_cidr(found, path, text).is_some()), "FD00::/64", ""),
        ];
        for (check, text, want) in cases {
            assert_eq!(detail(check, text), want, "{text}");
        }
    }

    #[test]
    fn warnings_say_what_to_write() {
        let path = Path::new("x");
        let ip = |text| ip_warning(&path, text).unwrap_or_default();
        assert_eq!(ip("10.0.0.1"), "");
        assert_eq!(ip("010.0.0.1"), "x: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"");
        assert_eq!(
            ip("FD00::1"),
            "x: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")"
        );
        let cases: [(&str, &[&str]); 4] = [
            ("10.0.0.0/8", &[]),
            (
                "10.0.0.1/8",
                &[
                    "x: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
                ],
            ),
            ("10.0.0.0/08", &["x: non-standard CIDR value \"10.0.0.0/08\" is invalid: use \"10.0.0.0/8\""]),
            (
                "FD00::/64",
                &["x: IPv6 CIDR value \"FD00::/64\" should be in RFC 5952 canonical format (\"fd00::/64\")"],
            ),
        ];
        for (text, want) in cases {
            assert_eq!(cidr_warnings(&path, text), want);
        }
    }

    #[test]
    fn networks_contain_addresses() {
        let network = Cidr::parse("10.1.0.0/16").expect("a network");
        for (ip, want) in
            [("10.1.2.3", true), ("10.2.0.0", false), ("::ffff:10.1.0.1", true), ("fd00::", false)]
        {
            assert_eq!(network.contains(parse_ip(ip).expect("an address")), want, "{ip}");
        }
        assert_eq!(Cidr::parse("::ffff:10.0.0.1/104").expect("a network").text(), "10.0.0.0/8");
        assert_eq!(Cidr::parse("::/0").expect("a network").text(), "::/0");
    }
}
