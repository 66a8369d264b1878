//! Exec and attach: stdin, stdout, stderr, terminal sizes, and the error stream that tells how it ended.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::io::Outgoing;
use crate::spdy::{Accepted, Connection};
use crate::websocket::Channels;
use crate::{Input, Negotiated, Outcome, Output, StreamError};

/// How long a SPDY client may take to open its streams, as upstream's kubelet has it.
pub(crate) const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long after a WebSocket is open its first message is sent. Clients of Kubernetes 1.30 to 1.33 lose what arrives
/// before they have made their streams, and then end with `closed all streams` (kubernetes/kubernetes#131189).
const HEAD_START: Duration = Duration::from_millis(10);

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// Which streams the request asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    /// Ignored with a terminal: it has one output.
    pub stderr: bool,
    pub tty: bool,
}

/// The streams of one command.
pub struct Session {
    /// What the client types; ends when it closes it.
    pub stdin: Option<Input>,
    /// To the client.
    pub stdout: Option<Output>,
    /// To the client.
    pub stderr: Option<Output>,
    /// The client's terminal sizes, where there is a terminal.
    pub resizes: Option<Resizes>,
    /// Cancelled when the connection is gone: nobody reads or writes any more.
    pub closed: CancellationToken,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)]
pub struct TerminalSize {
    pub width: u16,
    pub height: u16,
}

/// Terminal sizes as the client reports them.
pub struct Resizes {
    input: Input,
    buffer: BytesMut,
}

impl Resizes {
    fn new(input: Input) -> Self {
        Self { input, buffer: BytesMut::new() }
    }

    /// The next size; `None` at the end or after something that is no size. Cancel-safe.
    pub async fn next(&mut self) -> Option<TerminalSize> {
        loop {
            let mut sizes = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<TerminalSize>();
            match sizes.next() {
                Some(Ok(size)) => {
                    let read = sizes.byte_offset();
                    let _ = self.buffer.split_to(read);
                    return Some(size);
                }
                Some(Err(error)) if !error.is_eof() => return None,
                Some(Err(_)) | None => {}
            }
            let chunk = self.input.next().await?;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// Runs the protocol on an upgraded connection and `command` on its streams, tells the client the outcome, and
/// returns when the connection is closed. If the connection ends first, `Session::closed` is cancelled and `command`
/// is still waited for.
pub async fn remote_command<T, F, R>(
    io: T,
    protocol: Negotiated,
    wanted: Wanted,
    command: F,
) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    F: FnOnce(Session) -> R,
    R: Future<Output = Outcome>,
{
    match protocol {
        Negotiated::Spdy { version } => over_spdy(io, version, wanted, command).await,
        Negotiated::WebSocket { version, base64 } => {
            over_websocket(io, version, base64, wanted, command).await
        }
        Negotiated::Tunnel => Err(StreamError::websocket("a tunnel carries port-forward only")),
    }
}

async fn over_websocket<T, F, R>(
    io: T,
    version: u8,
    base64: bool,
    wanted: Wanted,
    command: F,
) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    F: FnOnce(Session) -> R,
    R: Future<Output = Outcome>,
{
    let mut channels = Channels::new(io, base64);
    let closed = CancellationToken::new();
    let session = Session {
        stdin: wanted.stdin.then(|| channels.input(STDIN)),
        stdout: wanted.stdout.then(|| channels.output(STDOUT)),
        stderr: (wanted.stderr && !wanted.tty).then(|| channels.output(STDERR)),
        resizes: wanted.tty.then(|| Resizes::new(channels.input(RESIZE))),
        closed: closed.clone(),
    };
    let (error, frames) = (channels.output(ERROR), channels.frames());
    // An empty message on the lowest channel tells the client that the streams are up.
    let first = session.stdout.clone().or_else(|| session.stderr.clone()).unwrap_or_else(|| error.clone());
    let talk = async move {
        tokio::time::sleep(HEAD_START).await;
        if first.send(Bytes::new()).await.is_ok() {
            conclude(command(session).await, version, &error, &frames).await;
        }
        Ok(())
    };
    beside(channels.run(), talk, closed).await
}

async fn over_spdy<T, F, R>(io: T, version: u8, wanted: Wanted, command: F) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Send,
    F: FnOnce(Session) -> R,
    R: Future<Output = Outcome>,
{
    let (connection, accepted, frames) = Connection::new(io);
    let closed = CancellationToken::new();
    let token = closed.clone();
    let talk = async move {
        let collect = collect(accepted, names(version, wanted));
        let Ok(streams) = tokio::time::timeout(STREAMS_TIMEOUT, collect).await else {
            close(&frames).await;
            return Err(StreamError::StreamsMissing);
        };
        // `None`: the connection ended before all streams were open.
        let Some(mut streams) = streams else { return Ok(()) };
        let error = streams.remove("error").map(|stream| stream.output);
        let session = Session {
            stdin: streams.remove("stdin").map(|stream| stream.input),
            stdout: streams.remove("stdout").map(|stream| stream.output),
            stderr: streams.remove("stderr").map(|stream| stream.output),
            resizes: streams.remove("resize").map(|stream| Resizes::new(stream.input)),
            closed: token,
        };
        let outcome = command(session).await;
        if let Some(error) = error {
            conclude(outcome, version, &error, &frames).await;
        }
        Ok(())
    };
    beside(connection.run(), talk, closed).await
}

/// The stream types that the client opens.
fn names(version: u8, wanted: Wanted) -> Vec<&'static str> {
    let all = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr && !wanted.tty),
        ("resize", wanted.tty && version >= 3),
    ];
    all.into_iter().filter(|(_, expected)| *expected).map(|(name, _)| name).collect()
}

/// Takes streams until all of `names` are there; `None` if the connection ends first.
async fn collect(
    mut accepted: mpsc::Receiver<Accepted>,
    names: Vec<&'static str>,
) -> Option<HashMap<&'static str, Accepted>> {
    let mut streams = HashMap::new();
    while streams.len() < names.len() {
        let stream = accepted.recv().await?;
        let kind = stream.header("streamtype").unwrap_or_default();
        if let Some(name) = names.iter().find(|name| **name == kind) {
            streams.insert(*name, stream);
        }
    }
    Some(streams)
}

/// Runs the connection beside the talk; both end before this returns.
async fn beside(
    connection: impl Future<Output = Result<(), StreamError>>,
    talk: impl Future<Output = Result<(), StreamError>>,
    closed: CancellationToken,
) -> Result<(), StreamError> {
    let connection = async {
        let result = connection.await;
        closed.cancel();
        result
    };
    let (connection, talk) = tokio::join!(connection, talk);
    talk.and(connection)
}

async fn conclude(outcome: Outcome, version: u8, error: &Output, frames: &mpsc::Sender<Outgoing>) {
    if let Some(message) = outcome.message(version) {
        // If the client has gone there is nobody to tell.
        let _ = error.send(message).await;
    }
    let _ = error.finish().await;
    close(frames).await;
}

async fn close(frames: &mpsc::Sender<Outgoing>) {
    let _ = frames.send(Outgoing::Close).await;
}

#[cfg(test)]
mod tests;
