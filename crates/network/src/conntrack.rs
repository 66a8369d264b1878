//! UDP flows that the kernel tracks, and how they are forgotten.
//!
//! A flow keeps the destination that its first packet was given. TCP notices when nobody is there any more; a UDP
//! client that keeps its port, as resolvers do, would talk to a dead address for as long as it talks. Numbers are those
//! of `linux/netfilter/nfnetlink_conntrack.h`.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::attribute::{Attributes, read};
use crate::netfilter::{self, FAMILY_IPV4, generic_header, message_type};

/// `NFNL_SUBSYS_CTNETLINK`.
const SUBSYSTEM: u8 = 1;
const GET: u8 = 1;
const DELETE: u8 = 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const UDP: u8 = 17;

/// One UDP flow, as far as it matters who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpFlow {
    /// Where the client sends to.
    pub destination: SocketAddrV4,
    /// Who answers: `destination` itself, or what it was translated to.
    pub responder: SocketAddrV4,
}

/// Connection tracking could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("could not {what} tracked connections")]
pub struct ConntrackError {
    what: &'static str,
    source: io::Error,
}

/// Forgets the UDP flows of which `stale` says so, and tells how many they were: their next packet is translated as
/// that of a new flow. Blocks while the kernel lists its UDP flows.
pub fn forget_udp(stale: impl Fn(&UdpFlow) -> bool) -> Result<usize, ConntrackError> {
    let failed = |what| move |source| ConntrackError { what, source };
    let socket = netfilter::open().map_err(failed("list"))?;
    let entries = netfilter::dump(&socket, message_type(SUBSYSTEM, GET), &udp_only(), entry);
    let mut forgotten = 0;
    for (flow, identity) in entries.map_err(failed("list"))? {
        if !stale(&flow) {
            continue;
        }
        let message = [&generic_header(FAMILY_IPV4, 0)[..], &identity.0].concat();
        match netfilter::request(&socket, message_type(SUBSYSTEM, DELETE), &message) {
            Ok(()) => forgotten += 1,
            // It ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("forget")(error)),
        }
    }
    Ok(forgotten)
}

/// A list request that the kernel answers with UDP flows only; one before 5.8 ignores the filter and lists all.
fn udp_only() -> Vec<u8> {
    const ORIGINAL_FLAGS: u16 = 1;
    const REPLY_FLAGS: u16 = 2;
    /// `CTA_FILTER_F_CTA_PROTO_NUM`: only the protocol of the original tuple is compared.
    const BY_PROTOCOL: u32 = 1 << 3;
    // Unlike all other numbers of ctnetlink, these are in host order.
    let flags = Attributes::default()
        .bytes(ORIGINAL_FLAGS, &BY_PROTOCOL.to_ne_bytes())
        .bytes(REPLY_FLAGS, &0_u32.to_ne_bytes());
    let protocol = Attributes::default().bytes(1, &[UDP]);
    let tuple = Attributes::default().nested(TUPLE_PROTOCOL, &protocol);
    let attributes = Attributes::default().nested(TUPLE_ORIGINAL, &tuple).nested(FILTER, &flags);
    [&generic_header(FAMILY_IPV4, 0)[..], &attributes.0].concat()
}

/// A listed entry and the attributes that name it; `None` if it is not a UDP flow.
fn entry(attributes: &[u8]) -> Option<(UdpFlow, Attributes)> {
    let (mut original, mut reply) = (None, None);
    let mut identity = Attributes::default();
    for (kind, payload) in read(attributes) {
        match kind {
            TUPLE_ORIGINAL => {
                original = Some(tuple(payload)?);
                identity = identity.bytes(kind | crate::attribute::NESTED, payload);
            }
            TUPLE_REPLY => reply = Some(tuple(payload)?),
            // With the number, a newer flow between the same ends is not taken for this one.
            ID | ZONE => identity = identity.bytes(kind, payload),
            _ => {}
        }
    }
    Some((UdpFlow { destination: original?.1, responder: reply?.0 }, identity))
}

/// The source and the destination of a UDP tuple.
fn tuple(attributes: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let within = |wanted| read(attributes).find_map(|(kind, payload)| (kind == wanted).then_some(payload));
    let address = |wanted| {
        let (_, bytes) = read(within(TUPLE_IP)?).find(|(kind, _)| *kind == wanted)?;
        Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?))
    };
    let protocol = |wanted| {
        read(within(TUPLE_PROTOCOL)?).find_map(|(kind, payload)| (kind == wanted).then_some(payload))
    };
    let port = |wanted| Some(u16::from_be_bytes(*protocol(wanted)?.first_chunk::<2>()?));
    if protocol(1)? != [UDP] {
        return None;
    }
    Some((SocketAddrV4::new(address(1)?, port(2)?), SocketAddrV4::new(address(2)?, port(3)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire_tuple(protocol: u8, source: &str, destination: &str) -> Attributes {
        let [source, destination]: [SocketAddrV4; 2] =
            [source, destination].map(|end| end.parse().expect("an address and a port"));
        let ip = Attributes::default().bytes(1, &source.ip().octets()).bytes(2, &destination.ip().octets());
        let ports = Attributes::default()
            .bytes(1, &[protocol])
            .bytes(2, &source.port().to_be_bytes())
            .bytes(3, &destination.port().to_be_bytes());
        Attributes::default().nested(TUPLE_IP, &ip).nested(TUPLE_PROTOCOL, &ports)
    }

    fn wire_entry(protocol: u8) -> Attributes {
        Attributes::default()
            .nested(TUPLE_ORIGINAL, &wire_tuple(protocol, "10.0.0.2:4000", "10.96.0.10:53"))
            .nested(TUPLE_REPLY, &wire_tuple(protocol, "10.0.0.9:5353", "10.0.0.2:4000"))
            .u32(3, 0x8)
            .u32(ID, 77)
    }

    #[test]
    fn an_entry_says_where_it_leads_and_how_it_is_named() {
        let (flow, identity) = entry(&wire_entry(UDP).0).expect("a UDP flow");
        assert_eq!(flow.destination.to_string(), "10.96.0.10:53");
        assert_eq!(flow.responder.to_string(), "10.0.0.9:5353");
        let kinds: Vec<u16> = read(&identity.0).map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [TUPLE_ORIGINAL, ID]);
    }

    #[test]
    fn what_is_not_a_udp_flow_is_left_alone() {
        assert_eq!(entry(&wire_entry(6).0), None);
        assert_eq!(entry(&[]), None);
        assert_eq!(entry(&wire_entry(UDP).0[..40]), None);
    }
}
