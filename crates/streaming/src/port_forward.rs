//! Port-forward: pairs of a data and an error stream, each pair one connection to a port.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::io::Outgoing;
use crate::spdy::{Accepted, Connection};
use crate::websocket::{Channels, tunnel};
use crate::{Input, Negotiated, Output, StreamError};

/// How much is read from a port at once.
const CHUNK: usize = 32 << 10;
/// How long a client may still send to a port that has closed; as long as containerd gives it.
const LINGER: Duration = Duration::from_secs(1);

/// Runs the protocol on an upgraded connection until the client closes it. `connect` opens a port of the pod; its
/// error goes to the client on the error stream. `ports` are those of the request, which only the plain WebSocket
/// protocol names up front.
pub async fn port_forward<T, F, R, S>(
    io: T,
    protocol: Negotiated,
    ports: &[u16],
    connect: F,
) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    F: Fn(u16) -> R + Send + Sync + 'static,
    R: Future<Output = std::io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let connect = Arc::new(connect);
    match protocol {
        Negotiated::Spdy { .. } => over_spdy(io, connect).await,
        Negotiated::Tunnel => {
            let (inner, carry) = tunnel(io);
            let (forward, carry) = tokio::join!(over_spdy(inner, connect), carry);
            forward.and(carry)
        }
        Negotiated::WebSocket { base64, .. } => over_websocket(io, base64, ports, connect).await,
    }
}

async fn over_spdy<T, F, R, S>(io: T, connect: Arc<F>) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Send,
    F: Fn(u16) -> R + Send + Sync + 'static,
    R: Future<Output = std::io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (connection, accepted, frames) = Connection::new(io);
    let (connection, ()) = tokio::join!(connection.run(), forward_pairs(accepted, frames, connect));
    connection
}

/// Matches data streams with error streams by request id and forwards each pair, until the client opens no more.
async fn forward_pairs<F, R, S>(
    mut accepted: mpsc::Receiver<Accepted>,
    frames: mpsc::Sender<Outgoing>,
    connect: Arc<F>,
) where
    F: Fn(u16) -> R + Send + Sync + 'static,
    R: Future<Output = std::io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut halves: HashMap<String, Accepted> = HashMap::new();
    let mut pairs = JoinSet::new();
    while let Some(stream) = accepted.recv().await {
        while pairs.try_join_next().is_some() {}
        // Very old clients send no id; their streams come in pairs by port.
        let id = stream.header("requestid").or_else(|| stream.header("port")).unwrap_or_default().to_owned();
        let Some(other) = halves.remove(&id) else {
            halves.insert(id, stream);
            continue;
        };
        let (data, error) =
            if stream.header("streamtype") == Some("data") { (stream, other) } else { (other, stream) };
        let port = data.header("port").and_then(|port| port.parse().ok()).unwrap_or(0);
        let connect = connect.clone();
        pairs.spawn(async move { forward(port, data.input, data.output, error.output, &*connect).await });
    }
    // The connection is gone: what still runs has nobody to talk to.
    pairs.shutdown().await;
    drop(frames);
}

async fn over_websocket<T, F, R, S>(
    io: T,
    base64: bool,
    ports: &[u16],
    connect: Arc<F>,
) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    F: Fn(u16) -> R + Send + Sync + 'static,
    R: Future<Output = std::io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut channels = Channels::new(io, base64);
    let mut pairs = JoinSet::new();
    for (port, channel) in ports.iter().copied().zip((0..=254_u8).step_by(2)) {
        let input = channels.input(channel);
        let (data, error) = (channels.output(channel), channels.output(channel + 1));
        let connect = connect.clone();
        pairs.spawn(async move {
            // Each channel begins with the port number, so that the client can tell them apart.
            let number = Bytes::copy_from_slice(&port.to_le_bytes());
            if data.send(number.clone()).await.is_ok() && error.send(number).await.is_ok() {
                forward(port, input, data, error, &*connect).await;
            }
        });
    }
    let result = channels.run().await;
    pairs.shutdown().await;
    result
}

/// Connects one pair and copies both ways until both ends are done.
async fn forward<F, R, S>(port: u16, input: Input, data: Output, error: Output, connect: &F)
where
    F: Fn(u16) -> R,
    R: Future<Output = std::io::Result<S>>,
    S: AsyncRead + AsyncWrite,
{
    match connect(port).await {
        Ok(socket) => copy(socket, input, &data).await,
        Err(cause) => {
            let message = format!("error forwarding port {port}: {cause}");
            let _ = error.send(message.into()).await;
        }
    }
    // If the client has gone there is nobody to tell.
    let _ = data.finish().await;
    let _ = error.finish().await;
}

