//! Header blocks (SPDY/3.1 §2.6.10): name-value pairs, zlib-compressed as one stream per direction and connection,
//! with a dictionary that the specification fixes.

use bytes::Buf;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::StreamError;

/// The dictionary of SPDY/3, byte for byte.
const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
/// The largest header block after decompression.
const MAX_BLOCK: usize = 64 << 10;

/// Reads the header blocks of one connection, in order.
pub(super) struct HeaderReader(Decompress);

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The pairs of the next block; names are in lower case on the wire.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, StreamError> {
        let plain = self.inflate(block)?;
        parse(&plain).ok_or_else(|| StreamError::spdy("a header block is malformed"))
    }

    fn inflate(&mut self, mut input: &[u8]) -> Result<Vec<u8>, StreamError> {
        let mut plain = Vec::with_capacity(1024);
        loop {
            let before = (self.0.total_in(), plain.len());
            match self.0.decompress_vec(input, &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(StreamError::spdy("the header compression has ended")),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(DICTIONARY).map_err(|e| StreamError::spdy(e.to_string()))?;
                }
                Err(error) => return Err(StreamError::spdy(error.to_string())),
            }
            let consumed = (self.0.total_in() - before.0) as usize;
            input = &input[consumed..];
            if input.is_empty() && plain.len() < plain.capacity() {
                return Ok(plain);
            }
            if plain.len() >= MAX_BLOCK {
                return Err(StreamError::spdy("a header block is too long"));
            }
            if plain.len() == plain.capacity() {
                plain.reserve(1024);
            } else if consumed == 0 && plain.len() == before.1 && before.0 != 0 {
                return Err(StreamError::spdy("a header block cannot be decompressed"));
            }
        }
    }
}

fn parse(mut plain: &[u8]) -> Option<Vec<(String, String)>> {
    let count = plain.try_get_u32().ok()?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((text(&mut plain)?, text(&mut plain)?));
    }
    Some(pairs)
}

fn text(plain: &mut &[u8]) -> Option<String> {
    let length = plain.try_get_u32().ok()? as usize;
    let (head, tail) = plain.split_at_checked(length)?;
    *plain = tail;
    String::from_utf8(head.to_vec()).ok()
}

/// Writes the header blocks of one connection, in order.
pub(super) struct HeaderWriter(Compress);

impl HeaderWriter {
    pub(super) fn new() -> Result<Self, StreamError> {
        let mut compress = Compress::new(Compression::best(), true);
        compress.set_dictionary(DICTIONARY).map_err(|error| StreamError::spdy(error.to_string()))?;
        Ok(Self(compress))
    }

    /// The compressed block of these pairs.
    pub(super) fn write(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<u8>, StreamError> {
        let mut plain = (pairs.len() as u32).to_be_bytes().to_vec();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let mut block = Vec::with_capacity(plain.len() + 64);
        self.0
            .compress_vec(&plain, &mut block, FlushCompress::Sync)
            .map_err(|error| StreamError::spdy(error.to_string()))?;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_share_one_compression_stream() {
        let (mut writer, mut reader) =
            (HeaderWriter::new().expect("the dictionary fits"), HeaderReader::new());
        for pairs in [vec![("streamtype", "error")], vec![], vec![("streamtype", "data"), ("port", "80")]] {
            let block = writer.write(&pairs).expect("compresses");
            let read = reader.read(&block).expect("decompresses");
            let want: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(read, want);
        }
    }

    #[test]
    fn long_values_come_whole() {
        let (mut writer, mut reader) =
            (HeaderWriter::new().expect("the dictionary fits"), HeaderReader::new());
        let long: String = (0..6000_u32).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
        let mut block = Vec::new();
        while block.is_empty() {
            block = writer.write(&[("x", &long[..3000])]).expect("compresses");
        }
        assert_eq!(reader.read(&block).expect("decompresses")[0].1.len(), 3000);
    }

    #[test]
    fn garbage_is_refused() {
        assert!(HeaderReader::new().read(b"not zlib at all").is_err());
        assert!(HeaderReader::new().read(&[0x78]).is_err());
    }
}
