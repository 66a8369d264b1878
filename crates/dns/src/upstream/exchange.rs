//! One question to one resolver: over UDP, and over TCP when the answer does not fit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::{ProtoError, serialize::binary::DecodeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long a resolver has for an answer over TCP.
const TCP_PATIENCE: Duration = Duration::from_secs(2);

/// Why a resolver gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("no answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("could not talk to the resolver")]
    Connection(#[from] io::Error),
    #[error("could not encode the query")]
    Encode(#[from] ProtoError),
    #[error("could not decode the answer")]
    Decode(#[from] DecodeError),
    #[error("the answer is to another question")]
    Unrelated,
}

/// Asks `server`, which has `patience` for an answer over UDP. The query needs a random identifier; the port is random
/// too.
pub(super) async fn ask(
    server: SocketAddr,
    query: Message,
    patience: Duration,
) -> Result<Message, ExchangeError> {
    let bytes = query.to_vec()?;
    let answer = timeout(patience, ask_udp(server, &query, &bytes)).await??;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    match timeout(TCP_PATIENCE, ask_tcp(server, &query, &bytes)).await? {
        Ok(whole) => Ok(whole),
        Err(error) => {
            tracing::debug!(%server, %error, "no TCP answer; the client gets the one that is cut off");
            Ok(answer)
        }
    }
}

async fn ask_udp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, ExchangeError> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else may be forged; the true answer may still come.
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answers(&answer, query) => return Ok(answer),
            Ok(_) | Err(_) => {}
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message, ExchangeError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer)?;
    if answers(&answer, query) { Ok(answer) } else { Err(ExchangeError::Unrelated) }
}

fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == query.metadata.id
        && answer.queries == query.queries
}