/// Copies both ways. When the port has closed, the client's direction has [`LINGER`] left: kubectl up to 1.29 closes it
/// only when the pair is over.
async fn copy<S: AsyncRead + AsyncWrite>(socket: S, mut input: Input, data: &Output) {
    let (mut from_port, mut to_port) = tokio::io::split(socket);
    let (closed, closing) = tokio::sync::oneshot::channel::<()>();
    let lingering = async {
        // It is never sent, only dropped.
        let _ = closing.await;
        tokio::time::sleep(LINGER).await;
    };
    let outbound = async move {
        let _closed = closed;
        let mut buffer = BytesMut::with_capacity(CHUNK);
        while matches!(from_port.read_buf(&mut buffer).await, Ok(1..)) {
            if data.send(buffer.split().freeze()).await.is_err() {
                return;
            }
            buffer.reserve(CHUNK);
        }
        // The client sees the end even while it still sends.
        let _ = data.finish().await;
    };
    let inbound = async {
        while let Some(chunk) = input.next().await {
            if to_port.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to_port.shutdown().await;
    };
    // What the client still sends when its time is up has nobody to go to.
    let inbound = async {
        tokio::select! { () = inbound => {}, () = lingering => {} }
    };
    tokio::join!(outbound, inbound);
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::spdy::testing::{Client, next_data};

    /// A port that sends back what it gets; port 9 is closed.
    async fn echo(port: u16) -> std::io::Result<tokio::io::DuplexStream> {
        if port == 9 {
            return Err(std::io::Error::other("connection refused"));
        }
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(&mut theirs);
            tokio::io::copy(&mut from, &mut to).await
        });
        Ok(ours)
    }

    #[tokio::test]
    async fn each_pair_is_a_connection_of_its_own() {
        let (mut client_io, server_io) = tokio::io::duplex(1 << 16);
        let mut client = Client::new();
        let pair = |client: &mut Client, port: &str, id: &str| {
            let error = client.open(&[("streamtype", "error"), ("port", port), ("requestid", id)]);
            let data = client.open(&[("streamtype", "data"), ("port", port), ("requestid", id)]);
            (error, data)
        };
        let ((_, open), (closed, _)) = (pair(&mut client, "80", "0"), pair(&mut client, "9", "1"));
        client.data(open, b"ping", true);
        client_io.write_all(&client.wire).await.expect("room");
        let server = port_forward(server_io, Negotiated::Spdy { version: 0 }, &[], echo);
        let client = async move {
            let mut seen = [next_data(&mut client_io).await, next_data(&mut client_io).await];
            seen.sort();
            seen
        };
        let (result, seen) = tokio::join!(server, client);
        result.expect("the client closed the connection");
        let refused = b"error forwarding port 9: connection refused".to_vec();
        assert_eq!(seen, [(open, b"ping".to_vec()), (closed, refused)]);
    }

    #[tokio::test]
    async fn spdy_travels_inside_websocket_messages() {
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let mut client = Client::new();
        client.open(&[("streamtype", "error"), ("port", "80"), ("requestid", "0")]);
        let data = client.open(&[("streamtype", "data"), ("port", "80"), ("requestid", "0")]);
        client.data(data, b"through the tunnel", false);
        let server = port_forward(server_io, Negotiated::Tunnel, &[], echo);
        let client = async move {
            let mut socket = WebSocketStream::from_raw_socket(client_io, Role::Client, None).await;
            socket.send(Message::Binary(client.wire.freeze())).await.expect("sent");
            let mut wire = Vec::new();
            while !wire.ends_with(b"through the tunnel") {
                let message = socket.next().await.expect("more to come").expect("a message");
                wire.extend_from_slice(&message.into_data());
            }
            socket.close(None).await.expect("closed");
        };
        let (result, ()) = tokio::join!(server, client);
        result.expect("a clean end");
    }

    #[tokio::test]
    async fn plain_websocket_channels_begin_with_the_port() {
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let protocol = Negotiated::WebSocket { version: 4, base64: false };
        let server = port_forward(server_io, protocol, &[8080], echo);
        let client = async move {
            let mut socket = WebSocketStream::from_raw_socket(client_io, Role::Client, None).await;
            let mut messages = Vec::new();
            for _ in 0..2 {
                messages.push(socket.next().await.expect("more to come").expect("a message").into_data());
            }
            assert_eq!(messages, [&[0, 0x90, 0x1f][..], &[1, 0x90, 0x1f][..]]);
            socket.send(Message::binary(&b"\x00hi"[..])).await.expect("sent");
            let answer = socket.next().await.expect("more to come").expect("a message").into_data();
            assert_eq!(answer, &b"\x00hi"[..]);
        };
        let (result, ()) = tokio::join!(server, client);
        drop(result); // a client that vanishes ends it one way or the other
    }
}
