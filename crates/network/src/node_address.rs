//! The node's own address.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The address that the host uses towards the outside: the source address of its default route. `None` if it has no
/// such route. Nothing is sent.
pub fn node_address() -> Option<Ipv4Addr> {
    // Connecting a UDP socket only looks the route up. The address is of the documentation range (RFC 5737).
    let outside = (Ipv4Addr::new(203, 0, 113, 1), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(outside).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}
