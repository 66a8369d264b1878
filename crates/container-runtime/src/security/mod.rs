//! What a container may do: capabilities and system calls. Pure tables and a small compiler.

pub mod capabilities;
pub mod seccomp;
mod syscalls;
