//! The two ends of a multiplexed stream. Queues are bounded: a reader that does not read holds the peer back, a
//! connection that does not drain holds the writer back.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Chunks that one stream may have queued towards its reader.
pub(crate) const INPUT_QUEUE: usize = 16;
/// Frames that one connection may have queued towards the peer.
pub(crate) const OUTPUT_QUEUE: usize = 64;

/// What the peer sends on one stream; ends when the peer closes it or the connection ends.
#[derive(Debug)]
pub struct Input {
    chunks: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Input {
    pub(crate) fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, chunks) = mpsc::channel(INPUT_QUEUE);
        (sender, Self { chunks, rest: Bytes::new() })
    }

    /// The next chunk; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        if !self.rest.is_empty() {
            return Some(std::mem::take(&mut self.rest));
        }
        self.chunks.recv().await
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => self.rest = chunk,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// A frame on its way to the peer.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Bytes of a stream.
    Data { stream: u32, data: Bytes },
    /// Nothing more comes on a stream.
    Finish { stream: u32 },
    /// SPDY: accepts a stream.
    Reply { stream: u32 },
    /// SPDY: answers a ping.
    Pong { id: u32 },
    /// Everything before this is to be sent, and then the connection is closed.
    Close,
}

/// The connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct Closed;

/// Sends to the peer on one stream.
#[derive(Clone, Debug)]
pub struct Output {
    frames: mpsc::Sender<Outgoing>,
    stream: u32,
}

impl Output {
    pub(crate) fn new(frames: mpsc::Sender<Outgoing>, stream: u32) -> Self {
        Self { frames, stream }
    }

    /// Sends `data`; waits while the connection is busy. Cancel-safe: nothing is sent if it is dropped.
    pub async fn send(&self, data: Bytes) -> Result<(), Closed> {
        let stream = self.stream;
        self.frames.send(Outgoing::Data { stream, data }).await.map_err(|_| Closed)
    }

    /// Tells the peer that nothing more comes.
    pub async fn finish(&self) -> Result<(), Closed> {
        let stream = self.stream;
        self.frames.send(Outgoing::Finish { stream }).await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn an_input_reads_across_chunks_and_ends() {
        let (sender, mut input) = Input::new();
        for chunk in ["ab", "", "cde"] {
            sender.send(Bytes::from_static(chunk.as_bytes())).await.expect("room in the queue");
        }
        drop(sender);
        let mut head = [0; 3];
        input.read_exact(&mut head).await.expect("three bytes are there");
        assert_eq!(&head, b"abc");
        assert_eq!(input.next().await.as_deref(), Some(&b"de"[..]));
        assert_eq!(input.next().await, None);
    }
}
