//! Cloning the process that becomes a container, or a further process in one.
//!
//! The child reports through a socket pair that closes on exec: `I` and who it runs as (with the terminal's descriptor,
//! if it has one), then either nothing (it became the program) or `E` and why it did not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};
use rustix::pty::OpenptFlags;

use super::ShimConfig;
use super::wire;
use crate::cgroup::{Cgroup, Layout};
use crate::init::{During, InitError, mounts, process, rootfs};
use crate::spec::{ContainerSpec, Identity, PidNamespace, Process};
use crate::sys::{self, SingleThread};

/// The namespaces a further process enters; the pid namespace takes effect with the clone.
const EXEC_NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWCGROUP);

/// What launching needs of the shim.
pub struct Context<'a> {
    pub alone: &'a SingleThread,
    pub layout: &'a Layout,
    pub config: &'a ShimConfig,
}

/// Our ends of a process's standard streams. A terminal has only `stdout`, which reads and writes; it arrives later.
#[derive(Default)]
pub struct Streams {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

/// A child under way.
pub struct Launched {
    pub pid: i32,
    /// The child's reports.
    pub reports: OwnedFd,
    pub streams: Streams,
}

/// A report of a child.
pub enum Report {
    /// Who it runs as, and the master side of its terminal.
    Identity(Identity, Option<OwnedFd>),
    /// Why it failed.
    Failed(String),
    /// It became the program.
    Running,
}

/// Reads the next report; `None` when there is none yet.
pub fn next_report(reports: BorrowedFd<'_>) -> io::Result<Option<Report>> {
    let (mut buffer, mut descriptors) = (vec![0; 64 * 1024], Vec::new());
    let length = match wire::receive_some(reports, &mut buffer, &mut descriptors) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        received => received?,
    };
    let body = buffer.get(1..length).unwrap_or_default();
    Ok(Some(match buffer[..length].first() {
        Some(b'I') => Report::Identity(serde_json::from_slice(body)?, descriptors.pop()),
        Some(_) => Report::Failed(String::from_utf8_lossy(body).into_owned()),
        None => Report::Running,
    }))
}

/// The child's side of the socket pair.
struct Reporter(OwnedFd);

impl Reporter {
    fn send(&self, kind: u8, body: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let message = [&[kind], body].concat();
        wire::send_packet(self.0.as_fd(), &message, descriptor.as_slice())
    }
}

/// Starts a container. `join` is a process whose pid namespace it shares.
pub fn container(
    context: &Context<'_>,
    spec: &ContainerSpec,
    join: Option<i32>,
) -> Result<Launched, InitError> {
    let cgroup = Cgroup::new(context.layout, &spec.cgroup_path);
    cgroup.create().during("unable to apply cgroup configuration")?;
    cgroup.apply(&spec.resources).during("unable to apply cgroup configuration")?;
    cgroup.apply_device_rules(&spec.device_rules).during("unable to apply device rules")?;
    let mut flags = libc::CLONE_NEWNS;
    if spec.pid_namespace == PidNamespace::Own {
        flags |= libc::CLONE_NEWPID;
    }
    let stdin = spec.io.stdin;
    launch(context, &cgroup, flags, join, spec.process.terminal, stdin, None, |reporter, stdio| {
        let ready = container_setup(context, spec, &cgroup, reporter, stdio)?;
        Ok(ready.exec())
    })
}

