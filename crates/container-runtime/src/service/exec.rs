//! Processes in running containers, and joining a container's own streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use steersman_cri as cri;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tonic::Status;

use super::state::{Container, Inner, failed};
use crate::client::{Exec, ShimClient, ShimError};
use crate::plan;

/// Most output that `ExecSync` keeps of each stream, in bytes; more is thrown away, as in other runtimes.
const OUTPUT_LIMIT: usize = 16 << 20;

/// How long output may still come after the process has ended: a child in the background may hold the pipe for ever.
const AFTERMATH: Duration = Duration::from_millis(100);

/// A process started for a client, with our ends of its streams.
pub struct Session {
    pub process: Exec,
    pub stdin: Option<Stream>,
    pub stdout: Option<Stream>,
    pub stderr: Option<Stream>,
    /// The terminal, for its size.
    pub terminal: Option<Arc<OwnedFd>>,
}

/// Which streams a process gets.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub stdin: bool,
    pub terminal: bool,
}

impl Inner {
    /// The container, if it runs, and its shim.
    pub fn running(&self, id: &str) -> Result<(Arc<Container>, ShimClient), Status> {
        let container = self.container(id)?;
        if container.state() != cri::ContainerState::ContainerRunning {
            let state = container.state().as_str_name();
            return Err(Status::failed_precondition(format!(
                "container {:?} is in {state} state",
                container.id
            )));
        }
        let sandbox = self.sandbox(&container.record().sandbox)?;
        Ok((container, sandbox.shim.clone()))
    }

    /// Starts a process in a running container.
    pub async fn exec(&self, id: &str, command: Vec<String>, wanted: Wanted) -> Result<Session, Status> {
        let (container, shim) = self.running(id)?;
        let process = plan::exec(&container.record.lock().spec, command, wanted.terminal);
        let (ours, theirs) = if wanted.terminal {
            (None, Vec::new())
        } else {
            pipes(wanted.stdin).map(|(o, t)| (Some(o), t)).map_err(|e| failed("could not make pipes", e))?
        };
        let mut process = shim.exec(&container.id, process, theirs).await.map_err(exec_status)?;
        let terminal = process.terminal.take();
        let mut session = Session { process, stdin: None, stdout: None, stderr: None, terminal: None };
        let wrap = |fd: OwnedFd| Stream::new(fd).map_err(|e| failed("could not use a stream", e));
        if let Some([stdin, stdout, stderr]) = ours {
            session.stdin = stdin.map(wrap).transpose()?;
            session.stdout = stdout.map(wrap).transpose()?;
            session.stderr = stderr.map(wrap).transpose()?;
        } else if let Some(terminal) = terminal {
            let copy = |fd: &OwnedFd| fd.try_clone().map_err(|e| failed("could not use the terminal", e));
            session.stdin = wanted.stdin.then(|| copy(&terminal).and_then(wrap)).transpose()?;
            session.stdout = Some(wrap(copy(&terminal)?)?);
            session.terminal = Some(Arc::new(terminal));
        }
        Ok(session)
    }

    /// Runs a command to its end. `timeout` zero means none.
    pub async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, Status> {
        let wanted = Wanted { stdin: false, terminal: false };
        let mut session = self.exec(id, command, wanted).await?;
        let (mut stdout, mut stderr) =
            (Collector::new(session.stdout.take()), Collector::new(session.stderr.take()));
        let finish = async {
            let mut exit = std::pin::pin!(session.process.wait());
            let code = loop {
                tokio::select! {
                    code = &mut exit => break code,
                    () = stdout.read() => {}
                    () = stderr.read() => {}
                }
            };
            for stream in [&mut stdout, &mut stderr] {
                while !stream.ended() && tokio::time::timeout(AFTERMATH, stream.read()).await.is_ok() {}
            }
            code
        };
        let code =
            if timeout.is_zero() { Ok(finish.await) } else { tokio::time::timeout(timeout, finish).await };
        match code {
            Ok(Ok(exit_code)) => {
                Ok(cri::ExecSyncResponse { stdout: stdout.bytes, stderr: stderr.bytes, exit_code })
            }
            Ok(Err(error)) => Err(failed("could not wait for the command", error)),
            Err(_) => {
                session
                    .process
                    .signal(libc::SIGKILL)
                    .await
                    .map_err(|e| failed("could not kill the command", e))?;
                let limit = timeout.as_secs();
                Err(Status::deadline_exceeded(format!(
                    "failed to exec in container: timeout {limit}s exceeded: context deadline exceeded"
                )))
            }
        }
    }
}

fn exec_status(error: ShimError) -> Status {
    match error {
        ShimError::Refused(why) => failed(
            "failed to exec in container: failed to start exec: unable to start container process",
            why,
        ),
        other => failed("failed to exec in container", other),
    }
}

type Ends = [Option<OwnedFd>; 3];

fn pipes(stdin: bool) -> io::Result<(Ends, Vec<OwnedFd>)> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
    let (in_read, in_write) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (std::fs::File::open("/dev/null")?.into(), None)
    };
    Ok(([in_write, Some(out_read), Some(err_read)], vec![in_read, out_write, err_write]))
}

/// Reads one output stream up to the limit and throws the rest away.
struct Collector {
    stream: Option<Stream>,
    bytes: Vec<u8>,
}

impl Collector {
    fn new(stream: Option<Stream>) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    fn ended(&self) -> bool {
        self.stream.is_none()
    }

    /// Reads once; never ready once the stream has ended. Cancel-safe: a cancelled read has taken nothing.
    async fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return std::future::pending().await };
        let mut buffer = vec![0; 8192];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => self.stream = None,
            Ok(length) => {
                let room = OUTPUT_LIMIT.saturating_sub(self.bytes.len());
                self.bytes.extend(&buffer[..length.min(room)]);
            }
        }
    }
}

/// A pipe or terminal as an async stream.
pub struct Stream(AsyncFd<OwnedFd>);

impl Stream {
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self(crate::sys::register(fd)?))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let unfilled = buffer.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::read(fd.as_fd(), unfilled)?)) {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // A terminal that nobody has open any more has ended.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::write(fd.as_fd(), data)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
