//! The runtime's side of a shim's socket.
//!
//! Short exchanges run on the blocking pool, since they carry descriptors; what lasts (watching, exec, attach) goes on
//! as an ordinary async stream.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::shim::wire::{self, Reply, Request};
use crate::spec::{ContainerRun, Process};

/// Longest wait for an answer. Starting a container mounts its volumes, which may hang with a dead file server.
const PATIENCE: Duration = Duration::from_secs(120);

/// Talks to one shim.
#[derive(Clone, Debug)]
pub struct ShimClient {
    socket: PathBuf,
}

/// A process that was started in a container.
#[derive(Debug)]
pub struct Exec {
    /// Control connection: the exit code arrives here.
    control: UnixStream,
    /// Our side of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// Why an exec failed.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The shim does not know the container.
    #[error("the container does not run")]
    NotFound,
    /// The shim said no, in words for the user.
    #[error("{0}")]
    Refused(String),
    /// The shim could not be talked to.
    #[error("the sandbox's shim does not answer")]
    Unreachable(#[from] io::Error),
}

impl ShimClient {
    /// A client of the shim that listens on `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// One request, one answer. `NotFound` and `Failed` become errors.
    pub async fn call(&self, request: Request) -> Result<Reply, ShimError> {
        let (reply, ..) = exchange(self.socket.clone(), request, Vec::new()).await?;
        accept(reply)
    }

    /// Starts a process in a container, on `stdio` or, without it, on a terminal.
    pub async fn exec(
        &self,
        container: &str,
        process: Process,
        stdio: Vec<OwnedFd>,
    ) -> Result<Exec, ShimError> {
        let request = Request::Exec { container: container.to_owned(), process: Box::new(process) };
        let (reply, mut descriptors, stream) = exchange(self.socket.clone(), request, stdio).await?;
        accept(reply)?;
        Ok(Exec { control: into_async(stream)?, terminal: descriptors.pop() })
    }

    /// Joins a container's streams; see [`wire`] for what travels.
    pub async fn attach(&self, container: &str, stdin: bool) -> Result<UnixStream, ShimError> {
        let request = Request::Attach { container: container.to_owned(), stdin };
        let (reply, _, stream) = exchange(self.socket.clone(), request, Vec::new()).await?;
        accept(reply)?;
        Ok(into_async(stream)?)
    }

    /// What the shim knows now, and a stream on which it tells what happens.
    pub async fn watch(&self) -> Result<(Vec<(String, ContainerRun)>, News), ShimError> {
        let (reply, _, stream) = exchange(self.socket.clone(), Request::Watch, Vec::new()).await?;
        match accept(reply)? {
            Reply::Status(status) => Ok((status, News(into_async(stream)?))),
            other => Err(ShimError::Refused(format!("unexpected answer {other:?}"))),
        }
    }
}

/// Containers' ends, as they happen.
#[derive(Debug)]
pub struct News(UnixStream);

impl News {
    /// The next end; `None` when the shim is gone. Not cancel-safe.
    pub async fn next(&mut self) -> Option<(String, ContainerRun)> {
        match read_reply(&mut self.0).await {
            Ok(Reply::ContainerExited(id, run)) => Some((id, run)),
            _ => None,
        }
    }
}

impl Exec {
    /// Waits for the end and returns the exit code. Cancel it only to give up on the process.
    pub async fn wait(&mut self) -> io::Result<i32> {
        match read_reply(&mut self.control).await? {
            Reply::Exited(code) => Ok(code),
            other => Err(io::Error::other(format!("unexpected answer {other:?}"))),
        }
    }

    /// Sends the process a signal.
    pub async fn signal(&mut self, signal: i32) -> io::Result<()> {
        let body = serde_json::to_vec(&Request::SignalExec { signal })?;
        self.control.write_u32(body.len() as u32).await?;
        self.control.write_all(&body).await
    }
}

async fn read_reply(stream: &mut UnixStream) -> io::Result<Reply> {
    let length = stream.read_u32().await?;
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

fn accept(reply: Reply) -> Result<Reply, ShimError> {
    match reply {
        Reply::NotFound => Err(ShimError::NotFound),
        Reply::Failed(why) => Err(ShimError::Refused(why)),
        other => Ok(other),
    }
}

async fn exchange(
    socket: PathBuf,
    request: Request,
    descriptors: Vec<OwnedFd>,
) -> io::Result<(Reply, Vec<OwnedFd>, StdStream)> {
    let work = move || exchange_blocking(&socket, &request, &descriptors);
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn exchange_blocking(
    socket: &Path,
    request: &Request,
    descriptors: &[OwnedFd],
) -> io::Result<(Reply, Vec<OwnedFd>, StdStream)> {
    let stream = StdStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    wire::send(&stream, request, &borrowed)?;
    let (reply, received) = wire::receive(&stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((reply, received, stream))
}

fn into_async(stream: StdStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
