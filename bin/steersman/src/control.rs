//! The control socket: what a running cluster does for its own command line beyond the API and CRI. One JSON request
//! a connection, one JSON answer.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use steersman_image::{ImageName, ImageStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What can be asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Import the images of an archive that the server can read.
    Import {
        /// Absolute path of the archive.
        path: PathBuf,
        /// Name for an only image that has none.
        name: Option<String>,
    },
}

/// What is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Response {
    /// The names of the imported images; the id of one without a name.
    Imported(Vec<String>),
    /// It was not done.
    Failed(String),
}

/// Requests are short.
const MAX_REQUEST: u64 = 64 << 10;

/// Answers requests on `socket` until `stop`. Only root can connect.
pub async fn serve(socket: &Path, images: Arc<ImageStore>, stop: CancellationToken) -> Result<()> {
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("could not remove the old socket {}", socket.display()));
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("could not listen on {}", socket.display()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("the control socket failed")?;
                connections.spawn(answer(stream, images.clone()));
            }
            Some(ended) = connections.join_next() => {
                if let Ok(Err(error)) = ended {
                    tracing::debug!(%error, "a control connection broke");
                }
            }
        }
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn answer(stream: UnixStream, images: Arc<ImageStore>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_REQUEST)).read_line(&mut line).await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => handle(request, images).await,
        Err(error) => Response::Failed(format!("not a request: {error}")),
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    Ok(())
}

async fn handle(request: Request, images: Arc<ImageStore>) -> Response {
    let Request::Import { path, name } = request;
    let imported = tokio::task::spawn_blocking(move || import(&images, &path, name.as_deref())).await;
    match imported.context("the import panicked").and_then(|imported| imported) {
        Ok(names) => Response::Imported(names),
        Err(error) => Response::Failed(format!("{error:#}")),
    }
}

/// Imports an archive; gives the names of its images.
pub fn import(images: &ImageStore, path: &Path, name: Option<&str>) -> Result<Vec<String>> {
    let name = name.map(str::parse::<ImageName>).transpose()?;
    let imported = images.import(path, name.as_ref())?;
    let named = imported.into_iter().map(|image| match image.tags.is_empty() {
        true => image.id.to_string(),
        false => image.tags.join(", "),
    });
    Ok(named.collect())
}

/// Sends one request to the cluster that listens on `socket`.
pub async fn call(socket: &Path, request: &Request) -> Result<Response> {
    let mut stream = UnixStream::connect(socket).await.with_context(|| {
        format!("no cluster listens on {}; start one with: steersman up", socket.display())
    })?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.is_empty() {
        bail!("the cluster closed the connection without an answer; its log says why");
    }
    serde_json::from_str(&answer).context("the cluster's answer cannot be read")
}
