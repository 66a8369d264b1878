//! The shim's loop: one `poll` over signals, requests, output and input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{WaitOptions, WaitStatus};

use super::ShimConfig;
use super::container::Container;
use super::launch::{self, Context, Launched, Report, next_report};
use super::log::Stream;
use super::wire::{self, Reply, Request};
use crate::cgroup::{Cgroup, Layout};
use crate::spec::{ContainerRun, ContainerSpec, PidNamespace, Process};
use crate::sys::{self, SingleThread};

/// How long a peer may take to send or take one message; it is our own runtime and sends whole ones.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a descriptor in the poll set belongs to.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Connection(usize),
    Watcher(usize),
    Starting(usize),
    Output(usize, Stream),
    Input(usize),
    Peer(usize, usize),
    ExecReports(usize),
    ExecPeer(usize),
}

/// A further process in a container.
struct Exec {
    pid: i32,
    peer: Option<UnixStream>,
    /// While it starts.
    reports: Option<OwnedFd>,
    run: ContainerRun,
    terminal: Option<OwnedFd>,
    ended: bool,
}

pub struct Server {
    config: ShimConfig,
    layout: Layout,
    alone: SingleThread,
    signals: SignalFd,
    listener: UnixListener,
    /// The first process of a shared pid namespace.
    init: Option<i32>,
    containers: Vec<Container>,
    execs: Vec<Exec>,
    connections: Vec<Option<UnixStream>>,
    watchers: Vec<UnixStream>,
    done: bool,
}

impl Server {
    pub fn new(
        config: ShimConfig,
        layout: Layout,
        alone: SingleThread,
        signals: SignalFd,
        listener: UnixListener,
        init: Option<i32>,
    ) -> Self {
        Self {
            config,
            layout,
            alone,
            signals,
            listener,
            init,
            containers: Vec::new(),
            execs: Vec::new(),
            connections: Vec::new(),
            watchers: Vec::new(),
            done: false,
        }
    }

