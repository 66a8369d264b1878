//! Byte streams over WebSocket messages: the first byte of each names the channel (`v4.channel.k8s.io` and its
//! relatives), or all messages together are one stream (the tunnel of port-forward).

mod channels;
mod tunnel;

pub(crate) use channels::Channels;
pub(crate) use tunnel::tunnel;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The largest message that is read.
const MAX_MESSAGE: usize = 4 << 20;

/// The server's end on a connection that has been upgraded already.
async fn accept<T: AsyncRead + AsyncWrite + Unpin>(io: T) -> WebSocketStream<T> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}
