//! Makes a [`kube::Client`]: over HTTPS from a kubeconfig, or over an in-process handler, so that a component cannot
//! tell whether the API server is in its own process.

mod connection;
mod service_account;

use std::path::{Path, PathBuf};

use http::{Request, Response};
use http_body::Body as HttpBody;
use kube::client::Body;
use tower::{Service, ServiceExt};

pub use connection::{Connection, ServiceAccounts};
pub use service_account::TokenError;

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be read or parsed.
    #[error("could not read the kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<kube::config::KubeconfigError>,
    },
    /// The process does not run in a pod, or the pod has no service account's token.
    #[error("could not use the service account of a pod")]
    InCluster(#[source] Box<kube::config::InClusterError>),
    /// The connection cannot be set up (bad certificate or key).
    #[error("could not set up the connection that {path} describes")]
    Connection {
        /// The kubeconfig.
        path: PathBuf,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// A client that calls `service` directly. `identity` (the server's own user type) goes into each request's
/// extensions and stands for authentication; authorization and admission hold as for any client.
pub fn in_process<S, B, I>(service: S, identity: I) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<tower::BoxError>,
    B: HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
    I: Clone + Send + Sync + 'static,
{
    let service = service.map_request(move |mut request: Request<Body>| {
        request.extensions_mut().insert(identity.clone());
        request
    });
    kube::Client::new(service, "default")
}

/// A client for the cluster and user of the kubeconfig's current context.
pub async fn from_kubeconfig(path: &Path) -> Result<kube::Client, ClientError> {
    Connection::from_kubeconfig(path).await?.client()
}
