//! Frames: what is written, synced and checked as a whole.
//!
//! ```text
//!  magic u32 │ payload length u32 │ payload CRC32 u32 │ header CRC32 u32 │ synced u64 │ time u64 │ payload, padded to 8
//! ```
//!
//! `synced` is the offset in this segment up to which everything was durable when the frame was written. It is what
//! tells a torn end from a damaged middle: bytes that some later frame knows to have been durable cannot be torn.

/// How long the part before the payload is.
pub const HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this.
pub const ALIGNMENT: usize = 8;
/// The most that a disk writes all of or nothing of.
const SECTOR_BYTES: usize = 512;
const MAGIC: u32 = 0x4c41_5753;

/// A frame that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub payload: &'a [u8],
    /// Milliseconds since the Unix epoch when it was written.
    pub time_ms: u64,
    /// See the module's text.
    pub synced: u64,
    /// Where the next frame begins.
    pub next: usize,
}

/// What is found at an offset.
#[derive(Clone, Copy, Debug)]
pub enum Parsed<'a> {
    Frame(Frame<'a>),
    /// Nothing but zeros up to the end of the file.
    End,
    /// Something that was not written like this.
    Bad,
}

/// The header's fields, if its checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub payload_bytes: usize,
    payload_crc: u32,
    synced: u64,
    time_ms: u64,
}

impl Header {
    /// Reads a header of the segment `segment`.
    pub fn parse(bytes: &[u8; HEADER_BYTES], segment: u64) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let right = word(0) == MAGIC && word(12) == header_crc(bytes, segment);
        right.then(|| Self {
            payload_bytes: word(4) as usize,
            payload_crc: word(8),
            synced: long(16),
            time_ms: long(24),
        })
    }

    /// Whether `payload` is what the header was written for.
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes && crc32fast::hash(payload) == self.payload_crc
    }

    /// How long the whole frame is.
    pub fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes)
    }
}

/// How long a frame around so much payload is.
pub fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

fn header_crc(header: &[u8; HEADER_BYTES], segment: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    // A frame of another segment is not one of this, wherever its bytes come from.
    hasher.update(&segment.to_le_bytes());
    hasher.update(&header[..12]);
    hasher.update(&header[16..]);
    hasher.finalize()
}

/// Completes `buffer`, which holds [`HEADER_BYTES`] of anything and then the payload, into a frame.
pub fn seal(buffer: &mut Vec<u8>, segment: u64, synced: u64, time_ms: u64) {
    let payload = &buffer[HEADER_BYTES..];
    let payload_bytes = u32::try_from(payload.len()).expect("a frame is far smaller than 4 GiB");
    let crc = crc32fast::hash(payload);
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
    header[8..12].copy_from_slice(&crc.to_le_bytes());
    header[16..24].copy_from_slice(&synced.to_le_bytes());
    header[24..].copy_from_slice(&time_ms.to_le_bytes());
    let crc = header_crc(&header, segment);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    buffer[..HEADER_BYTES].copy_from_slice(&header);
    buffer.resize(buffer.len().next_multiple_of(ALIGNMENT), 0);
}

/// What stands at `offset` of a segment's bytes.
pub fn parse(segment: &[u8], id: u64, offset: usize) -> Parsed<'_> {
    if segment[offset.min(segment.len())..].iter().all(|byte| *byte == 0) {
        return Parsed::End;
    }
    whole(segment, id, offset).map_or(Parsed::Bad, Parsed::Frame)
}

fn whole(segment: &[u8], id: u64, offset: usize) -> Option<Frame<'_>> {
    let header = header_at(segment, id, offset)?;
    let start = offset + HEADER_BYTES;
    let payload = segment.get(start..start + header.payload_bytes)?;
    let frame = Frame {
        payload,
        time_ms: header.time_ms,
        synced: header.synced,
        next: offset + header.frame_bytes(),
    };
    header.matches(payload).then_some(frame)
}

