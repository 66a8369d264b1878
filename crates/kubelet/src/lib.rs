//! The kubelet: pod workers, probes, volumes, status, and its HTTPS server.

mod http_client;
mod text;

pub mod actions;
pub mod backoff;
pub mod cgroups;
pub mod cri_config;
pub mod dns;
pub mod env;
pub mod hosts;
pub mod pod;
pub mod probe;
pub mod quantity;
pub mod resources;
pub mod status;
pub mod view;

#[cfg(test)]
mod testing;

/// Version of Kubernetes that the node reports.
pub const VERSION: &str = "v1.37.0";
/// Its minor version, as user agents name it.
pub(crate) const MINOR_VERSION: &str = "1.37";
/// How probes introduce themselves.
pub(crate) const PROBE_USER_AGENT: &str = "kube-probe/1.37";
