//! Sends batches and reads what the kernel says.

use std::io;

use netlink_sys::Socket;
use nix::sys::socket::{setsockopt, sockopt};

use super::attribute;
use super::batch::{Batch, generic_header, put};

const NETLINK_NETFILTER: isize = 12;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const FLAG_REQUEST: u16 = 1;
const FLAG_DUMP: u16 = 0x300;
const GET_TABLE: u16 = 10 << 8 | 1;
const GET_CHAIN: u16 = 10 << 8 | 4;
/// A batch must fit into the socket's buffer as a whole.
const BUFFER: usize = 64 << 20;

/// Why a change was not made. Nothing of its batch was.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel refused a change.
    #[error("nftables refused to {does}")]
    Refused {
        /// The change.
        does: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The socket failed.
    #[error("could not talk to nftables")]
    Socket(#[from] io::Error),
}

/// Applies a batch: all of it or nothing. Blocks for the kernel's answer.
pub fn apply(batch: &Batch) -> Result<(), NftError> {
    if batch.is_empty() {
        return Ok(());
    }
    let socket = open()?;
    socket.send(&batch.encode(), 0)?;
    let last = batch.messages.len() as u32;
    loop {
        let (answer, _) = socket.recv_from_full()?;
        for message in messages(&answer).filter(|message| message.kind == ERROR) {
            let code = message.body.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            if code != 0 {
                let does = (message.sequence as usize).checked_sub(1).and_then(|i| batch.messages.get(i));
                let does = does.map_or_else(|| "apply the batch".to_owned(), |message| message.does.clone());
                return Err(NftError::Refused { does, source: io::Error::from_raw_os_error(-code) });
            }
            if message.sequence == last {
                return Ok(());
            }
        }
    }
}

/// The names of all tables of family `ip`.
pub fn list_tables() -> Result<Vec<String>, NftError> {
    dump(GET_TABLE, |body| attribute::read(body).find(|(kind, _)| *kind == 1).map(|(_, name)| text(name)))
}

/// The names of all chains of a table.
pub fn list_chains(table: &str) -> Result<Vec<String>, NftError> {
    dump(GET_CHAIN, |body| {
        let mut attributes = attribute::read(body);
        let named = |wanted, (kind, value): (u16, &[u8])| (kind == wanted).then(|| text(value));
        attributes.find_map(|a| named(1, a)).filter(|name| name == table)?;
        attributes.find_map(|a| named(3, a))
    })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

fn dump<T>(kind: u16, read: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, NftError> {
    let socket = open()?;
    let mut wire = Vec::new();
    put(&mut wire, kind, FLAG_REQUEST | FLAG_DUMP, 1, &generic_header(2, 0));
    socket.send(&wire, 0)?;
    let mut found = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        for message in messages(&answer) {
            match message.kind {
                DONE => return Ok(found),
                ERROR => {
                    let code = message.body.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return Err(NftError::Socket(io::Error::from_raw_os_error(-code)));
                }
                _ => found.extend(message.body.get(4..).and_then(&read)),
            }
        }
    }
}

fn open() -> Result<Socket, io::Error> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    // The forced size needs CAP_NET_ADMIN, as all that follows does.
    setsockopt(&socket, sockopt::SndBufForce, &BUFFER)?;
    Ok(socket)
}

struct Answer<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..16)?;
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(0) as usize;
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer { kind: u16::from_ne_bytes([header[4], header[5]]), sequence: word(8), body })
    })
}