fn header_at(segment: &[u8], id: u64, offset: usize) -> Option<Header> {
    let bytes = segment.get(offset..offset + HEADER_BYTES)?;
    Header::parse(bytes.try_into().expect("it has this length"), id)
}

/// Whether a bad frame at `offset` may be a write that the crash interrupted, and so was never acknowledged. If not,
/// it is damage.
pub fn may_be_torn(segment: &[u8], id: u64, offset: usize) -> bool {
    !known_durable(segment, id, offset) && has_hole(segment, id, offset)
}

/// Whether some later frame says that what stood at `offset` had been synced.
fn known_durable(segment: &[u8], id: u64, offset: usize) -> bool {
    let candidates = (offset + ALIGNMENT..segment.len()).step_by(ALIGNMENT);
    let frames = candidates.filter_map(|at| whole(segment, id, at));
    frames.into_iter().any(|frame| frame.synced > offset as u64)
}

/// Segments are all zeros before they are written, so a write that did not reach the disk in full leaves zeros in at
/// least one sector of it, or from some byte to its end. Something else in every place is not an interrupted write.
fn has_hole(segment: &[u8], id: u64, offset: usize) -> bool {
    let length = header_at(segment, id, offset).map_or(HEADER_BYTES, |h| HEADER_BYTES + h.payload_bytes);
    let Some(extent) = segment.get(offset..offset + length) else { return true };
    let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(extent.len());
    let (head, rest) = extent.split_at(first);
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    zero(head) || rest.chunks(SECTOR_BYTES).any(zero) || zero(&extent[extent.len() - ALIGNMENT..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payloads: &[&[u8]], synced: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut segment = Vec::new();
        for payload in payloads {
            let mut frame = vec![0; HEADER_BYTES];
            frame.extend_from_slice(payload);
            seal(&mut frame, 7, synced(segment.len() as u64), 99);
            segment.extend_from_slice(&frame);
        }
        segment.resize(segment.len() + 4096, 0);
        segment
    }

    #[test]
    fn frames_are_read_back() {
        let segment = frames(&[b"one", &[b'2'; 3000]], |at| at);
        let Parsed::Frame(first) = parse(&segment, 7, 0) else { panic!("no first frame") };
        assert_eq!((first.payload, first.time_ms), (&b"one"[..], 99));
        let Parsed::Frame(second) = parse(&segment, 7, first.next) else { panic!("no second frame") };
        assert_eq!(second.payload.len(), 3000);
        assert!(matches!(parse(&segment, 7, second.next), Parsed::End));
        assert!(matches!(parse(&segment, 8, 0), Parsed::Bad), "a frame belongs to one segment");
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let good = frames(&[&[b'1'; 600], &[b'2'; 600]], |at| at);
        for bit in 0..2 * frame_bytes(600) * 8 {
            let offset = bit / 8 / frame_bytes(600) * frame_bytes(600);
            let mut segment = good.clone();
            segment[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(parse(&segment, 7, offset), Parsed::Bad), "bit {bit}");
            assert!(!may_be_torn(&segment, 7, offset), "bit {bit}");
        }
    }

    #[test]
    fn lost_sectors_are_a_torn_end_unless_known_durable() {
        let good = frames(&[&[b'1'; 600], &[b'2'; 2000]], |_| 0);
        let second = frame_bytes(600);
        for sector in 1..5 {
            let mut segment = good.clone();
            let start = (sector * SECTOR_BYTES).max(second);
            segment[start..(sector + 1) * SECTOR_BYTES].fill(0);
            assert!(may_be_torn(&segment, 7, second), "sector {sector}");
        }
        let mut unsynced = good.clone();
        unsynced[..SECTOR_BYTES].fill(0);
        assert!(may_be_torn(&unsynced, 7, 0), "both frames were under way");
        let mut synced = frames(&[&[b'1'; 600], &[b'2'; 2000]], |at| at);
        synced[..SECTOR_BYTES].fill(0);
        assert!(!may_be_torn(&synced, 7, 0), "the second frame was written after the first was synced");
    }
}
