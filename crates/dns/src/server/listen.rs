//! The sockets: one TCP listener, and a UDP socket per worker between which the kernel divides the clients.

use std::io;
use std::net::SocketAddr;

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use crate::DnsError;

/// More workers than this do not answer more.
const MOST_WORKERS: usize = 8;
const TCP_BACKLOG: u32 = 128;

/// Open sockets of one address.
pub(crate) struct Listeners {
    pub udp: Vec<UdpSocket>,
    pub tcp: TcpListener,
    address: SocketAddr,
}

impl Listeners {
    /// Opens the sockets. Port 0 takes a free one.
    pub fn bind(wanted: SocketAddr) -> Result<Self, DnsError> {
        let fail = |protocol, address| move |source| DnsError::Listen { protocol, address, source };
        // First, because it alone fails if another of us is there: the UDP sockets share their port willingly.
        let tcp = tcp_listener(wanted).map_err(fail("tcp", wanted))?;
        let address = tcp.local_addr().map_err(fail("tcp", wanted))?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
        let udp = (0..workers).map(|_| udp_socket(address)).collect::<io::Result<_>>();
        Ok(Self { udp: udp.map_err(fail("udp", address))?, tcp, address })
    }

    /// Where queries are taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // So that a restart need not wait for old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(TCP_BACKLOG)
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    UdpSocket::from_std(std::net::UdpSocket::from(socket))
}
