//! The seams on a real node: images of the image store, pods on the node's own network.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use steersman_cri as cri;
use steersman_image::{Auth, Image, ImageName, ImageStore, PullError, Registries, StoreError};
use steersman_network::{HostPort, PodNetwork as Bridge};

use crate::seams::{ImageConfig, Images, Network, PodNetwork, PreparedImage, SeamError};
use crate::shim::now_ns;
use crate::spec::RootFs;

/// Images kept in an [`ImageStore`] and pulled from registries.
pub struct NodeImages {
    store: Arc<ImageStore>,
    registries: Registries,
}

impl NodeImages {
    /// Images of `store`; `registries` says how registries are reached.
    pub fn new(store: Arc<ImageStore>, registries: Registries) -> Self {
        Self { store, registries }
    }

    /// Runs blocking work on the store.
    fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ImageStore) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, SeamError>> {
        let store = self.store.clone();
        async move { off_thread(move || work(&store).map_err(store_error)).await }.boxed()
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SeamError> + Send + 'static,
) -> Result<T, SeamError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(SeamError::Failed(e.to_string())))
}

/// An error with all its causes in one line, as gRPC messages carry them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn store_error(error: StoreError) -> SeamError {
    match error {
        StoreError::NoImage(_) => SeamError::NotFound(chain(&error)),
        other => SeamError::Failed(chain(&other)),
    }
}

fn pull_error(error: PullError) -> SeamError {
    match &error {
        PullError::NotFound { .. } => SeamError::NotFound(chain(&error)),
        e if e.is_transient() => SeamError::Unavailable(chain(&error)),
        _ => SeamError::Failed(chain(&error)),
    }
}

/// Who pulls, by the fields of CRI; a token wins over a password.
fn credentials(auth: Option<cri::AuthConfig>) -> Result<Auth, SeamError> {
    let Some(auth) = auth else { return Ok(Auth::Anonymous) };
    if !auth.registry_token.is_empty() {
        return Ok(Auth::Bearer(auth.registry_token));
    }
    if !auth.username.is_empty() {
        return Ok(Auth::Basic(auth.username, auth.password));
    }
    if auth.auth.is_empty() {
        return Ok(Auth::Anonymous);
    }
    // `base64(user:password)`, as in a Docker configuration file.
    use base64::Engine;
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth.auth.trim());
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|t| t.trim_end_matches('\0').split_once(':'));
    let (user, password) = pair.ok_or_else(|| SeamError::Invalid("invalid auth of a registry".into()))?;
    Ok(Auth::Basic(user.to_owned(), password.to_owned()))
}

/// What `Pull` and container statuses call an image: a repository with digest, or the id if it was imported.
fn reference(image: &Image) -> String {
    image.digests.first().cloned().unwrap_or_else(|| image.id.to_string())
}

fn message(image: &Image) -> cri::Image {
    let user = image.config.user.split(':').next().unwrap_or_default();
    let uid = if user.is_empty() { Some(0) } else { user.parse().ok() };
    cri::Image {
        id: image.id.to_string(),
        repo_tags: image.tags.clone(),
        repo_digests: image.digests.clone(),
        size: image.size,
        uid: uid.map(|value| cri::Int64Value { value }),
        username: if uid.is_some() { String::new() } else { user.to_owned() },
        spec: None,
        pinned: false,
    }
}

impl Images for NodeImages {
    fn list(&self, filter: Option<String>) -> BoxFuture<'_, Result<Vec<cri::Image>, SeamError>> {
        let found = match filter {
            Some(name) => self.store.get(&name).into_iter().collect(),
            None => self.store.list(),
        };
        async move { Ok(found.iter().map(|i| message(i)).collect()) }.boxed()
    }

    fn status(&self, image: String) -> BoxFuture<'_, Result<Option<cri::Image>, SeamError>> {
        let found = self.store.get(&image);
        async move { Ok(found.map(|i| message(&i))) }.boxed()
    }

    fn pull(&self, image: String, auth: Option<cri::AuthConfig>) -> BoxFuture<'_, Result<String, SeamError>> {
        async move {
            let name: ImageName = image.parse().map_err(|e| SeamError::Invalid(chain(&e)))?;
            let pulled = self.store.pull(&name, credentials(auth)?, &self.registries);
            Ok(reference(&*Box::pin(pulled).await.map_err(pull_error)?))
        }
        .boxed()
    }

    fn remove(&self, image: String) -> BoxFuture<'_, Result<(), SeamError>> {
        self.on_store(move |store| store.remove(&image))
    }

    fn usage(&self) -> BoxFuture<'_, Result<cri::ImageFsInfoResponse, SeamError>> {
        self.on_store(move |store| {
            let (images, containers) = store.usage()?;
            let message = |usage: steersman_image::Usage, part: &str| cri::FilesystemUsage {
                timestamp: now_ns(),
                fs_id: Some(cri::FilesystemIdentifier {
                    mountpoint: store.root().join(part).display().to_string(),
                }),
                used_bytes: Some(cri::UInt64Value { value: usage.bytes }),
                inodes_used: Some(cri::UInt64Value { value: usage.inodes }),
            };
            Ok(cri::ImageFsInfoResponse {
                image_filesystems: vec![message(images, "layers")],
                container_filesystems: vec![message(containers, "containers")],
            })
        })
    }

    fn prepare(&self, image: String, container: String) -> BoxFuture<'_, Result<PreparedImage, SeamError>> {
        self.on_store(move |store| {
            let (image, rootfs) = store.prepare(&image, &container)?;
            let config = image.config.clone();
            Ok(PreparedImage {
                rootfs: RootFs::Overlay { lower: rootfs.lower, upper: rootfs.upper, work: rootfs.work },
                config: ImageConfig {
                    user: config.user,
                    env: config.env,
                    entrypoint: config.entrypoint,
                    cmd: config.cmd,
                    working_dir: config.working_dir,
                    stop_signal: config.stop_signal,
                },
                image_ref: reference(&image),
                image_id: image.id.to_string(),
            })
        })
    }

    fn release(&self, container: String) -> BoxFuture<'_, Result<(), SeamError>> {
        self.on_store(move |store| store.release(&container))
    }
}