    /// Serves until told to end.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.done {
            for (source, flags) in self.wait()? {
                self.handle(source, flags);
            }
            self.tidy();
        }
        // Whatever is left in the way of a new shim.
        match std::fs::remove_file(&self.config.socket) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let sources = self.sources();
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = sources.iter().zip(&fds).map(|((source, ..), fd)| (*source, fd.revents()));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn sources(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut out = vec![
            (Source::Signals, self.signals.as_fd(), PollFlags::IN),
            (Source::Listener, self.listener.as_fd(), PollFlags::IN),
        ];
        let mut add = |source, fd, flags| out.push((source, fd, flags));
        for (i, socket) in self.connections.iter().flatten().enumerate() {
            add(Source::Connection(i), socket.as_fd(), PollFlags::IN);
        }
        for (i, socket) in self.watchers.iter().enumerate() {
            add(Source::Watcher(i), socket.as_fd(), PollFlags::IN);
        }
        for (i, container) in self.containers.iter().enumerate() {
            if let Some((reports, _)) = &container.starting {
                add(Source::Starting(i), reports.as_fd(), PollFlags::IN);
            }
            let streams =
                [(Stream::Stdout, &container.streams.stdout), (Stream::Stderr, &container.streams.stderr)];
            for (stream, fd) in streams {
                if let Some(fd) = fd.as_ref().filter(|_| container.wants_output()) {
                    add(Source::Output(i, stream), fd.as_fd(), PollFlags::IN);
                }
            }
            if let Some(fd) = container.stdin_to_write() {
                add(Source::Input(i), fd, PollFlags::OUT);
            }
            for (p, peer) in container.attached.iter().enumerate() {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, peer.stdin && container.wants_input());
                flags.set(PollFlags::OUT, !peer.backlog.is_empty());
                add(Source::Peer(i, p), peer.socket.as_fd(), flags);
            }
        }
        for (i, exec) in self.execs.iter().enumerate() {
            if let Some(reports) = &exec.reports {
                add(Source::ExecReports(i), reports.as_fd(), PollFlags::IN);
            } else if let Some(peer) = &exec.peer {
                add(Source::ExecPeer(i), peer.as_fd(), PollFlags::IN);
            }
        }
        out
    }

    /// Handlers never remove from the lists that sources index; [`Server::tidy`] does that after the round.
    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Signals => self.reap(),
            Source::Listener => self.accept(),
            Source::Connection(i) => self.request(i),
            // A watcher never speaks: what arrives is its end.
            Source::Watcher(i) => drop(self.watchers[i].shutdown(std::net::Shutdown::Both)),
            Source::Starting(i) => self.containers[i].take_reports(),
            Source::Output(i, stream) => drop(self.containers[i].read(stream)),
            Source::Input(i) => self.containers[i].write_input(),
            Source::Peer(i, p) => self.peer(i, p, flags),
            Source::ExecReports(i) => self.execs[i].take_reports(),
            Source::ExecPeer(i) => self.execs[i].take_request(),
        }
    }

    fn tidy(&mut self) {
        for container in &mut self.containers {
            let over = !container.is_alive();
            container.attached.retain(|peer| !(peer.gone || over && peer.backlog.is_empty()));
        }
        self.containers.retain(|container| !container.forgotten);
        self.connections.retain(Option::is_some);
        self.execs.retain(|exec| !exec.ended);
        // A shut down socket reads as ended; the list is short, so asking each is cheap.
        self.watchers.retain(|socket| !is_closed(socket));
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            let ready = socket
                .set_nonblocking(false)
                .and_then(|()| socket.set_read_timeout(Some(PATIENCE)))
                .and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
            if ready.is_ok() {
                self.connections.push(Some(socket));
            }
        }
    }

    fn request(&mut self, index: usize) {
        // Its place is kept until the end of the round, so that other indices stay right.
        let Some(socket) = self.connections[index].take() else { return };
        match wire::receive::<Request>(&socket) {
            Ok(Some((request, descriptors))) => self.carry_out(request, descriptors, socket),
            Ok(None) => {}
            Err(error) => wire::tell(io::stderr(), &format!("bad request: {error}")),
        }
        sys::trim_heap();
    }

    fn carry_out(&mut self, request: Request, descriptors: Vec<OwnedFd>, socket: UnixStream) {
        match request {
            Request::Start { spec } => self.start(&spec, socket),
            Request::Exec { container, process } => self.exec(&container, &process, descriptors, socket),
            Request::SignalExec { .. } => wire::answer(&socket, &Reply::NotFound),
            Request::Watch => self.watch(socket),
            Request::Shutdown => self.shutdown(&socket),
            Request::Attach { container, stdin } => self.attach(&container, stdin, socket),
            Request::Forget { container } => self.on(&container, &socket, |c, _| {
                c.forgotten = !c.is_alive();
                if c.forgotten { Ok(()) } else { Err(io::Error::other("the container still runs")) }
            }),
            Request::Signal { container, signal, all } => self.on(&container, &socket, |c, layout| {
                if all {
                    return Cgroup::new(layout, &c.cgroup_path).kill().map(drop);
                }
                c.run.pid.map_or(Ok(()), |pid| sys::kill(pid, signal))
            }),
            Request::Resize { container, width, height } => {
                self.on(&container, &socket, |c, _| c.resize(width, height));
            }
            Request::ReopenLog { container } => self.on(&container, &socket, |c, _| c.reopen_log()),
        }
    }

    /// Does something with a container and answers with the result.
    fn on(
        &mut self,
        id: &str,
        socket: &UnixStream,
        action: impl FnOnce(&mut Container, &Layout) -> io::Result<()>,
    ) {
        let reply = match self.containers.iter_mut().find(|c| c.id == id) {
            None => Reply::NotFound,
            Some(container) => match action(container, &self.layout) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed(error.to_string()),
            },
        };
        wire::answer(socket, &reply);
    }

    fn start(&mut self, spec: &ContainerSpec, socket: UnixStream) {
        if self.containers.iter().any(|c| c.id == spec.id) {
            return wire::answer(&socket, &Reply::Failed("the container was started before".into()));
        }
        let mut container = match Container::new(spec) {
            Ok(container) => container,
            Err(error) => {
                return wire::answer(
                    &socket,
                    &Reply::Failed(format!("could not open the log file: {error}")),
                );
            }
        };
        match self.launch(spec) {
            Ok(launched) => {
                container.run.pid = Some(launched.pid);
                container.streams = launched.streams;
                container.starting = Some((launched.reports, socket));
            }
            Err(why) => {
                container.record_start_error(&why);
                wire::answer(&socket, &Reply::Failed(why));
                self.remove_cgroup(&spec.cgroup_path);
            }
        }
        self.containers.push(container);
    }

    fn launch(&self, spec: &ContainerSpec) -> Result<Launched, String> {
        let join = match &spec.pid_namespace {
            PidNamespace::Own | PidNamespace::Node => None,
            PidNamespace::Pod => Some(self.init.ok_or("the sandbox shares no pid namespace")?),
            PidNamespace::Container(id) => {
                let target = self.containers.iter().find(|c| c.id == *id).and_then(|c| c.run.pid);
                Some(target.ok_or_else(|| format!("container {id} does not run"))?)
            }
        };
        launch::container(&self.context(), spec, join).map_err(|e| e.0)
    }

    fn context(&self) -> Context<'_> {
        Context { alone: &self.alone, layout: &self.layout, config: &self.config }
    }

    fn exec(&mut self, id: &str, process: &Process, descriptors: Vec<OwnedFd>, socket: UnixStream) {
        let Some(container) = self.containers.iter().find(|c| c.id == id) else {
            return wire::answer(&socket, &Reply::NotFound);
        };
        let Some(target) = container.run.pid.filter(|_| container.starting.is_none()) else {
            return wire::answer(&socket, &Reply::Failed("the container does not run".into()));
        };
        let stdio = <[OwnedFd; 3]>::try_from(descriptors).ok();
        match launch::exec(&self.context(), target, &container.cgroup_path, process, stdio) {
            Ok(launched) => self.execs.push(Exec {
                pid: launched.pid,
                peer: Some(socket),
                reports: Some(launched.reports),
                run: ContainerRun { pid: Some(launched.pid), ..Default::default() },
                terminal: None,
                ended: false,
            }),
            Err(error) => wire::answer(&socket, &Reply::Failed(error.0)),
        }
    }

    fn attach(&mut self, id: &str, stdin: bool, socket: UnixStream) {
        let Some(container) = self.containers.iter_mut().find(|c| c.id == id) else {
            return wire::answer(&socket, &Reply::NotFound);
        };
        if !container.is_alive() {
            return wire::answer(&socket, &Reply::Failed("the container does not run".into()));
        }
        wire::answer(&socket, &Reply::Done);
        // Failing here means that the peer is gone.
        let _ = container.attach(socket, stdin);
    }

    fn watch(&mut self, socket: UnixStream) {
        let status = self.containers.iter().map(|c| (c.id.clone(), c.run.clone())).collect();
        wire::answer(&socket, &Reply::Status(status));
        self.watchers.push(socket);
    }

    fn shutdown(&mut self, socket: &UnixStream) {
        if self.containers.iter().any(Container::is_alive) {
            return wire::answer(socket, &Reply::Failed("a container still runs".into()));
        }
        wire::answer(socket, &Reply::Done);
        self.done = true;
    }

    fn peer(&mut self, container: usize, peer: usize, flags: PollFlags) {
        let container = &mut self.containers[container];
        if flags.intersects(PollFlags::OUT) {
            container.attached[peer].flush();
        }
        if flags.intersects(PollFlags::IN) {
            container.read_input(peer);
        } else if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            container.attached[peer].gone = true;
        }
    }

    fn reap(&mut self) {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let (pid, code) = (pid.as_raw_nonzero().get(), exit_code(status));
            if let Some(index) = self.containers.iter().position(|c| c.run.pid == Some(pid)) {
                self.container_ended(index, code);
            } else if let Some(exec) = self.execs.iter_mut().find(|e| e.pid == pid) {
                exec.end(code);
            }
        }
    }

    fn container_ended(&mut self, index: usize, code: i32) {
        let container = &mut self.containers[index];
        let cgroup = Cgroup::new(&self.layout, &container.cgroup_path);
        if !container.owns_pids
            && let Err(error) = cgroup.kill()
        {
            wire::tell(io::stderr(), &format!("could not kill what is left of {}: {error}", container.id));
        }
        let oom_killed = cgroup.oom_kills() > 0;
        container.ended(code, oom_killed);
        let news = Reply::ContainerExited(container.id.clone(), container.run.clone());
        let path = container.cgroup_path.clone();
        for watcher in &self.watchers {
            wire::answer(watcher, &news);
        }
        self.remove_cgroup(&path);
    }

    /// A cgroup that is still busy with dying processes is left to the runtime, which removes it with the container.
    fn remove_cgroup(&self, path: &str) {
        let _ = Cgroup::new(&self.layout, path).remove();
    }
}

