//! Exec, attach and port-forward streams, as the server end of a container runtime speaks them: several byte streams
//! over one upgraded HTTP connection.
//!
//! ```text
//!  kubectl ──GET,  Upgrade: websocket──▶ channels: first byte of a message names the stream   (websocket)
//!          ──POST, Upgrade: SPDY/3.1───▶ SPDY streams, named by their headers                 (spdy)
//!          ──port-forward──────────────▶ SPDY frames inside WebSocket messages                (tunnel)
//! ```
//! [`negotiate`] answers the HTTP request and chooses the protocol; [`remote_command`] and [`port_forward`] then run
//! it on the upgraded connection. What a stream is connected to (a process, a socket) is the caller's.

mod io;
mod port_forward;
mod remote_command;
mod spdy;
mod status;
mod upgrade;
mod websocket;

pub use io::{Closed, Input, Output};
pub use port_forward::port_forward;
pub use remote_command::{Resizes, Session, TerminalSize, Wanted, remote_command};
pub use status::Outcome;
pub use upgrade::{Negotiated, Purpose, Rejection, negotiate};

/// Why a stream connection ended early.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// The peer broke the protocol.
    #[error("the peer broke the {protocol} protocol: {what}")]
    Protocol {
        /// `SPDY` or `WebSocket`.
        protocol: &'static str,
        /// What it did.
        what: String,
    },
    /// The peer did not open its streams in time.
    #[error("the client did not open the expected streams within {} s", remote_command::STREAMS_TIMEOUT.as_secs())]
    StreamsMissing,
}

impl StreamError {
    pub(crate) fn spdy(what: impl Into<String>) -> Self {
        Self::Protocol { protocol: "SPDY", what: what.into() }
    }

    pub(crate) fn websocket(what: impl ToString) -> Self {
        Self::Protocol { protocol: "WebSocket", what: what.to_string() }
    }
}
