//! Netfilter's netlink: what nftables and connection tracking share. Numbers are those of `linux/netlink.h` and
//! `linux/netfilter/nfnetlink.h`.

use std::io;

use netlink_sys::Socket;
use nix::sys::socket::{setsockopt, sockopt};

const NETLINK_NETFILTER: isize = 12;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
/// A batch must fit into the socket's buffer as a whole.
const BUFFER: usize = 64 << 20;

pub(crate) const FLAG_REQUEST: u16 = 1;
pub(crate) const FLAG_ACK: u16 = 4;
const FLAG_DUMP: u16 = 0x300;
pub(crate) const FAMILY_IPV4: u8 = 2;

/// The type of a message: the subsystem and what it wants of it.
pub(crate) fn message_type(subsystem: u8, kind: u8) -> u16 {
    u16::from_be_bytes([subsystem, kind])
}

/// `nfgenmsg`: family, version 0, resource id in network order.
pub(crate) fn generic_header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// Appends a netlink message.
pub(crate) fn put(wire: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
    wire.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    wire.extend_from_slice(&kind.to_ne_bytes());
    wire.extend_from_slice(&flags.to_ne_bytes());
    wire.extend_from_slice(&sequence.to_ne_bytes());
    wire.extend_from_slice(&0_u32.to_ne_bytes());
    wire.extend_from_slice(body);
    wire.resize(wire.len().next_multiple_of(4), 0);
}

/// A socket in the calling thread's network namespace.
pub(crate) fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    // The forced size needs CAP_NET_ADMIN, as all that follows does.
    setsockopt(&socket, sockopt::SndBufForce, &BUFFER)?;
    Ok(socket)
}

/// What the kernel said about a message.
pub(crate) struct Verdict {
    /// The sequence number of the message.
    pub sequence: u32,
    /// Its outcome.
    pub outcome: io::Result<()>,
}

/// Waits for the kernel's next verdicts, of which one datagram may hold several.
pub(crate) fn verdicts(socket: &Socket) -> io::Result<Vec<Verdict>> {
    let (answer, _) = socket.recv_from_full()?;
    let errors = messages(&answer).filter(|message| message.kind == ERROR);
    Ok(errors.map(|message| Verdict { sequence: message.sequence, outcome: message.outcome() }).collect())
}

/// Sends one message and waits for the kernel's verdict.
pub(crate) fn request(socket: &Socket, kind: u16, body: &[u8]) -> io::Result<()> {
    let mut wire = Vec::new();
    put(&mut wire, kind, FLAG_REQUEST | FLAG_ACK, 1, body);
    socket.send(&wire, 0)?;
    loop {
        if let Some(verdict) = verdicts(socket)?.into_iter().next() {
            return verdict.outcome;
        }
    }
}

/// Lists what `kind` gives, as far as `read` can use it; it gets the attributes of each.
pub(crate) fn dump<T>(
    socket: &Socket,
    kind: u16,
    body: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut wire = Vec::new();
    put(&mut wire, kind, FLAG_REQUEST | FLAG_DUMP, 1, body);
    socket.send(&wire, 0)?;
    let mut found = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        for message in messages(&answer) {
            match message.kind {
                DONE => return message.outcome().map(|()| found),
                ERROR => message.outcome()?,
                _ => found.extend(message.body.get(4..).and_then(&read)),
            }
        }
    }
}

struct Answer<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Answer<'_> {
    /// Of a verdict or the end of a list: both begin with zero or a negative error number.
    fn outcome(&self) -> io::Result<()> {
        match self.body.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes)) {
            code @ ..0 => Err(io::Error::from_raw_os_error(-code)),
            0.. => Ok(()),
        }
    }
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER)?;
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(0) as usize;
        let body = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer { kind: u16::from_ne_bytes([header[4], header[5]]), sequence: word(8), body })
    })
}
