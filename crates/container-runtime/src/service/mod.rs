//! The CRI service: what is there, what is asked for, and the shims that do it.
//!
//! The runtime keeps no truth in memory that it could not find again: what sandboxes and containers are is in records
//! on disk, what became of them is known to their shims and in the state files these write. [`Runtime::start`] reads both,
//! so a killed runtime goes on where it was.

mod container;
mod events;
mod exec;
mod recover;
mod rpc;
mod sandbox;
mod state;
mod stats;
mod status;
mod stream;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use steersman_cri::server::{ImageServiceServer, RuntimeServiceServer};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;

use crate::config::RuntimeConfig;
use crate::seams::{Images, Network};
use state::Inner;

/// A container runtime that has found its sandboxes again and is ready to serve.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

/// Why the runtime could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The machine has no usable control groups.
    #[error("could not find the machine's control groups")]
    Cgroups(#[source] io::Error),
    /// A directory of its own could not be made ready.
    #[error("could not prepare {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was there before could not be read.
    #[error("could not read the runtime's records")]
    Records(#[source] io::Error),
    /// The socket could not be opened.
    #[error("could not listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server failed.
    #[error("the runtime's server failed")]
    Serve(#[source] tonic::transport::Error),
}

impl Runtime {
    /// Prepares the directories and finds again every sandbox whose shim still lives.
    pub async fn start(
        config: RuntimeConfig,
        images: Arc<dyn Images>,
        network: Arc<dyn Network>,
    ) -> Result<Self, RuntimeError> {
        let layout = crate::cgroup::Layout::detect().map_err(RuntimeError::Cgroups)?;
        prepare_directories(&config)?;
        let inner = Arc::new(Inner::new(config, layout, images, network));
        inner.recover().await.map_err(RuntimeError::Records)?;
        Ok(Self { inner })
    }

    /// Serves CRI on a unix socket, and the streams of exec, attach and port-forward on a port of the loopback address,
    /// until `stop` is cancelled. Containers go on.
    pub async fn serve(&self, socket: &Path, stop: CancellationToken) -> Result<(), RuntimeError> {
        let listen = |source| RuntimeError::Listen { path: socket.to_owned(), source };
        let listener = bind(socket).map_err(listen)?;
        let streams = stream::Server::bind(self.inner.clone()).await.map_err(listen)?;
        let limit = steersman_cri::MAX_MESSAGE_BYTES;
        let service = rpc::Service { inner: self.inner.clone() };
        let server = tonic::transport::Server::builder()
            .add_service(RuntimeServiceServer::new(service.clone()).max_decoding_message_size(limit))
            .add_service(ImageServiceServer::new(service).max_decoding_message_size(limit))
            .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async {
                stop.cancelled().await;
                self.inner.closing.cancel();
            });
        let (served, ()) = tokio::join!(
            async {
                let served = server.await;
                stop.cancel(); // one part down means the whole goes down
                served
            },
            streams.run(stop.clone())
        );
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        served.map_err(RuntimeError::Serve)
    }
}

/// A socket left by a killed runtime is in the way; one that answers belongs to somebody.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = socket.parent() {
        fs::create_dir_all(parent)?;
    }
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::remove_file(socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
    Ok(listener)
}

fn prepare_directories(config: &RuntimeConfig) -> Result<(), RuntimeError> {
    let state = ["sandboxes", "containers"].map(|name| config.state_dir.join(name));
    for path in state.iter().chain([&config.run_dir]) {
        make_private_dir(path).map_err(|source| RuntimeError::Directory { path: path.clone(), source })?;
    }
    let ready = own_mount(&config.run_dir).and_then(|()| {
        fs::create_dir_all(config.staging())?;
        fs::create_dir_all(config.run_dir.join("sandboxes"))
    });
    ready.map_err(|source| RuntimeError::Directory { path: config.run_dir.clone(), source })
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o711))
}

/// Makes the run directory a mount of its own that propagates nothing: pinned namespaces and shared memory must
/// not appear in other mount namespaces, where they would be held for ever.
fn own_mount(run_dir: &Path) -> io::Result<()> {
    if crate::teardown::mounts_below(run_dir)?.iter().any(|m| m == run_dir) {
        return Ok(());
    }
    rustix::mount::mount_bind(run_dir, run_dir)?;
    Ok(rustix::mount::mount_change(run_dir, rustix::mount::MountPropagationFlags::PRIVATE)?)
}
