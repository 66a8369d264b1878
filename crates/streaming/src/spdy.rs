//! SPDY/3.1, as much of it as Kubernetes clients speak: streams that the client opens, data, pings. Flow control is
//! not used by any of them (`moby/spdystream` ignores window updates), so back-pressure is TCP's.

mod connection;
mod frame;
mod headers;

#[cfg(test)]
pub(crate) use connection::testing;
pub(crate) use connection::{Accepted, Connection};
