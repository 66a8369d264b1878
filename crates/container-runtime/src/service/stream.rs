//! The HTTP server behind the URLs that `Exec`, `Attach` and `PortForward` answer with.
//!
//! A URL carries a ticket: unguessable, good once, and only for a minute. Whoever has it may do what was asked for, so
//! the server needs no other authentication; it listens on the loopback address.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use steersman_streaming as streaming;
use steersman_streaming::{Outcome, Purpose};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::exec::{Session, Wanted};
use super::state::Inner;
use crate::shim::wire::{self, Request as ShimRequest};

/// How long a ticket is good.
const TICKET_LIFE: Duration = Duration::from_secs(60);

/// Most tickets at once; a client that takes more must use some first.
const TICKETS: usize = 1000;

/// What a ticket is for.
#[derive(Clone, Debug)]
pub enum Errand {
    /// Run a command.
    Exec { container: String, command: Vec<String>, streams: streaming::Wanted },
    /// Join a container.
    Attach { container: String, streams: streaming::Wanted },
    /// Reach ports of a sandbox.
    PortForward { sandbox: String, ports: Vec<u16> },
}

/// Tickets given out, and where to take them.
#[derive(Default)]
pub struct Tickets {
    address: OnceLock<SocketAddr>,
    waiting: Mutex<HashMap<String, (Instant, Errand)>>,
}

impl Tickets {
    /// The URL for an errand.
    pub fn url(&self, errand: Errand) -> Result<String, Status> {
        let address =
            self.address.get().ok_or_else(|| Status::unavailable("the stream server does not run"))?;
        let kind = match errand {
            Errand::Exec { .. } => "exec",
            Errand::Attach { .. } => "attach",
            Errand::PortForward { .. } => "portforward",
        };
        let token = hex::encode(rand::random::<[u8; 16]>());
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, (given, _)| given.elapsed() < TICKET_LIFE);
        if waiting.len() >= TICKETS {
            return Err(Status::resource_exhausted("maximum number of in-flight requests exceeded"));
        }
        waiting.insert(token.clone(), (Instant::now(), errand));
        Ok(format!("http://{address}/{kind}/{token}"))
    }

    fn take(&self, token: &str) -> Option<Errand> {
        let (given, errand) = self.waiting.lock().remove(token)?;
        (given.elapsed() < TICKET_LIFE).then_some(errand)
    }
}

/// The server, listening.
pub struct Server {
    inner: Arc<Inner>,
    listener: TcpListener,
}

impl Server {
    pub async fn bind(inner: Arc<Inner>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        inner
            .tickets
            .address
            .get_or_init(|| listener.local_addr().unwrap_or((Ipv4Addr::LOCALHOST, 0).into()));
        Ok(Self { inner, listener })
    }

    /// Serves until `stop` is cancelled, which also ends the streams that run.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, _)) => drop(connections.spawn(connection(self.inner.clone(), socket))),
                    Err(error) => tracing::warn!(%error, "could not accept a stream connection"),
                },
                Some(_) = connections.join_next() => {}
            }
        }
        connections.shutdown().await;
    }
}

