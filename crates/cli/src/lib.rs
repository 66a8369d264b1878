//! What people call: the demo application and the state of a cluster at a glance. Plain functions; the command line
//! itself is defined in the binary.

pub mod demo;
pub mod status;
