//! The frame layer (SPDY/3.1 §2.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::StreamError;

/// The largest control frame that is read; a client's are a few hundred bytes.
const MAX_CONTROL: usize = 64 << 10;
/// Data frames are written at most this long.
pub(super) const MAX_DATA: usize = 32 << 10;

const VERSION: u16 = 0x8003;
const FLAG_FIN: u8 = 1;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;

/// A frame that the peer sent. Settings, headers and window updates are read over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open { stream: u32, fin: bool, header_block: Bytes },
    Data { stream: u32, fin: bool, data: Bytes },
    Reset { stream: u32 },
    Ping { id: u32 },
    GoAway,
    Other,
}

/// Reads one frame; `None` at the end of the connection.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, StreamError> {
    let mut head = [0; 8];
    match io.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let (word, flags) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), head[4]);
    let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
    let control = word >> 31 == 1;
    if control && length > MAX_CONTROL {
        return Err(StreamError::spdy(format!("a control frame of {length} bytes")));
    }
    let mut payload = BytesMut::zeroed(length);
    io.read_exact(&mut payload).await?;
    let (payload, fin) = (payload.freeze(), flags & FLAG_FIN != 0);
    if control {
        return parse_control(word, fin, payload).map(Some);
    }
    Ok(Some(Frame::Data { stream: word, fin, data: payload }))
}

fn parse_control(word: u32, fin: bool, mut payload: Bytes) -> Result<Frame, StreamError> {
    if (word >> 16) as u16 != VERSION {
        return Err(StreamError::spdy(format!("version {}", (word >> 16) & 0x7fff)));
    }
    let kind = word as u16;
    let needed = match kind {
        SYN_STREAM => 10,
        RST_STREAM | PING => 4,
        _ => 0,
    };
    if payload.len() < needed {
        return Err(StreamError::spdy(format!("a control frame of type {kind} is cut short")));
    }
    Ok(match kind {
        SYN_STREAM => {
            let stream = payload.get_u32() & 0x7fff_ffff;
            payload.advance(6); // associated stream, priority, slot
            Frame::Open { stream, fin, header_block: payload }
        }
        RST_STREAM => Frame::Reset { stream: payload.get_u32() & 0x7fff_ffff },
        PING => Frame::Ping { id: payload.get_u32() },
        GO_AWAY => Frame::GoAway,
        _ => Frame::Other,
    })
}

/// Writes a data frame's head; its `length` bytes follow.
pub(super) fn put_data_head(out: &mut BytesMut, stream: u32, length: usize, fin: bool) {
    out.put_u32(stream);
    put_flags_and_length(out, if fin { FLAG_FIN } else { 0 }, length);
}

/// Accepts a stream with no headers of our own; `header_block` is the compressed form of none.
pub(super) fn put_reply(out: &mut BytesMut, stream: u32, header_block: &[u8]) {
    put_control_head(out, SYN_REPLY, 4 + header_block.len());
    out.put_u32(stream);
    out.put_slice(header_block);
}

/// Answers a ping.
pub(super) fn put_ping(out: &mut BytesMut, id: u32) {
    put_control_head(out, PING, 4);
    out.put_u32(id);
}

fn put_control_head(out: &mut BytesMut, kind: u16, length: usize) {
    out.put_u16(VERSION);
    out.put_u16(kind);
    put_flags_and_length(out, 0, length);
}

fn put_flags_and_length(out: &mut BytesMut, flags: u8, length: usize) {
    out.put_u32(u32::from(flags) << 24 | length as u32);
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// What a client sends to open a stream.
    pub fn put_open(out: &mut BytesMut, stream: u32, header_block: &[u8]) {
        put_control_head(out, SYN_STREAM, 10 + header_block.len());
        out.put_u32(stream);
        out.put_slice(&[0; 6]);
        out.put_slice(header_block);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn data_frames_round_trip() {
        let mut wire = BytesMut::new();
        put_data_head(&mut wire, 7, 3, true);
        wire.put_slice(b"abc");
        put_ping(&mut wire, 9);
        let mut reader = &wire[..];
        let frame = read(&mut reader).await.expect("a frame");
        assert_eq!(frame, Some(Frame::Data { stream: 7, fin: true, data: Bytes::from_static(b"abc") }));
        assert_eq!(read(&mut reader).await.expect("a frame"), Some(Frame::Ping { id: 9 }));
        assert_eq!(read(&mut reader).await.expect("the end"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let mut reader = &bytes[..];
                while let Ok(Some(_)) = read(&mut reader).await {}
            });
        }
    }
}
