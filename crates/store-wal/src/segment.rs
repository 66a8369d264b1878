//! Segments: the files of the log, by name and by header.

use steersman_store::Revision;

/// How long the header of a segment is; the first frame follows.
pub const HEADER_BYTES: usize = 64;
/// The format that this program writes and reads.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"STEERWAL";

/// What stands at the beginning of a segment, written once when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its number; they go up by one.
    pub id: u64,
    /// The store's revision when it was made.
    pub base: Revision,
    /// The oldest segment that was still needed then.
    pub oldest: u64,
    /// How much of the segment before it is used; 0 if there is none.
    pub previous_bytes: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// It was written by another version.
    Version(u32),
    /// It is not a header.
    Damaged,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        for (at, field) in [(16, self.id), (24, self.base.0), (32, self.oldest), (40, self.previous_bytes)] {
            bytes[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of `segment`.
    pub fn decode(segment: &[u8]) -> Result<Self, BadHeader> {
        let bytes: &[u8; HEADER_BYTES] = segment.first_chunk().ok_or(BadHeader::Damaged)?;
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if &bytes[..8] != MAGIC || word(12) != checksum(bytes) {
            return Err(BadHeader::Damaged);
        }
        match word(8) {
            VERSION => Ok(Self {
                id: long(16),
                base: Revision(long(24)),
                oldest: long(32),
                previous_bytes: long(40),
            }),
            other => Err(BadHeader::Version(other)),
        }
    }
}

fn checksum(header: &[u8; HEADER_BYTES]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..12]);
    hasher.update(&header[16..]);
    hasher.finalize()
}

/// The name of a segment's file.
pub fn name(id: u64) -> String {
    format!("{id:016}.wal")
}

/// The number of the segment that a file is, if it is one.
pub fn id(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let id = digits.parse().ok()?;
    (self::name(id) == *name).then_some(id)
}

/// What a segment is called while it is being made.
pub const UNFINISHED: &str = "unfinished";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back_and_damage_is_seen() {
        let header = Header { id: 3, base: Revision(700), oldest: 2, previous_bytes: 4096 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), Err(BadHeader::Damaged), "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[1..]), Err(BadHeader::Damaged));
    }

    #[test]
    fn names_stand_for_numbers() {
        assert_eq!(id(&name(12)), Some(12));
        for other in ["lock", "unfinished", "12.wal", "000000000000001x.wal", "0000000000000001.bak"] {
            assert_eq!(id(other), None, "{other}");
        }
    }
}
