use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::spdy::testing::{Client, received};

const ALL: Wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: false };

/// Gives stdin back in upper case on stdout, its length on stderr, and exits with 3.
async fn shout(mut session: Session) -> Outcome {
    let (stdout, stderr) =
        (session.stdout.take().expect("asked for"), session.stderr.take().expect("asked for"));
    let mut length = 0;
    let mut stdin = session.stdin.take().expect("asked for");
    while let Some(chunk) = stdin.next().await {
        length += chunk.len();
        stdout.send(chunk.to_ascii_uppercase().into()).await.expect("the client is there");
    }
    stderr.send(length.to_string().into()).await.expect("the client is there");
    Outcome::Exited(3)
}

#[tokio::test]
async fn spdy_carries_a_command() {
    let (mut client_io, server_io) = tokio::io::duplex(1 << 16);
    let mut client = Client::new();
    let error = client.open(&[("streamtype", "error")]);
    let stdin = client.open(&[("streamtype", "stdin")]);
    let stdout = client.open(&[("streamtype", "stdout")]);
    let stderr = client.open(&[("streamtype", "stderr")]);
    client.data(stdin, b"hello ", false);
    client.data(stdin, b"there", true);
    client_io.write_all(&client.wire).await.expect("room");
    let server = remote_command(server_io, Negotiated::Spdy { version: 4 }, ALL, shout);
    let (result, streams) = tokio::join!(server, async move {
        let streams = received(&mut client_io).await;
        drop(client_io);
        streams
    });
    result.expect("a clean end");
    assert_eq!(streams[&stdout], b"HELLO THERE");
    assert_eq!(streams[&stderr], b"11");
    let status: serde_json::Value = serde_json::from_slice(&streams[&error]).expect("a Status");
    assert_eq!(status["details"]["causes"][0]["message"], "3");
}

#[tokio::test]
async fn websocket_carries_a_command_and_closes_stdin() {
    let (client_io, server_io) = tokio::io::duplex(1 << 16);
    let server = remote_command(server_io, Negotiated::WebSocket { version: 5, base64: false }, ALL, shout);
    let client = async move {
        let mut socket = WebSocketStream::from_raw_socket(client_io, Role::Client, None).await;
        socket.send(Message::binary(&b"\x00abc"[..])).await.expect("sent");
        socket.send(Message::binary(&b"\xff\x00"[..])).await.expect("sent");
        let mut channels: HashMap<u8, Vec<u8>> = HashMap::new();
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Binary(data) => channels.entry(data[0]).or_default().extend_from_slice(&data[1..]),
                Message::Close(frame) => assert_eq!(u16::from(frame.expect("a reason").code), 1000),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!(!channels.contains_key(&255), "only clients close channels");
        channels
    };
    let (result, channels) = tokio::join!(server, client);
    result.expect("a clean end");
    assert_eq!((&channels[&1][..], &channels[&2][..]), (&b"ABC"[..], &b"3"[..]));
    assert!(channels[&3].starts_with(b"{"), "the status comes on channel 3");
}

#[tokio::test]
async fn a_terminal_reports_its_sizes() {
    let (sender, input) = Input::new();
    let mut resizes = Resizes::new(input);
    for piece in [&br#"{"Width":80,"Hei"#[..], br#"ght":24}{"Width":1,"Height":2}"#] {
        sender.send(Bytes::from_static(piece)).await.expect("room");
    }
    drop(sender);
    assert_eq!(resizes.next().await, Some(TerminalSize { width: 80, height: 24 }));
    assert_eq!(resizes.next().await, Some(TerminalSize { width: 1, height: 2 }));
    assert_eq!(resizes.next().await, None);
}

#[tokio::test]
async fn a_lost_connection_is_told_to_the_command() {
    let (client_io, server_io) = tokio::io::duplex(1 << 10);
    let protocol = Negotiated::WebSocket { version: 4, base64: false };
    let wanted = Wanted { stdout: true, ..Wanted::default() };
    let command = |session: Session| async move {
        session.closed.cancelled().await;
        Outcome::Exited(0)
    };
    drop(client_io);
    // How the loss shows itself is the transport's; that it ends is the promise.
    let _ = remote_command(server_io, protocol, wanted, command).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_no_streams_is_given_up() {
    let (client_io, server_io) = tokio::io::duplex(1 << 10);
    let server = remote_command(server_io, Negotiated::Spdy { version: 4 }, ALL, shout);
    let result = tokio::time::timeout(Duration::from_secs(60), server).await.expect("it ends by itself");
    assert!(matches!(result, Err(StreamError::StreamsMissing)));
    drop(client_io);
}
