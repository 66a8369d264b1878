//! One container as the shim holds it: its process, its streams, its log, who is attached.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;

use super::launch::{Report, Streams, next_report};
use super::log::{Log, Stream};
use super::now_ns;
use super::wire::{self, Reply};
use crate::spec::{ContainerRun, ContainerSpec, Exit, PidNamespace};

/// An attached peer this far behind makes the container wait, as a slow terminal would.
const ATTACH_BACKLOG: usize = 256 * 1024;

/// Input that the container has not taken yet, before more is asked for.
const STDIN_BACKLOG: usize = 64 * 1024;

/// Exit code of a container that could not be started.
pub const START_ERROR: i32 = 128;

pub struct Container {
    pub id: String,
    pub cgroup_path: String,
    pub owns_pids: bool,
    pub run: ContainerRun,
    pub streams: Streams,
    pub attached: Vec<Attached>,
    /// While it starts: the child's reports, and who asked.
    pub starting: Option<(OwnedFd, UnixStream)>,
    pub terminal: bool,
    /// To be dropped at the end of the round.
    pub forgotten: bool,
    stdin_once: bool,
    stdin_buffer: Vec<u8>,
    log: Log,
    state_file: std::path::PathBuf,
}

/// Someone who joined a container's output.
pub struct Attached {
    pub socket: UnixStream,
    pub stdin: bool,
    pub backlog: Vec<u8>,
    pub gone: bool,
}

impl Container {
    pub fn new(spec: &ContainerSpec) -> io::Result<Self> {
        Ok(Self {
            id: spec.id.clone(),
            cgroup_path: spec.cgroup_path.clone(),
            owns_pids: spec.pid_namespace == PidNamespace::Own,
            run: ContainerRun::default(),
            streams: Streams::default(),
            attached: Vec::new(),
            starting: None,
            terminal: spec.process.terminal,
            forgotten: false,
            stdin_once: spec.io.stdin_once,
            stdin_buffer: Vec::new(),
            log: Log::open(spec.io.log_file.as_deref())?,
            state_file: spec.state_file.clone(),
        })
    }

    pub fn is_alive(&self) -> bool {
        self.run.pid.is_some()
    }

    /// Takes the child's reports until there is no more for now. Whoever asked for the start is answered at the end.
    pub fn take_reports(&mut self) {
        while let Some((reports, _)) = &self.starting {
            let report = match next_report(reports.as_fd()) {
                Ok(None) => return,
                Ok(Some(report)) => report,
                Err(error) => Report::Failed(error.to_string()),
            };
            match report {
                Report::Identity(identity, master) => {
                    self.run.identity = identity;
                    if master.is_some() {
                        self.streams.stdout = master;
                    }
                }
                Report::Running => self.started(),
                Report::Failed(why) => self.start_failed(why),
            }
        }
    }

    fn started(&mut self) {
        self.run.started_at = now_ns();
        self.save();
        if let Some((_, asked)) = self.starting.take() {
            wire::answer(&asked, &Reply::Started(self.run.clone()));
        }
    }

    fn start_failed(&mut self, why: String) {
        self.record_start_error(&why);
        if let Some((_, asked)) = self.starting.take() {
            wire::answer(&asked, &Reply::Failed(why));
        }
    }

    /// Writes down that it never ran.
    pub fn record_start_error(&mut self, why: &str) {
        self.run.exit = Some(Exit {
            code: START_ERROR,
            finished_at: now_ns(),
            oom_killed: false,
            start_error: Some(why.to_owned()),
        });
        self.save();
    }

