//! Connecting to a runtime over its unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::client::{ImageServiceClient, RuntimeServiceClient};

/// Largest message either side takes, in bytes; the value every CRI client and runtime uses.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a runtime could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("could not connect to the container runtime at {}", socket.display())]
pub struct ConnectError {
    /// The socket that was tried.
    pub socket: PathBuf,
    source: tonic::transport::Error,
}

/// Connects to the runtime that listens on `socket`. Both clients share one HTTP/2 connection, which is made anew
/// by itself when it breaks, so that a restarted runtime needs no new client.
///
/// A leading `unix://` is taken off, since that is how endpoints are written in flags.
pub async fn connect(
    socket: impl AsRef<Path>,
) -> Result<(RuntimeServiceClient<Channel>, ImageServiceClient<Channel>), ConnectError> {
    let socket = plain_path(socket.as_ref());
    let dial = socket.clone();
    let channel = Endpoint::from_static("http://localhost")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = dial.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|source| ConnectError { socket, source })?;
    let runtime = RuntimeServiceClient::new(channel.clone())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let image = ImageServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Ok((runtime, image))
}

fn plain_path(endpoint: &Path) -> PathBuf {
    match endpoint.to_str().and_then(|s| s.strip_prefix("unix://")) {
        Some(path) => PathBuf::from(path),
        None => endpoint.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_may_be_written_as_urls() {
        for (endpoint, path) in [("/run/x.sock", "/run/x.sock"), ("unix:///run/x.sock", "/run/x.sock")] {
            assert_eq!(plain_path(Path::new(endpoint)), Path::new(path));
        }
    }

    #[tokio::test]
    async fn a_missing_socket_is_named_in_the_error() {
        let error = connect("/nonexistent/steersman.sock").await.expect_err("nothing listens there");
        assert!(error.to_string().contains("/nonexistent/steersman.sock"), "{error}");
    }
}
