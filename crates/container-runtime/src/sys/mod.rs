//! System calls that neither `rustix` nor `nix` wraps. The only place of this crate with `unsafe`.
//!
//! Everything here promises the same as the manual page of the call; no policy.
#![allow(unsafe_code)] // Raw system calls; each block says why it holds.

mod bpf;
mod clone;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub use bpf::{BpfInsn, attach_device_filter};
pub use clone::{SingleThread, clone_process};

/// The attributes that `mount_setattr(2)` sets on a mount, recursively if asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct MountAttributes {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, or 0 to leave the propagation as it is.
    pub propagation: u64,
    /// Whether mounts below are changed too.
    pub recursive: bool,
}

/// `mount_setattr(2)` on the mount that `mount` refers to.
pub fn mount_setattr(mount: impl AsFd, attributes: MountAttributes) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: attributes.set,
        attr_clr: 0,
        propagation: attributes.propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if attributes.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, `attr` outlives the call and its size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attr as *const libc::mount_attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Sends signal `number` to `pid`. `rustix` and `nix` know no real-time signals.
pub fn kill(pid: i32, number: i32) -> io::Result<()> {
    // SAFETY: kill(2) touches no memory of ours.
    check(unsafe { libc::kill(pid, number) }.into()).map(drop)
}

/// Installs a seccomp filter for the calling thread.
pub fn install_seccomp(program: &[libc::sock_filter], log: bool) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let flags = if log { libc::SECCOMP_FILTER_FLAG_LOG } else { 0 };
    // SAFETY: `fprog` points at `len` instructions that outlive the call; the kernel copies and verifies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &fprog as *const libc::sock_fprog,
        )
    };
    check(result).map(drop)
}

/// Brings the link `lo` up in the calling thread's network namespace.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: `ifreq` is plain data, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) }.into()).map(drop)
}

/// Marks every descriptor from `first` up close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed, so no owned descriptor becomes invalid.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Closes every descriptor from 3 up: what whoever started us left open by mistake.
pub fn close_inherited(_alone: &SingleThread) {
    // SAFETY: called before the process opens anything (the witness's own directory is closed again), so that nobody
    // owns what is closed here.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
    }
}

/// Makes `fd` the process's descriptor `target` (0, 1 or 2), kept across exec.
pub fn become_stdio(fd: BorrowedFd<'_>, target: i32) -> io::Result<()> {
    // SAFETY: descriptors 0 to 2 are owned by nobody in this process: std's handles refer to them by number.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) }.into())?;
    if fd.as_raw_fd() == target {
        // SAFETY: as above; dup2 onto itself leaves the close-on-exec flag, which must go.
        check(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }.into())?;
    }
    Ok(())
}

/// Gives memory that the allocator holds but does not use back to the kernel.
pub fn trim_heap() {
    // SAFETY: malloc_trim(3) only releases free memory.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps the allocator from holding memory in reserve; for processes of which there is one per pod.
pub fn thrifty_heap() {
    // SAFETY: mallopt(3) only sets parameters.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, 4096);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 4096);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
    }
}

/// Forks, and ends the parent with exit code 0: the child carries on, adopted by whoever adopts orphans.
pub fn detach_from_parent(_alone: &SingleThread) -> io::Result<()> {
    // SAFETY: the process has one thread (witnessed by `SingleThread`), so the child may do anything.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(()),
        // SAFETY: ends the process without running exit handlers, which are the child's now.
        _ => unsafe { libc::_exit(0) },
    }
}

/// Sets the calling process's score for the out-of-memory killer. Without `CAP_SYS_RESOURCE`, as on a machine that is a
/// container itself, a lower score than the inherited one cannot be had; then the inherited one stays.
pub fn set_oom_score(score: i32) -> io::Result<()> {
    match std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        written => written,
    }
}

/// Undoes what Rust's start-up does, as a program expects SIGPIPE to end it.
pub fn default_sigpipe() {
    // SAFETY: SIG_DFL installs no handler of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Ends the process at once, without running exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// `execve(2)`; returns only when it failed.
pub fn execve(path: &CStr, args: &[std::ffi::CString], env: &[std::ffi::CString]) -> io::Error {
    match nix::unistd::execve(path, args, env) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Registers a descriptor with the async runtime.
pub fn register(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` keeps its descriptor open and never changes it, as the call demands.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(fd) }?)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes ownership of a descriptor that a system call has just returned.
fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let raw = check(result)?;
    // SAFETY: only called with the result of a call that returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
}
