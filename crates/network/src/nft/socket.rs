//! Sends batches and reads what the kernel says.

use std::io;

use super::batch::{Batch, SUBSYSTEM};
use crate::attribute;
use crate::netfilter::{self, FAMILY_IPV4, generic_header, message_type};

const GET_TABLE: u8 = 1;
const GET_CHAIN: u8 = 4;

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
    let socket = netfilter::open()?;
    socket.send(&batch.encode(), 0)?;
    let last = batch.messages.len() as u32;
    loop {
        for verdict in netfilter::verdicts(&socket)? {
            if let Err(source) = verdict.outcome {
                let does = (verdict.sequence as usize).checked_sub(1).and_then(|i| batch.messages.get(i));
                let does = does.map_or_else(|| "apply the batch".to_owned(), |message| message.does.clone());
                return Err(NftError::Refused { does, source });
            }
            if verdict.sequence == last {
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

fn dump<T>(kind: u8, read: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, NftError> {
    let (socket, header) = (netfilter::open()?, generic_header(FAMILY_IPV4, 0));
    Ok(netfilter::dump(&socket, message_type(SUBSYSTEM, kind), &header, read)?)
}
