//! From a freshly started process to a shim that listens: cgroup, namespaces, signals, socket.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::ShimConfig;
use super::server::Server;
use crate::cgroup::{Cgroup, Layout};
use crate::sys::{self, SingleThread};

/// Killed for want of memory only after everything else: without it the containers' fate is unknown.
const OOM_SCORE: i32 = -998;

pub fn prepare(config: ShimConfig, alone: SingleThread) -> io::Result<Server> {
    let layout = Layout::detect()?;
    let cgroup = Cgroup::new(&layout, &config.cgroup);
    cgroup.create()?;
    cgroup.adopt(std::process::id())?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    sys::set_oom_score(OOM_SCORE)?;
    rustix::process::chdir("/")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let signals = take_signals()?;
    enter_namespaces(&config)?;
    let init = if config.shared_pids { Some(start_init(&alone)?) } else { None };
    let listener = UnixListener::bind(&config.socket)?;
    listener.set_nonblocking(true)?;
    Ok(Server::new(config, layout, alone, signals, listener, init))
}

/// Children are waited for by descriptor; what would end a process without a terminal is ignored. SIGPIPE is ignored by
/// Rust's start-up already.
fn take_signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn enter_namespaces(config: &ShimConfig) -> io::Result<()> {
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNET, config.network_namespace.is_some());
    flags.set(CloneFlags::CLONE_NEWIPC, config.ipc_namespace);
    flags.set(CloneFlags::CLONE_NEWUTS, config.hostname.is_some());
    nix::sched::unshare(flags)?;
    if let Some(name) = &config.hostname {
        rustix::system::sethostname(name.as_bytes())?;
    }
    if let Some(place) = &config.network_namespace {
        sys::loopback_up()?;
        fs::File::create(place)?;
        rustix::mount::mount_bind("/proc/self/ns/net", place)?;
    }
    for (name, value) in &config.sysctls {
        set_sysctl(name, value)?;
    }
    Ok(())
}

fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    // Both spellings are allowed, `net.ipv4.ip_forward` and `net/ipv4/ip_forward`.
    let relative = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let path = Path::new("/proc/sys").join(relative);
    fs::write(&path, value)
        .map_err(|e| io::Error::new(e.kind(), format!("could not set sysctl {name}={value}: {e}")))
}

/// The first process of a shared pid namespace: reaps what loses its parent, ends when the shim does.
fn start_init(alone: &SingleThread) -> io::Result<i32> {
    sys::clone_process(alone, libc::CLONE_NEWPID, None, || {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        let _ = rustix::thread::set_name(c"pause");
        let Ok(signals) = take_signals() else { return 1 };
        let _ = leave_stdio();
        loop {
            let mut fds = [rustix::event::PollFd::new(&signals, rustix::event::PollFlags::IN)];
            let _ = rustix::event::poll(&mut fds, None);
            while let Ok(Some(_)) = signals.read_signal() {}
            while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
        }
    })
}

/// Lets go of whoever started us. Standard error stays: it is the shim's own log.
pub fn leave_stdio() -> io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::become_stdio(null.as_fd(), 0)?;
    sys::become_stdio(null.as_fd(), 1)
}
