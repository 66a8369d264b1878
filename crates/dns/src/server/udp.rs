//! The UDP side. Names of the cluster are answered in the loop that received the query.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::Message;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Server, Step};
use crate::message::encode;

/// How many queries are answered before other tasks get a turn.
const BURST: usize = 64;
/// The largest query; larger ones are cut off and then malformed.
const MOST_QUERY: usize = 4096;

/// Answers the queries of one socket until `stop`.
pub(super) async fn serve(
    server: Arc<Server>,
    socket: Arc<UdpSocket>,
    waiting: TaskTracker,
    stop: CancellationToken,
) {
    let mut worker = Worker { server, socket, waiting, query: vec![0; MOST_QUERY], out: Vec::new() };
    loop {
        let readable = tokio::select! {
            () = stop.cancelled() => return,
            readable = worker.socket.readable() => readable,
        };
        if let Err(error) = readable {
            tracing::error!(%error, "the socket for DNS queries failed");
            return;
        }
        worker.burst();
        tokio::task::yield_now().await;
    }
}

struct Worker {
    server: Arc<Server>,
    socket: Arc<UdpSocket>,
    waiting: TaskTracker,
    query: Vec<u8>,
    out: Vec<u8>,
}

impl Worker {
    /// Answers what has arrived, up to a limit.
    fn burst(&mut self) {
        for _ in 0..BURST {
            match self.socket.try_recv_from(&mut self.query) {
                Ok((length, client)) => self.take(length, client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An earlier answer met a closed port; that is its client's affair.
                Err(error) => tracing::debug!(%error, "could not receive a query"),
            }
        }
    }

    fn take(&mut self, length: usize, client: SocketAddr) {
        match self.server.step(&self.query[..length]) {
            Step::Ignore => {}
            Step::Send(message, limit) => send(&self.socket, &message, limit, client, &mut self.out),
            Step::Wait(pending) => {
                let (server, socket) = (self.server.clone(), self.socket.clone());
                self.waiting.spawn(async move {
                    let limit = pending.udp_limit();
                    let message = server.finish(*pending).await;
                    send(&socket, &message, limit, client, &mut Vec::new());
                });
            }
        }
    }
}

/// Sends a response. If the socket's buffer is full it is lost, as UDP messages may be: the client asks again.
fn send(socket: &UdpSocket, message: &Message, limit: u16, client: SocketAddr, out: &mut Vec<u8>) {
    if let Err(error) = encode(message, limit, out) {
        tracing::warn!(%error, "could not encode a response");
        return;
    }
    if let Err(error) = socket.try_send_to(out, client) {
        tracing::debug!(%client, %error, "could not send a response");
    }
}
