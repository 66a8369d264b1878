//! Records: what the payload of a frame is made of.

use bytes::{Buf, BufMut, Bytes};
use steersman_store::Revision;

/// One entry of the log, borrowed from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A key was written.
    Put(Version<'a>),
    /// A key was removed.
    Delete { revision: Revision, key: &'a str },
    /// A version that still lives, moved here from the oldest segment.
    Copy(Version<'a>),
    /// Every segment before this one has been given up, whether its file is still there or not.
    Retire { oldest: u64 },
    /// A process opened the store; `revision` is where it goes on.
    Opened { boot: [u8; 16], revision: Revision },
    /// It closed the store with everything synced.
    Closed,
}

/// One version of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    pub revision: Revision,
    pub created: Revision,
    pub key: &'a str,
    pub value: &'a [u8],
}

impl Version<'_> {
    /// The value in memory of its own.
    pub fn owned_value(&self) -> Bytes {
        Bytes::copy_from_slice(self.value)
    }
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const COPY: u8 = 3;
const RETIRE: u8 = 4;
const OPENED: u8 = 5;
const CLOSED: u8 = 6;

/// What a version takes in the log.
pub fn version_bytes(key: &str, value: &[u8]) -> u64 {
    (1 + 8 + 8 + 4 + 4 + key.len() + value.len()) as u64
}

impl<'a> Record<'a> {
    /// Appends the record to `buffer`.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Put(version) => encode_version(buffer, PUT, version),
            Self::Copy(version) => encode_version(buffer, COPY, version),
            Self::Delete { revision, key } => {
                buffer.put_u8(DELETE);
                buffer.put_u64_le(revision.0);
                encode_bytes(buffer, key.as_bytes());
            }
            Self::Retire { oldest } => {
                buffer.put_u8(RETIRE);
                buffer.put_u64_le(*oldest);
            }
            Self::Opened { boot, revision } => {
                buffer.put_u8(OPENED);
                buffer.put_slice(boot);
                buffer.put_u64_le(revision.0);
            }
            Self::Closed => buffer.put_u8(CLOSED),
        }
    }

    /// Takes one record off the front of `payload`; `None` if there is none that makes sense.
    pub fn decode(payload: &mut &'a [u8]) -> Option<Self> {
        let record = match payload.try_get_u8().ok()? {
            PUT => Self::Put(decode_version(payload)?),
            COPY => Self::Copy(decode_version(payload)?),
            DELETE => Self::Delete { revision: decode_revision(payload)?, key: decode_str(payload)? },
            RETIRE => Self::Retire { oldest: payload.try_get_u64_le().ok()? },
            OPENED => {
                let boot = payload.split_off(..16)?.try_into().expect("it has this length");
                Self::Opened { boot, revision: decode_revision(payload)? }
            }
            CLOSED => Self::Closed,
            _ => return None,
        };
        Some(record)
    }
}

fn encode_version(buffer: &mut Vec<u8>, kind: u8, version: &Version<'_>) {
    buffer.put_u8(kind);
    buffer.put_u64_le(version.revision.0);
    buffer.put_u64_le(version.created.0);
    encode_bytes(buffer, version.key.as_bytes());
    encode_bytes(buffer, version.value);
}

fn encode_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.put_u32_le(u32::try_from(bytes.len()).expect("a value is far smaller than 4 GiB"));
    buffer.put_slice(bytes);
}

fn decode_version<'a>(payload: &mut &'a [u8]) -> Option<Version<'a>> {
    Some(Version {
        revision: decode_revision(payload)?,
        created: decode_revision(payload)?,
        key: decode_str(payload)?,
        value: decode_bytes(payload)?,
    })
}

fn decode_revision(payload: &mut &[u8]) -> Option<Revision> {
    payload.try_get_u64_le().ok().map(Revision)
}

fn decode_str<'a>(payload: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(decode_bytes(payload)?).ok()
}

fn decode_bytes<'a>(payload: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = payload.try_get_u32_le().ok()? as usize;
    payload.split_off(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_cut_ones_are_not() {
        let version = Version { revision: Revision(9), created: Revision(3), key: "/a/b", value: b"{}" };
        let records = [
            Record::Put(version),
            Record::Copy(version),
            Record::Delete { revision: Revision(10), key: "/a/b" },
            Record::Retire { oldest: 4 },
            Record::Opened { boot: [7; 16], revision: Revision(11) },
            Record::Closed,
        ];
        for record in records {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            let mut rest = &buffer[..];
            assert_eq!(Record::decode(&mut rest), Some(record));
            assert!(rest.is_empty());
            assert_eq!(Record::decode(&mut &buffer[..buffer.len() - 1]), None, "{record:?}");
        }
        let mut buffer = Vec::new();
        records[0].encode(&mut buffer);
        assert_eq!(buffer.len() as u64, version_bytes(version.key, version.value));
    }
}
