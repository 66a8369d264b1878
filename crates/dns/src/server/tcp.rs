//! The TCP side: messages with a length in front (RFC 1035 §4.2.2, RFC 7766).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Server, Step};
use crate::message::{MOST_TCP, encode};

/// How many clients may be connected; the next one waits to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long a client may say nothing, or not take its answer.
const IDLE: Duration = Duration::from_secs(10);
/// The pause after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers connections until `stop`.
pub(super) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    waiting: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&places, &listener) => accepted,
        };
        match accepted {
            Ok((place, stream)) => {
                let (server, stop) = (server.clone(), stop.clone());
                waiting.spawn(async move {
                    if let Err(error) = converse(&server, stream, &stop).await {
                        tracing::debug!(%error, "a DNS connection broke");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a DNS connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Cancel-safe: a place that was taken is given back.
async fn accept(
    places: &Arc<Semaphore>,
    listener: &TcpListener,
) -> io::Result<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((place, stream))
}

/// Answers one query after the other until the client leaves or falls silent.
async fn converse(server: &Server, mut stream: TcpStream, stop: &CancellationToken) -> io::Result<()> {
    let mut out = Vec::new();
    loop {
        let query = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            query = timeout(IDLE, read(&mut stream)) => query,
        };
        let Ok(Some(query)) = query.unwrap_or(Ok(None)) else {
            return Ok(());
        };
        let message = match server.step(&query) {
            Step::Ignore => return Ok(()),
            Step::Send(message, _) => message,
            Step::Wait(pending) => server.finish(*pending).await,
        };
        encode(&message, MOST_TCP, &mut out).map_err(io::Error::other)?;
        let length = u16::try_from(out.len()).map_err(io::Error::other)?;
        out.splice(0..0, length.to_be_bytes());
        timeout(IDLE, stream.write_all(&out)).await??;
    }
}

/// The next query; `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut query = vec![0; usize::from(length)];
    stream.read_exact(&mut query).await?;
    Ok(Some(query))
}
