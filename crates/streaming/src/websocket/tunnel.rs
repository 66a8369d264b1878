//! A byte stream inside binary messages.

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::Message;

use super::accept;
use crate::StreamError;

/// How many bytes may be under way inside the tunnel each way.
const BUFFER: usize = 64 << 10;

/// The inner end of the tunnel, and the work of carrying its bytes, which ends when either side closes.
pub(crate) fn tunnel<T>(io: T) -> (DuplexStream, impl Future<Output = Result<(), StreamError>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (inner, outer) = tokio::io::duplex(BUFFER);
    (inner, carry(io, outer))
}

async fn carry<T: AsyncRead + AsyncWrite + Unpin + Send>(
    io: T,
    outer: DuplexStream,
) -> Result<(), StreamError> {
    let (mut sink, mut messages) = accept(io).await.split();
    let (mut from_inner, mut to_inner) = tokio::io::split(outer);
    let inbound = async {
        while let Some(message) = messages.next().await {
            match message.map_err(StreamError::websocket)? {
                Message::Binary(data) => to_inner.write_all(&data).await?,
                Message::Close(_) => break,
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        to_inner.shutdown().await?;
        Ok::<(), StreamError>(())
    };
    let outbound = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while from_inner.read_buf(&mut buffer).await? > 0 {
            if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                return Ok(()); // the peer has closed; if it broke, reading says so
            }
            buffer.reserve(BUFFER / 4);
        }
        // Fails only if the peer has closed first.
        let _ = sink.close().await;
        Ok(())
    };
    tokio::try_join!(inbound, outbound).map(|_| ())
}