impl Exec {
    fn take_reports(&mut self) {
        while let Some(reports) = &self.reports {
            match next_report(reports.as_fd()) {
                Ok(None) => return,
                Ok(Some(Report::Identity(identity, terminal))) => {
                    self.run.identity = identity;
                    self.terminal = terminal;
                }
                Ok(Some(Report::Running)) => self.started(),
                Ok(Some(Report::Failed(why))) => self.failed(&why),
                Err(error) => self.failed(&error.to_string()),
            }
        }
    }

    fn started(&mut self) {
        self.reports = None;
        let terminal = self.terminal.take();
        let descriptor = terminal.as_ref().map(AsFd::as_fd);
        if let Some(peer) = &self.peer
            && wire::send(peer, &Reply::Started(self.run.clone()), descriptor.as_slice()).is_err()
        {
            self.peer = None;
        }
    }

    fn failed(&mut self, why: &str) {
        self.reports = None;
        if let Some(peer) = self.peer.take() {
            wire::answer(&peer, &Reply::Failed(why.to_owned()));
        }
    }

    fn take_request(&mut self) {
        let Some(peer) = &self.peer else { return };
        match wire::receive::<Request>(peer) {
            // Already ended is fine.
            Ok(Some((Request::SignalExec { signal }, _))) => drop(sys::kill(self.pid, signal)),
            Ok(Some(_)) => {}
            // The process goes on without anybody to tell, as under other runtimes.
            Ok(None) | Err(_) => self.peer = None,
        }
    }

    fn end(&mut self, code: i32) {
        self.take_reports();
        self.ended = true;
        if let Some(peer) = self.peer.take() {
            wire::answer(&peer, &Reply::Exited(code));
        }
    }
}

fn is_closed(socket: &UnixStream) -> bool {
    let mut byte = [0u8];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    matches!(rustix::net::recv(socket, &mut byte, flags), Ok((_, 0)))
}

/// Exit status as shells count it.
fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or_default())
}