/// The node's own pod network. Whoever owns it sets it up and tears it down.
pub struct NodeNetwork {
    bridge: Arc<Bridge>,
}

impl NodeNetwork {
    /// Pods go onto `bridge`.
    pub fn new(bridge: Arc<Bridge>) -> Self {
        Self { bridge }
    }
}

/// The ports of the host that lead to a pod. Those of IPv6 addresses are left out, as by CNI's `portmap` for a pod
/// without such an address.
fn host_ports(mappings: &[cri::PortMapping]) -> Result<Vec<HostPort>, SeamError> {
    let ports = mappings.iter().map(host_port).filter_map(Result::transpose);
    ports.collect()
}

fn host_port(mapping: &cri::PortMapping) -> Result<Option<HostPort>, SeamError> {
    let port = |number: i32| {
        u16::try_from(number).map_err(|_| SeamError::Invalid(format!("port {number} is out of range")))
    };
    let host_ip = match mapping.host_ip.as_str() {
        "" => None,
        text => match text.parse() {
            Ok(IpAddr::V4(address)) => Some(address).filter(|address| !address.is_unspecified()),
            Ok(IpAddr::V6(_)) => return Ok(None),
            Err(_) => return Err(SeamError::Invalid(format!("host IP {text:?} is not an IP address"))),
        },
    };
    let protocol = match mapping.protocol() {
        cri::Protocol::Tcp => 6,
        cri::Protocol::Udp => 17,
        cri::Protocol::Sctp => 132,
    };
    let (host_port, container_port) = (port(mapping.host_port)?, port(mapping.container_port)?);
    Ok(Some(HostPort { protocol, host_ip, host_port, container_port }))
}

impl Network for NodeNetwork {
    fn attach(&self, pod: PodNetwork) -> BoxFuture<'_, Result<Vec<IpAddr>, SeamError>> {
        let bridge = self.bridge.clone();
        let work = move || {
            let address = bridge.add(&pod.sandbox, &pod.network_namespace, &host_ports(&pod.port_mappings)?);
            address.map(|a| vec![a.into()]).map_err(|e| SeamError::Failed(chain(&e)))
        };
        off_thread(work).boxed()
    }

    fn detach(&self, pod: PodNetwork) -> BoxFuture<'_, Result<(), SeamError>> {
        let bridge = self.bridge.clone();
        let work = move || {
            bridge
                .remove(&pod.sandbox, &host_ports(&pod.port_mappings)?)
                .map_err(|e| SeamError::Failed(chain(&e)))
        };
        off_thread(work).boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<(), String>> {
        // It exists, so it was set up: its owner does that first.
        async { Ok(()) }.boxed()
    }

    fn set_pod_cidr(&self, _: String) -> BoxFuture<'_, Result<(), SeamError>> {
        // The range is part of its configuration.
        async { Ok(()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_of_one_address_or_of_all() {
        let mapping = |host_ip: &str, protocol: cri::Protocol| cri::PortMapping {
            host_ip: host_ip.to_owned(),
            protocol: protocol as i32,
            host_port: 8080,
            container_port: 80,
        };
        let read = |host_ip, protocol| host_ports(&[mapping(host_ip, protocol)]);
        let shown = |host_ip, protocol| {
            let ports = read(host_ip, protocol).expect("valid");
            ports.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown("", cri::Protocol::Tcp), ["0.0.0.0:8080/TCP"]);
        assert_eq!(shown("0.0.0.0", cri::Protocol::Udp), ["0.0.0.0:8080/UDP"]);
        assert_eq!(shown("192.0.2.1", cri::Protocol::Sctp), ["192.0.2.1:8080/SCTP"]);
        assert!(shown("2001:db8::1", cri::Protocol::Tcp).is_empty());
        assert!(matches!(read("host", cri::Protocol::Tcp), Err(SeamError::Invalid(_))));
        let beyond = cri::PortMapping { host_port: 70000, ..mapping("", cri::Protocol::Tcp) };
        assert!(host_ports(&[beyond]).is_err());
    }

    #[test]
    fn credentials_come_in_three_forms() {
        let auth = |change: fn(&mut cri::AuthConfig)| {
            let mut auth = cri::AuthConfig::default();
            change(&mut auth);
            credentials(Some(auth))
        };
        assert!(matches!(credentials(None), Ok(Auth::Anonymous)));
        assert!(matches!(auth(|_| ()), Ok(Auth::Anonymous)));
        assert!(matches!(auth(|a| a.registry_token = "t".into()), Ok(Auth::Bearer(t)) if t == "t"));
        let basic = auth(|a| a.auth = "dTpwOnE=".into());
        assert!(matches!(basic, Ok(Auth::Basic(u, p)) if u == "u" && p == "p:q"));
        assert!(auth(|a| a.auth = "!".into()).is_err());
    }
}
