//! Loading and attaching the eBPF program with which cgroup v2 decides on device access.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::{check, owned};

/// One eBPF instruction, as the kernel reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInsn {
    /// Class, operation and source.
    pub code: u8,
    /// Destination register (low half) and source register (high half).
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Constant operand.
    pub immediate: i32,
}

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is not passed as zero.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads `program` and attaches it to the cgroup v2 directory `cgroup`. It lives as long as the cgroup does.
pub fn attach_device_filter(cgroup: impl AsFd, program: &[BpfInsn]) -> io::Result<()> {
    let load = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    // SAFETY: `load` and what it points at outlive the call; the kernel copies and verifies the program.
    let program = owned(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &load as *const LoadAttr, size_of::<LoadAttr>())
    })?;
    let attach = AttachAttr {
        target_fd: cgroup.as_fd().as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attach` outlives the call, and both descriptors are open.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &attach as *const AttachAttr, size_of::<AttachAttr>())
    })
    .map(drop)
}
