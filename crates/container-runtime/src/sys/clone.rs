//! `clone3(2)` used as a fork with new namespaces and, where wanted, a cgroup to start in.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{check, exit_now};

/// The crate's constant is too narrow for its value.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Witness that the process has one thread, so that a forked child may allocate and lock as it likes.
#[derive(Debug)]
pub struct SingleThread(());

impl SingleThread {
    /// Looks at the process; fails when it has a second thread.
    pub fn witness() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Self(())),
            n => Err(io::Error::other(format!("the process has {n} threads, not one"))),
        }
    }
}

/// Runs `child` in a new process with the given `CLONE_NEW*` flags and returns its pid in our pid namespace.
/// The child starts in `cgroup` (a directory of cgroup v2) if given, and ends with the code `child` returns.
pub fn clone_process(
    _alone: &SingleThread,
    flags: i32,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> io::Result<i32> {
    // SAFETY: `clone_args` is plain data, for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags as u32 as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of our memory and goes on on the same
    // stack. There is one thread (witnessed), so no lock can be held by a thread that the child lacks.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &args as *const libc::clone_args, size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        // A panic must not unwind into the parent's frames, copied though they are.
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(255);
        exit_now(code);
    }
    Ok(pid as i32)
}
