//! What runtime and shim say to each other over the shim's socket.
//!
//! ```text
//! runtime → shim   [u32 length][JSON Request]   with file descriptors for Exec
//! shim → runtime   [u32 length][JSON Reply]     with the terminal's descriptor for Started
//! ```
//! A connection carries one request, except that after `Exec` and `Watch` replies go on coming, and that after `Attach`
//! it turns into a stream: raw standard input one way, `[u8 stream][u32 length][bytes]` the other.
//! Both sides trust each other (the socket is root's), and write whole messages.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::spec::{ContainerRun, ContainerSpec, Process};

/// The stream number of standard error in attach frames.
pub const STDERR: u8 = 2;

/// Longest message, in bytes: a container with a few thousand variables stays below.
const MAX_MESSAGE: u32 = 16 << 20;

/// Most descriptors in one message: standard input, output and error.
const MAX_DESCRIPTORS: usize = 3;

/// What the runtime asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Start a container; answered by `Started` or `Failed`.
    Start {
        /// What to start.
        spec: Box<ContainerSpec>,
    },
    /// Run a process in a container, on the descriptors that come along (stdin, stdout, stderr) or on a terminal;
    /// answered by `Started` or `Failed`, then by `Exited`.
    Exec {
        /// The container.
        container: String,
        /// The process.
        process: Box<Process>,
    },
    /// On the connection of an `Exec`: send its process a signal.
    SignalExec {
        /// Linux signal number.
        signal: i32,
    },
    /// Send a container's main process a signal, or kill all it runs.
    Signal {
        /// The container.
        container: String,
        /// Linux signal number.
        signal: i32,
        /// Every process instead of the main one; the signal is then SIGKILL.
        all: bool,
    },
    /// Join a container's input and output.
    Attach {
        /// The container.
        container: String,
        /// Whether standard input is joined too.
        stdin: bool,
    },
    /// Set the size of a container's terminal.
    Resize {
        /// The container.
        container: String,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Open the log file anew, after it was renamed.
    ReopenLog {
        /// The container.
        container: String,
    },
    /// Forget a container that has ended.
    Forget {
        /// The container.
        container: String,
    },
    /// Answered by `Status`, then by `ContainerExited` as it happens.
    Watch,
    /// End, if no container runs.
    Shutdown,
}

/// What the shim answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// Done.
    Done,
    /// The container is not there.
    NotFound,
    /// Not done: why.
    Failed(String),
    /// The process runs. With a terminal, its descriptor comes along for an `Exec`.
    Started(ContainerRun),
    /// The process of an `Exec` ended with this code.
    Exited(i32),
    /// Every container the shim knows, by id.
    Status(Vec<(String, ContainerRun)>),
    /// A container ended.
    ContainerExited(String, ContainerRun),
}

/// Sends a message with descriptors.
pub fn send(socket: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length =
        u32::try_from(body.len()).ok().filter(|n| *n <= MAX_MESSAGE).ok_or(io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::with_capacity(4 + body.len());
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    let sent = send_some(socket.as_fd(), &bytes, descriptors)?;
    write_all(socket.as_fd(), &bytes[sent..])
}

/// Sends one packet with at most one descriptor, on a socket that keeps packets apart.
pub fn send_packet(socket: BorrowedFd<'_>, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_some(socket, packet, descriptors).map(drop)
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let buffers = [IoSlice::new(bytes)];
    let flags = SendFlags::NOSIGNAL;
    Ok(rustix::io::retry_on_intr(|| rustix::net::sendmsg(socket, &buffers, &mut control, flags))?)
}

fn write_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Receives one message; `None` at the end of the stream.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let socket = socket.as_fd();
    let (mut head, mut have, mut descriptors) = ([0u8; 4], 0, Vec::new());
    while have < head.len() {
        let n = receive_some(socket, &mut head[have..], &mut descriptors)?;
        if n == 0 && have == 0 {
            return Ok(None);
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        have += n;
    }
    let length = u32::from_be_bytes(head);
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    let mut have = 0;
    while have < body.len() {
        match receive_some(socket, &mut body[have..], &mut descriptors)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => have += n,
        }
    }
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}

/// Receives up to `bytes.len()` bytes and whatever descriptors come with them.
pub fn receive_some(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(bytes)];
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

/// Writes one frame of an attach stream; `stream` is 1 or 2.
pub fn push_frame(out: &mut Vec<u8>, stream: u8, data: &[u8]) {
    out.push(stream);
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(data);
}

/// Reads one frame; `None` at the end of the stream.
pub fn read_frame(source: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut stream = [0];
    if source.read(&mut stream)? == 0 {
        return Ok(None);
    }
    let mut length = [0; 4];
    source.read_exact(&mut length)?;
    let mut data = vec![0; u32::from_be_bytes(length) as usize];
    source.read_exact(&mut data)?;
    Ok(Some((stream[0], data)))
}

/// Sends a reply, and drops it when nobody listens any more: then nobody waits for it either.
pub fn answer(socket: &impl AsFd, reply: &Reply) {
    let _ = send(socket, reply, &[]);
}

/// One line to whoever started us, on the descriptor they gave.
pub fn tell(mut out: impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_travel_with_their_descriptors() {
        let (a, b) = UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&a, &Request::SignalExec { signal: 9 }, &[write.as_fd()]).unwrap();
        drop(write);
        let (request, descriptors) = receive::<Request>(&b).unwrap().unwrap();
        assert!(matches!(request, Request::SignalExec { signal: 9 }));
        rustix::io::write(&descriptors[0], b"x").unwrap();
        let mut byte = [0];
        rustix::io::read(&read, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
        drop(a);
        assert!(receive::<Request>(&b).unwrap().is_none());
    }

    #[test]
    fn frames_survive_the_way() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, 1, b"hello");
        push_frame(&mut bytes, 2, b"");
        let mut source = bytes.as_slice();
        assert_eq!(read_frame(&mut source).unwrap(), Some((1, b"hello".to_vec())));
        assert_eq!(read_frame(&mut source).unwrap(), Some((2, vec![])));
        assert_eq!(read_frame(&mut source).unwrap(), None);
    }
}