/// One connection: the request, and after the upgrade its streams, which run in the same task.
async fn connection(inner: Arc<Inner>, socket: TcpStream) {
    let upgraded = Arc::new(Mutex::new(None));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let response = answer(&inner, request, &upgraded);
        async move { Ok::<_, Infallible>(response) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    if let Err(error) = http.serve_connection(TokioIo::new(socket), service).with_upgrades().await {
        tracing::debug!(%error, "a stream connection failed");
    }
    let Some((upgrade, protocol, errand)) = upgraded.lock().take() else { return };
    let upgrade: hyper::upgrade::OnUpgrade = upgrade;
    match upgrade.await {
        Ok(io) => {
            if let Err(error) = run(&inner, TokioIo::new(io), protocol, errand).await {
                tracing::debug!(%error, "a stream ended early");
            }
        }
        Err(error) => tracing::debug!(%error, "a stream connection was not upgraded"),
    }
}

type Upgraded = Mutex<Option<(hyper::upgrade::OnUpgrade, streaming::Negotiated, Errand)>>;

fn answer(inner: &Inner, mut request: Request<Incoming>, upgraded: &Upgraded) -> Response<Full<Bytes>> {
    let token = request.uri().path().rsplit('/').next().unwrap_or_default();
    let Some(errand) = inner.tickets.take(token) else {
        return plain(StatusCode::NOT_FOUND, "cannot locate request with token");
    };
    let purpose = match errand {
        Errand::PortForward { .. } => Purpose::PortForward,
        _ => Purpose::RemoteCommand,
    };
    match streaming::negotiate(request.method(), request.headers(), purpose) {
        Err(rejection) => plain(rejection.status(), &rejection.to_string()),
        Ok((response, protocol)) => {
            *upgraded.lock() = Some((hyper::upgrade::on(&mut request), protocol, errand));
            response.map(|()| Full::default())
        }
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

async fn run<T>(
    inner: &Arc<Inner>,
    io: T,
    protocol: streaming::Negotiated,
    errand: Errand,
) -> Result<(), streaming::StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    match errand {
        Errand::Exec { container, command, streams } => {
            let run = |session| exec(inner, container, command, streams, session);
            streaming::remote_command(io, protocol, streams, run).await
        }
        Errand::Attach { container, streams } => {
            let run = |session| attach(inner, container, streams, session);
            streaming::remote_command(io, protocol, streams, run).await
        }
        Errand::PortForward { sandbox, ports } => {
            let namespace = inner.sandbox(&sandbox).ok().map(|s| {
                let path = inner.config.network_namespace(&s.id);
                // A pod on the host's network has no namespace of its own.
                path.exists().then_some(path)
            });
            let connect = move |port| {
                let namespace = namespace.clone();
                async move {
                    let namespace = namespace.ok_or(io::ErrorKind::NotFound)?;
                    connect_inside(namespace, port).await
                }
            };
            streaming::port_forward(io, protocol, &ports, connect).await
        }
    }
}

async fn exec(
    inner: &Inner,
    container: String,
    command: Vec<String>,
    streams: streaming::Wanted,
    client: streaming::Session,
) -> Outcome {
    let wanted = Wanted { stdin: streams.stdin, terminal: streams.tty };
    match inner.exec(&container, command, wanted).await {
        Ok(session) => run_exec(session, client).await,
        Err(status) => Outcome::Failed(status.message().to_owned()),
    }
}

async fn run_exec(session: Session, client: streaming::Session) -> Outcome {
    let Session { mut process, stdin, stdout, stderr, terminal } = session;
    let input = pump_input(client.stdin, stdin);
    let resizes = async {
        let (Some(mut resizes), Some(terminal)) = (client.resizes, terminal) else { return };
        while let Some(size) = resizes.next().await {
            resize(&terminal, size);
        }
    };
    let output = async {
        tokio::join!(pump_output(stdout, client.stdout), pump_output(stderr, client.stderr));
    };
    let exit = async {
        let code = process.wait().await;
        code.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Exited)
    };
    // Input and sizes go on beside the rest, and end with it.
    let beside = async {
        tokio::join!(input, resizes);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // Nobody reads any more. The process goes on, and loses its streams.
        () = client.closed.cancelled() => Outcome::Failed("the client has gone".into()),
        () = beside => unreachable!("never ends"),
        (outcome, ()) = async { tokio::join!(exit, output) } => outcome,
    }
}

fn resize(terminal: &OwnedFd, size: streaming::TerminalSize) {
    let size =
        rustix::termios::Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
    // The terminal of a process that has just ended takes no size.
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}

/// Copies until the client closes its input, and closes the process's by dropping it.
async fn pump_input(from: Option<streaming::Input>, to: Option<impl AsyncWrite + Unpin>) {
    let (Some(mut from), Some(mut to)) = (from, to) else { return };
    while let Some(chunk) = from.next().await {
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Copies until the process's output ends. A client that takes no more does not stop the process.
async fn pump_output(from: Option<impl AsyncRead + Unpin>, to: Option<streaming::Output>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 32 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(to) = &to
            && to.send(Bytes::copy_from_slice(&buffer[..length])).await.is_err()
        {
            return;
        }
    }
}

/// A container that ends without a word this soon after somebody has joined it had ended when they asked.
const TOO_LATE: std::time::Duration = std::time::Duration::from_secs(1);

async fn attach(
    inner: &Inner,
    container: String,
    streams: streaming::Wanted,
    client: streaming::Session,
) -> Outcome {
    let joined = async {
        let (found, shim) = inner.running(&container)?;
        let stream = shim.attach(&found.id, streams.stdin).await;
        stream.map(|s| (found.id.clone(), shim, s)).map_err(|e| Status::unknown(e.to_string()))
    };
    let (id, shim, stream) = match joined.await {
        Ok(joined) => joined,
        Err(status) => return Outcome::Failed(status.message().to_owned()),
    };
    let joined_at = tokio::time::Instant::now();
    let (from, to) = stream.into_split();
    let resizes = async {
        let Some(mut resizes) = client.resizes else { return };
        while let Some(size) = resizes.next().await {
            let request =
                ShimRequest::Resize { container: id.clone(), width: size.width, height: size.height };
            // A container that has just ended has no terminal to resize.
            let _ = shim.call(request).await;
        }
    };
    let beside = async {
        tokio::join!(pump_input(client.stdin, Some(to)), resizes);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = client.closed.cancelled() => Outcome::Failed("the client has gone".into()),
        () = beside => unreachable!("never ends"),
        frames = pump_frames(from, client.stdout, client.stderr) => attach_ended(&id, frames, joined_at.elapsed()),
    }
}

/// How an attach ended that got so many frames. One that came too late fails, so that clients turn to the log.
fn attach_ended(id: &str, frames: usize, lasted: std::time::Duration) -> Outcome {
    if frames == 0 && lasted < TOO_LATE {
        return Outcome::Failed(format!("container {id:?} is in CONTAINER_EXITED state"));
    }
    Outcome::Exited(0)
}

/// Hands out the frames of an attach stream, see [`wire`]; returns how many there were.
async fn pump_frames(
    mut from: impl AsyncRead + Unpin,
    stdout: Option<streaming::Output>,
    stderr: Option<streaming::Output>,
) -> usize {
    let mut sent = 0;
    loop {
        let frame = async {
            let (stream, length) = (from.read_u8().await?, from.read_u32().await?);
            let mut data = vec![0; length as usize];
            from.read_exact(&mut data).await?;
            io::Result::Ok((stream, data))
        };
        let Ok((stream, data)) = frame.await else { return sent };
        let to = if stream == wire::STDERR { &stderr } else { &stdout };
        if let Some(to) = to
            && to.send(data.into()).await.is_err()
        {
            return sent;
        }
        sent += 1;
    }
}

/// Connects to a port of the loopback address in a network namespace (`None`: the host's).
async fn connect_inside(namespace: Option<PathBuf>, port: u16) -> io::Result<TcpStream> {
    let work = move || {
        // A thread of its own enters the namespace and ends there; pool threads must stay in ours.
        let thread = std::thread::Builder::new().name("netns-connect".into()).spawn(move || {
            if let Some(path) = namespace {
                nix::sched::setns(std::fs::File::open(path)?, nix::sched::CloneFlags::CLONE_NEWNET)?;
            }
            let v4 = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            v4.or_else(|error| {
                std::net::TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, port)).map_err(|_| error)
            })
        })?;
        thread.join().map_err(|_| io::Error::other("the connecting thread panicked"))?
    };
    let socket = tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??;
    socket.set_nonblocking(true)?;
    TcpStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_attach_that_came_too_late_fails() {
        assert_eq!(pump_frames(&b""[..], None, None).await, 0);
        assert_eq!(pump_frames(&b"\x01\0\0\0\x02hi\x02\0\0\0\0"[..], None, None).await, 2);
        let soon = Duration::from_millis(5);
        assert!(matches!(attach_ended("c", 0, soon), Outcome::Failed(_)));
        assert!(matches!(attach_ended("c", 2, soon), Outcome::Exited(0)));
        assert!(matches!(attach_ended("c", 0, TOO_LATE), Outcome::Exited(0)), "it was silent, not late");
    }
}
