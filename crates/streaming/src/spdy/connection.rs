//! The server's end of a SPDY connection.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::frame::{self, Frame};
use super::headers::{HeaderReader, HeaderWriter};
use crate::StreamError;
use crate::io::{Input, OUTPUT_QUEUE, Outgoing, Output};

/// Streams that may wait to be taken by the session.
const ACCEPT_QUEUE: usize = 32;
/// Streams that may be open at once.
const MAX_STREAMS: usize = 1024;
/// After our last frame, how long the peer may take to close.
const LINGER: Duration = Duration::from_secs(5);

/// A stream that the client opened.
pub(crate) struct Accepted {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

impl Accepted {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A connection to run beside the session that takes its streams.
pub(crate) struct Connection<T> {
    io: T,
    frames: mpsc::Sender<Outgoing>,
    outgoing: mpsc::Receiver<Outgoing>,
    accepted: mpsc::Sender<Accepted>,
}

impl<T: AsyncRead + AsyncWrite + Send> Connection<T> {
    /// The connection, the streams that the client opens, and the way to send frames (`Outgoing::Close` ends it).
    pub(crate) fn new(io: T) -> (Self, mpsc::Receiver<Accepted>, mpsc::Sender<Outgoing>) {
        let (frames, outgoing) = mpsc::channel(OUTPUT_QUEUE);
        let (accepted, streams) = mpsc::channel(ACCEPT_QUEUE);
        (Self { io, frames: frames.clone(), outgoing, accepted }, streams, frames)
    }

    /// Carries frames until either end closes.
    pub(crate) async fn run(self) -> Result<(), StreamError> {
        let (read, write) = tokio::io::split(self.io);
        let reading = read_frames(read, self.frames, self.accepted);
        let writing = write_frames(write, self.outgoing);
        let (mut reading, mut writing) = (std::pin::pin!(reading), std::pin::pin!(writing));
        tokio::select! {
            read = &mut reading => read,
            wrote = &mut writing => {
                wrote?;
                // The peer closes when it has read everything; closing first could discard what it has not.
                match tokio::time::timeout(LINGER, reading).await {
                    Ok(Err(StreamError::Io(_))) | Ok(Ok(())) | Err(_) => Ok(()),
                    Ok(Err(error)) => Err(error),
                }
            }
        }
    }
}

async fn read_frames<T: AsyncRead>(
    mut io: ReadHalf<T>,
    frames: mpsc::Sender<Outgoing>,
    accepted: mpsc::Sender<Accepted>,
) -> Result<(), StreamError> {
    let mut headers = HeaderReader::new();
    let mut inputs: HashMap<u32, mpsc::Sender<Bytes>> = HashMap::new();
    while let Some(frame) = frame::read(&mut io).await? {
        match frame {
            Frame::Open { stream, fin, header_block } => {
                let headers = headers.read(&header_block)?;
                let (sender, input) = Input::new();
                inputs.retain(|_, sender| !sender.is_closed());
                if inputs.len() >= MAX_STREAMS {
                    return Err(StreamError::spdy("too many open streams"));
                }
                if !fin {
                    inputs.insert(stream, sender);
                }
                let output = Output::new(frames.clone(), stream);
                send(&frames, Outgoing::Reply { stream }).await;
                // A session that takes no more streams has ended; the rest of the connection drains.
                let _ = accepted.send(Accepted { headers, input, output }).await;
            }
            Frame::Data { stream, fin, data } => {
                if let Some(input) = inputs.get(&stream) {
                    // A reader that is gone wants no more of it.
                    let gone = !data.is_empty() && input.send(data).await.is_err();
                    if fin || gone {
                        inputs.remove(&stream);
                    }
                }
            }
            Frame::Reset { stream } => drop(inputs.remove(&stream)),
            Frame::Ping { id } => send(&frames, Outgoing::Pong { id }).await,
            Frame::GoAway | Frame::Other => {}
        }
    }
    Ok(())
}

/// Queues a frame. If the writer is gone the connection is about to end anyway.
async fn send(frames: &mpsc::Sender<Outgoing>, frame: Outgoing) {
    let _ = frames.send(frame).await;
}

async fn write_frames<T: AsyncWrite>(
    mut io: WriteHalf<T>,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> Result<(), StreamError> {
    let mut headers = HeaderWriter::new()?;
    let mut buffer = BytesMut::new();
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Data { stream, data } => put_data(&mut buffer, stream, &data),
            Outgoing::Finish { stream } => frame::put_data_head(&mut buffer, stream, 0, true),
            Outgoing::Reply { stream } => frame::put_reply(&mut buffer, stream, &headers.write(&[])?),
            Outgoing::Pong { id } => frame::put_ping(&mut buffer, id),
            Outgoing::Close => break,
        }
        if outgoing.is_empty() || buffer.len() > frame::MAX_DATA {
            io.write_all_buf(&mut buffer).await?;
            io.flush().await?;
        }
    }
    io.write_all_buf(&mut buffer).await?;
    io.shutdown().await?;
    Ok(())
}

fn put_data(buffer: &mut BytesMut, stream: u32, data: &Bytes) {
    for chunk in data.chunks(frame::MAX_DATA) {
        frame::put_data_head(buffer, stream, chunk.len(), false);
        buffer.extend_from_slice(chunk);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The client's end, for tests.

    use super::*;

    pub(crate) struct Client {
        headers: HeaderWriter,
        next: u32,
        pub(crate) wire: BytesMut,
    }

    impl Client {
        pub(crate) fn new() -> Self {
            Self {
                headers: HeaderWriter::new().expect("the dictionary fits"),
                next: 1,
                wire: BytesMut::new(),
            }
        }

        pub(crate) fn open(&mut self, pairs: &[(&str, &str)]) -> u32 {
            let block = self.headers.write(pairs).expect("compresses");
            let stream = self.next;
            self.next += 2;
            frame::testing::put_open(&mut self.wire, stream, &block);
            stream
        }

        pub(crate) fn data(&mut self, stream: u32, data: &[u8], fin: bool) {
            frame::put_data_head(&mut self.wire, stream, data.len(), fin);
            self.wire.extend_from_slice(data);
        }
    }

    /// The next data that the server sends, and on which stream.
    pub(crate) async fn next_data(io: &mut (impl AsyncRead + Unpin)) -> (u32, Vec<u8>) {
        loop {
            match frame::read(io).await.expect("a frame").expect("more to come") {
                Frame::Data { stream, data, .. } if !data.is_empty() => return (stream, data.to_vec()),
                _ => {}
            }
        }
    }

    /// All data that the server sent by stream, read to the end of the connection.
    pub(crate) async fn received(io: &mut (impl AsyncRead + Unpin)) -> HashMap<u32, Vec<u8>> {
        let mut all: HashMap<u32, Vec<u8>> = HashMap::new();
        while let Ok(Some(frame)) = frame::read(io).await {
            if let Frame::Data { stream, data, .. } = frame {
                all.entry(stream).or_default().extend_from_slice(&data);
            }
        }
        all
    }
}