    /// Its main process has ended and nothing of it runs any more: takes the last output and writes down the end.
    pub fn ended(&mut self, code: i32, oom_killed: bool) {
        self.take_reports();
        self.run.pid = None;
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.read(stream) == Some(true) {}
            self.log.finish(stream, now_ns());
        }
        self.streams = Streams::default();
        if self.run.exit.is_none() {
            self.run.exit = Some(Exit { code, finished_at: now_ns(), oom_killed, start_error: None });
        }
        self.save();
    }

    /// Reads once from a stream into log and peers. `Some(true)`: there was something; `None`: it has ended.
    pub fn read(&mut self, stream: Stream) -> Option<bool> {
        let slot = match stream {
            Stream::Stdout => &mut self.streams.stdout,
            Stream::Stderr => &mut self.streams.stderr,
        };
        let mut buffer = [0u8; 16 * 1024];
        match rustix::io::read(slot.as_ref()?, &mut buffer) {
            Ok(0) => *slot = None,
            Ok(length) => {
                self.output(stream, &buffer[..length]);
                return Some(true);
            }
            Err(Errno::AGAIN | Errno::INTR) => return Some(false),
            // A terminal nobody has open any more says EIO. Before anybody has, it says nothing.
            Err(_) => *slot = None,
        }
        None
    }

    fn output(&mut self, stream: Stream, data: &[u8]) {
        self.log.write(stream, data, now_ns());
        for peer in &mut self.attached {
            wire::push_frame(&mut peer.backlog, stream as u8 + 1, data);
            peer.flush();
        }
    }

    /// Whether output should be read: not while a peer is too far behind.
    pub fn wants_output(&self) -> bool {
        self.attached.iter().all(|peer| peer.backlog.len() < ATTACH_BACKLOG)
    }

    /// Whether input should be read from peers.
    pub fn wants_input(&self) -> bool {
        self.stdin_buffer.len() < STDIN_BACKLOG
    }

    /// Where input goes, while some waits to be written.
    pub fn stdin_to_write(&self) -> Option<BorrowedFd<'_>> {
        if self.stdin_buffer.is_empty() { None } else { self.stdin_end() }
    }

    fn stdin_end(&self) -> Option<BorrowedFd<'_>> {
        let end = if self.terminal { &self.streams.stdout } else { &self.streams.stdin };
        end.as_ref().map(AsFd::as_fd)
    }

    /// Reads input of peer `index`, and passes on what the container takes.
    pub fn read_input(&mut self, index: usize) {
        let peer = &mut self.attached[index];
        let mut buffer = [0u8; 16 * 1024];
        match rustix::io::read(&peer.socket, &mut buffer) {
            Ok(0) => self.input_ended(index),
            Ok(length) if peer.stdin => {
                self.stdin_buffer.extend(&buffer[..length]);
                self.write_input();
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => peer.gone = true,
        }
    }

    fn input_ended(&mut self, index: usize) {
        let peer = &mut self.attached[index];
        if !peer.stdin {
            peer.gone = true;
            return;
        }
        // Half-closed: output still goes there. A peer that is wholly gone shows when it is written to.
        peer.stdin = false;
        if self.stdin_once && !self.terminal {
            self.write_input();
            self.streams.stdin = None;
        }
    }

    /// Writes what waits for the container's standard input.
    pub fn write_input(&mut self) {
        while let Some(end) = self.stdin_to_write() {
            match rustix::io::write(end, &self.stdin_buffer) {
                Ok(written) => drop(self.stdin_buffer.drain(..written)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.streams.stdin = None;
                    self.stdin_buffer.clear();
                }
            }
        }
    }

    pub fn attach(&mut self, socket: UnixStream, stdin: bool) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        self.attached.push(Attached { socket, stdin, backlog: Vec::new(), gone: false });
        Ok(())
    }

    pub fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let Some(master) = self.streams.stdout.as_ref().filter(|_| self.terminal) else { return Ok(()) };
        let size = rustix::termios::Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(master, size)?)
    }

    pub fn reopen_log(&mut self) -> io::Result<()> {
        self.log.reopen()
    }

    /// Writes the state file. If the disk is full the runtime still hears of it from us, while we live.
    fn save(&self) {
        if let Err(error) = write_atomically(&self.state_file, &self.run) {
            wire::tell(io::stderr(), &format!("could not write {}: {error}", self.state_file.display()));
        }
    }
}

impl Attached {
    /// Sends what the peer takes now.
    pub fn flush(&mut self) {
        while !self.backlog.is_empty() {
            match rustix::net::send(&self.socket, &self.backlog, rustix::net::SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.backlog.drain(..sent)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.gone = true;
                    self.backlog.clear();
                }
            }
        }
    }
}

fn write_atomically(path: &Path, run: &ContainerRun) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(run)?)?;
    fs::rename(fresh, path)
}