/// Starts a further process in the container whose main process is `target`, on `stdio` or on a terminal.
pub fn exec(
    context: &Context<'_>,
    target: i32,
    cgroup_path: &str,
    process: &Process,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<Launched, InitError> {
    let cgroup = Cgroup::new(context.layout, cgroup_path);
    let target_fd = open_process(target).during("could not open the container's process")?;
    launch(context, &cgroup, 0, Some(target), process.terminal, false, stdio, |reporter, stdio| {
        let ready = exec_setup(&cgroup, &target_fd, process, reporter, stdio)?;
        Ok(ready.exec())
    })
}

fn open_process(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// The child's ends of its standard streams; `None` for a terminal, which does not exist yet.
type Stdio = Option<[OwnedFd; 3]>;

#[allow(clippy::too_many_arguments)] // One call site a kind of process; a struct would only be unpacked again.
fn launch(
    context: &Context<'_>,
    cgroup: &Cgroup<'_>,
    flags: i32,
    join: Option<i32>,
    terminal: bool,
    stdin: bool,
    stdio: Stdio,
    run: impl FnOnce(&Reporter, Stdio) -> Result<String, InitError>,
) -> Result<Launched, InitError> {
    let (streams, stdio) = match stdio {
        Some(stdio) => (Streams::default(), Some(stdio)),
        None if terminal => (Streams::default(), None),
        None => {
            make_pipes(stdin).map(|(ours, theirs)| (ours, Some(theirs))).during("could not make pipes")?
        }
    };
    let (reports, reporter) = report_pair().during("could not make a socket pair")?;
    let v2 = cgroup.v2_directory().during("could not open the cgroup")?;
    let child = || match run(&Reporter(reporter), stdio) {
        // The program could not be executed after all: that is the container's own failure, told on its stderr.
        Ok(message) => {
            wire::tell(io::stderr(), &message);
            255
        }
        Err(_) => 1,
    };
    let pid = in_pid_namespace_of(join, || {
        sys::clone_process(context.alone, flags, v2.as_ref().map(AsFd::as_fd), child)
    })
    .during("could not clone")?;
    Ok(Launched { pid, reports, streams })
}

/// Runs `clone` so that its child is in the pid namespace of `target`.
fn in_pid_namespace_of(target: Option<i32>, clone: impl FnOnce() -> io::Result<i32>) -> io::Result<i32> {
    let Some(target) = target else { return clone() };
    nix::sched::setns(open_process(target)?, CloneFlags::CLONE_NEWPID)?;
    let cloned = clone();
    // Back to our own for the next one: allowed, since we never left it ourselves.
    nix::sched::setns(open_process(std::process::id() as i32)?, CloneFlags::CLONE_NEWPID)?;
    cloned
}

fn report_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

fn make_pipes(stdin: bool) -> io::Result<(Streams, [OwnedFd; 3])> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
    let (in_read, in_write) = if stdin {
        let (read, write) = pipe()?;
        rustix::io::ioctl_fionbio(&write, true)?;
        (read, Some(write))
    } else {
        (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())?, None)
    };
    for ours in [&out_read, &err_read] {
        rustix::io::ioctl_fionbio(ours, true)?;
    }
    let ours = Streams { stdin: in_write, stdout: Some(out_read), stderr: Some(err_read) };
    Ok((ours, [in_read, out_write, err_write]))
}

/// Sends why it failed, if it did, and passes the result on.
fn reporting<T>(reporter: &Reporter, result: Result<T, InitError>) -> Result<T, InitError> {
    result.inspect_err(|error| {
        // Nobody else to tell: the shim sees an exit without a reason then.
        let _ = reporter.send(b'E', error.0.as_bytes(), None);
    })
}

fn container_setup(
    context: &Context<'_>,
    spec: &ContainerSpec,
    cgroup: &Cgroup<'_>,
    reporter: &Reporter,
    stdio: Stdio,
) -> Result<process::Ready, InitError> {
    reporting(
        reporter,
        (|| {
            become_own_session(cgroup)?;
            nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).during("could not make a cgroup namespace")?;
            let filter = process::compile_filter(&spec.process)?;
            let root = rootfs::mount(spec, &context.config.staging)?;
            for mount in &spec.mounts {
                mounts::make(root.as_fd(), mount, context.layout)?;
            }
            rootfs::make_devices(root.as_fd(), &spec.devices)?;
            let terminal = spec.process.terminal.then(|| open_terminal(root.as_fd())).transpose();
            let terminal = terminal.during("could not make a terminal")?;
            if let Some(terminal) = &terminal {
                bind_console(root.as_fd(), terminal).during("could not make /dev/console")?;
            }
            rootfs::mask(root.as_fd(), &spec.masked_paths)?;
            rootfs::make_readonly(root.as_fd(), &spec.readonly_paths)?;
            rootfs::enter(root.as_fd())?;
            let identity = begin(&spec.process, reporter, stdio, terminal)?;
            if spec.readonly_rootfs {
                rootfs::make_root_readonly()?;
            }
            process::prepare(&spec.process, &identity, filter.as_ref())
        })(),
    )
}

