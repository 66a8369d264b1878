//! Numbered channels.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message, Utf8Bytes};

use super::accept;
use crate::StreamError;
use crate::io::{Input, OUTPUT_QUEUE, Outgoing, Output};

/// In version 5, the channel on which the client closes another: its number is the payload.
const CLOSE_CHANNEL: u8 = 255;

/// A connection to run beside the session that uses its channels.
pub(crate) struct Channels<T> {
    io: T,
    base64: bool,
    inputs: HashMap<u8, mpsc::Sender<Bytes>>,
    frames: mpsc::Sender<Outgoing>,
    outgoing: mpsc::Receiver<Outgoing>,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Channels<T> {
    /// `base64`: messages are text.
    pub(crate) fn new(io: T, base64: bool) -> Self {
        let (frames, outgoing) = mpsc::channel(OUTPUT_QUEUE);
        Self { io, base64, inputs: HashMap::new(), frames, outgoing }
    }

    /// What the client sends on `channel`.
    pub(crate) fn input(&mut self, channel: u8) -> Input {
        let (sender, input) = Input::new();
        self.inputs.insert(channel, sender);
        input
    }

    /// Sends to the client on `channel`.
    pub(crate) fn output(&self, channel: u8) -> Output {
        Output::new(self.frames.clone(), u32::from(channel))
    }

    /// The way to send frames (`Outgoing::Close` ends the connection).
    pub(crate) fn frames(&self) -> mpsc::Sender<Outgoing> {
        self.frames.clone()
    }

    /// Carries messages until either end closes.
    pub(crate) async fn run(self) -> Result<(), StreamError> {
        let (sink, messages) = accept(self.io).await.split();
        // The writer ends when the session has dropped its outputs too.
        drop(self.frames);
        let reading = read_messages(messages, self.inputs, self.base64);
        let writing = write_messages(sink, self.outgoing, self.base64);
        let (mut reading, mut writing) = (std::pin::pin!(reading), std::pin::pin!(writing));
        tokio::select! {
            read = &mut reading => read,
            wrote = &mut writing => wrote,
        }
    }
}

async fn read_messages<T: AsyncRead + AsyncWrite + Unpin>(
    mut messages: SplitStream<WebSocketStream<T>>,
    mut inputs: HashMap<u8, mpsc::Sender<Bytes>>,
    base64: bool,
) -> Result<(), StreamError> {
    while let Some(message) = messages.next().await {
        let (channel, data) = match message {
            Ok(Message::Close(_)) | Err(WebSocketError::ConnectionClosed) => return Ok(()),
            Ok(message) => match decode(message, base64)? {
                Some(decoded) => decoded,
                None => continue,
            },
            Err(error) => return Err(StreamError::websocket(error)),
        };
        if channel == CLOSE_CHANNEL {
            data.iter().for_each(|closed| drop(inputs.remove(closed)));
        } else if let Some(input) = inputs.get(&channel).filter(|_| !data.is_empty())
            && input.send(data).await.is_err()
        {
            inputs.remove(&channel);
        }
    }
    Ok(())
}

/// The channel and payload of a message; `None` for what carries no data.
fn decode(message: Message, base64: bool) -> Result<Option<(u8, Bytes)>, StreamError> {
    let mut data = match message {
        Message::Binary(data) => data,
        Message::Text(text) => Bytes::from(text),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Ok(None),
    };
    if data.is_empty() {
        return Ok(None);
    }
    let payload = data.split_off(1);
    if !base64 {
        return Ok(Some((data[0], payload)));
    }
    let payload = STANDARD.decode(payload).map_err(StreamError::websocket)?;
    Ok(Some((data[0].wrapping_sub(b'0'), payload.into())))
}

async fn write_messages<T: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<T>, Message>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    base64: bool,
) -> Result<(), StreamError> {
    while let Some(next) = outgoing.recv().await {
        let message = match next {
            Outgoing::Data { stream, data } => encode(stream as u8, &data, base64),
            // Only clients may close a single channel; the end of the connection ends ours.
            Outgoing::Finish { .. } | Outgoing::Reply { .. } | Outgoing::Pong { .. } => continue,
            Outgoing::Close => break,
        };
        sink.send(message).await.map_err(StreamError::websocket)?;
    }
    // Without a code clients take the end for a failure.
    let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    sink.send(Message::Close(Some(normal))).await.map_err(StreamError::websocket)
}

fn encode(channel: u8, data: &[u8], base64: bool) -> Message {
    if base64 {
        let digit = char::from(b'0'.wrapping_add(channel));
        return Message::text(format!("{digit}{}", STANDARD.encode(data)));
    }
    let mut message = BytesMut::with_capacity(1 + data.len());
    message.put_u8(channel);
    message.put_slice(data);
    Message::Binary(message.freeze())
}
