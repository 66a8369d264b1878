//! What the runtime needs of images and networks, so that it can be tested without either.

use std::net::IpAddr;
use std::path::PathBuf;

use futures::future::BoxFuture;
use steersman_cri as cri;

use crate::spec::RootFs;

/// Why a seam's work failed. The kind decides the gRPC code, the message is for people.
#[derive(Debug, thiserror::Error)]
pub enum SeamError {
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The registry or the network did not answer; trying again may help.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// The part of an image's configuration that shapes a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `USER`.
    pub user: String,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// `STOPSIGNAL`, as a name or a number.
    pub stop_signal: String,
}

/// A root file system made from an image for one container.
#[derive(Clone, Debug)]
pub struct PreparedImage {
    /// What to mount.
    pub rootfs: RootFs,
    /// The image's configuration.
    pub config: ImageConfig,
    /// Repository and digest, or the id if it was never pulled.
    pub image_ref: String,
    /// Digest of the image's configuration.
    pub image_id: String,
}

/// Images and the root file systems made from them.
pub trait Images: Send + Sync + 'static {
    /// All images, or those that `filter` names.
    fn list(&self, filter: Option<String>) -> BoxFuture<'_, Result<Vec<cri::Image>, SeamError>>;
    /// One image by id, tag or digest.
    fn status(&self, image: String) -> BoxFuture<'_, Result<Option<cri::Image>, SeamError>>;
    /// Pulls an image and returns its reference.
    fn pull(&self, image: String, auth: Option<cri::AuthConfig>) -> BoxFuture<'_, Result<String, SeamError>>;
    /// Removes an image; one that does not exist is fine.
    fn remove(&self, image: String) -> BoxFuture<'_, Result<(), SeamError>>;
    /// Space taken by images and by containers' writable layers.
    fn usage(&self) -> BoxFuture<'_, Result<cri::ImageFsInfoResponse, SeamError>>;
    /// Makes a root file system for `container`.
    fn prepare(&self, image: String, container: String) -> BoxFuture<'_, Result<PreparedImage, SeamError>>;
    /// Removes what [`Images::prepare`] made; nothing there is fine.
    fn release(&self, container: String) -> BoxFuture<'_, Result<(), SeamError>>;
}

/// A sandbox as the network sees it.
#[derive(Clone, Debug)]
pub struct PodNetwork {
    /// Sandbox id, the container id of CNI.
    pub sandbox: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// Path of the network namespace.
    pub network_namespace: PathBuf,
    /// Ports of the host that lead to the pod; those without a host port are left out.
    pub port_mappings: Vec<cri::PortMapping>,
    /// Annotations of the pod.
    pub annotations: std::collections::HashMap<String, String>,
}

/// Pod networks.
pub trait Network: Send + Sync + 'static {
    /// Connects a sandbox and returns its addresses, the main one first.
    fn attach(&self, pod: PodNetwork) -> BoxFuture<'_, Result<Vec<IpAddr>, SeamError>>;
    /// Disconnects it. Must succeed when it was never connected or its namespace is gone.
    fn detach(&self, pod: PodNetwork) -> BoxFuture<'_, Result<(), SeamError>>;
    /// Whether pods can be connected now; else why not.
    fn status(&self) -> BoxFuture<'_, Result<(), String>>;
    /// The node's range of pod addresses became known.
    fn set_pod_cidr(&self, cidr: String) -> BoxFuture<'_, Result<(), SeamError>>;
}