fn exec_setup(
    cgroup: &Cgroup<'_>,
    target: &OwnedFd,
    process: &Process,
    reporter: &Reporter,
    stdio: Stdio,
) -> Result<process::Ready, InitError> {
    reporting(
        reporter,
        (|| {
            become_own_session(cgroup)?;
            let filter = process::compile_filter(process)?;
            nix::sched::setns(target, EXEC_NAMESPACES).during("could not enter the container")?;
            let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty())
                .during("could not open the root")?;
            let terminal = process.terminal.then(|| open_terminal(root.as_fd())).transpose();
            let terminal = terminal.during("could not make a terminal")?;
            let identity = begin(process, reporter, stdio, terminal)?;
            process::prepare(process, &identity, filter.as_ref())
        })(),
    )
}

/// Leaves the shim's session, signals and cgroup. Until exec, nobody in the container may look into the process, whose
/// `/proc/<pid>/exe` is the host's binary (CVE-2019-5736).
fn become_own_session(cgroup: &Cgroup<'_>) -> Result<(), InitError> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .during("could not hide the process")?;
    nix::sys::signal::SigSet::empty().thread_set_mask().during("could not unblock signals")?;
    sys::default_sigpipe();
    rustix::process::setsid().during("setsid")?;
    cgroup.join_v1().during("unable to apply cgroup configuration")
}

/// The two sides of a terminal.
struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

/// A terminal of the container's own devpts.
fn open_terminal(root: BorrowedFd<'_>) -> io::Result<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
    let master = mounts::open_in_root(root, "/dev/pts/ptmx", flags)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    Ok(Terminal { master, slave })
}

fn bind_console(root: BorrowedFd<'_>, terminal: &Terminal) -> io::Result<()> {
    use rustix::mount::OpenTreeFlags as Tree;
    let flags = Tree::OPEN_TREE_CLONE | Tree::OPEN_TREE_CLOEXEC | Tree::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&terminal.slave, "", flags)?;
    mounts::attach(tree, mounts::make_target(root, "/dev/console", false)?)
}

/// Finds out who it is, tells the shim, and takes its standard streams. The root is the container's.
fn begin(
    process: &Process,
    reporter: &Reporter,
    stdio: Stdio,
    terminal: Option<Terminal>,
) -> Result<Identity, InitError> {
    let identity = process::identify(process)?;
    let body = serde_json::to_vec(&identity).map_err(io::Error::from).during("could not report")?;
    let master = terminal.as_ref().map(|t| t.master.as_fd());
    reporter.send(b'I', &body, master).during("could not report")?;
    let ends = match (&stdio, &terminal) {
        (Some(ends), _) => [ends[0].as_fd(), ends[1].as_fd(), ends[2].as_fd()],
        (None, Some(terminal)) => [terminal.slave.as_fd(); 3],
        (None, None) => return Err(InitError("no standard streams were given".into())),
    };
    for (target, end) in ends.into_iter().enumerate() {
        // So that the user may open /dev/stdout again; devices of the host refuse, and need it not.
        let (uid, gid) = (rustix::fs::Uid::from_raw(identity.uid), rustix::fs::Gid::from_raw(identity.gid));
        let gid = terminal.is_none().then_some(gid);
        if stdio.is_none() || target > 0 {
            let _ = rustix::fs::fchown(end, Some(uid), gid);
        }
        sys::become_stdio(end, target as i32).during("could not set up standard streams")?;
    }
    if terminal.is_some() {
        rustix::process::ioctl_tiocsctty(io::stdin()).during("could not take the terminal")?;
    }
    sys::close_on_exec_from(3).during("could not close descriptors")?;
    Ok(identity)
}
