//! What a server is made of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::audit::Audit;
use crate::flow_control::FlowControl;
use crate::request::{Admission, Authenticator, Authorizer, Creator};
use crate::storage::Storage;

/// Everything a server needs; see [`crate::ApiServer::new`].
pub struct Config {
    /// The resources and where their objects live.
    pub storage: Arc<Storage>,
    /// Finds out who asks.
    pub authenticator: Arc<dyn Authenticator>,
    /// Decides who may what.
    pub authorizer: Arc<dyn Authorizer>,
    /// The audit log; none without it. Whoever makes it runs [`Audit::run`] until after the server has ended.
    pub audit: Option<Arc<Audit>>,
    /// Priority and fairness; nothing is limited without it. Whoever makes it runs [`FlowControl::run`] as long as the
    /// server serves.
    pub flow_control: Option<Arc<FlowControl>>,
    /// The admission plugins in the order in which they run.
    pub admission: Vec<Box<dyn Admission>>,
    /// Resources and subresources whose POST is acted on instead of stored.
    pub creators: Vec<Creation>,
    /// What `/version` says.
    pub version: Version,
    /// How the server shows itself to kubelets (client certificate, trusted CA); without it pods' logs, exec and
    /// the like are refused.
    pub kubelet_tls: Option<Arc<rustls::ClientConfig>>,
    /// The address that the `kubernetes` service leads to: pods must reach it, so it cannot be a loopback one.
    pub advertise: SocketAddr,
    /// The `kubernetes` service's own address: the first of the service range.
    pub service_address: IpAddr,
    /// The discovery documents of the service account token issuer, if there is one.
    pub issuer: Option<IssuerDocuments>,
    /// What must be well beside the server itself for `/readyz`, `/livez` and `/healthz`.
    pub health: Vec<HealthCheck>,
    /// The components whose health `componentstatuses` shows beside the store's.
    pub components: Vec<Component>,
}

/// A component of the cluster, as `componentstatuses` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// `scheduler`, `controller-manager`.
    pub name: &'static str,
    /// Where it runs.
    pub place: Place,
}

/// Where a component runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the server's own process, which ends as a whole when a part of it does: while the server answers, the
    /// component runs.
    SameProcess,
    /// In a process of its own on the server's machine, which serves `/healthz` over HTTPS at this port.
    Port(u16),
}

/// One [`Creator`] with what it answers for.
pub struct Creation {
    /// API group; empty for core.
    pub group: &'static str,
    /// Plural resource.
    pub resource: &'static str,
    /// Subresource; empty for the resource itself.
    pub subresource: &'static str,
    /// Who answers.
    pub creator: Arc<dyn Creator>,
}

/// What `/version` says (`version.Info` upstream).
#[derive(Clone, Debug)]
pub struct Version {
    /// `v1.37.0+steersman`.
    pub git_version: String,
    /// The commit it was built from; may be empty.
    pub git_commit: String,
    /// When it was built, RFC 3339; may be empty.
    pub build_date: String,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            git_version: "v1.37.0+steersman".to_owned(),
            git_commit: String::new(),
            build_date: "1970-01-01T00:00:00Z".to_owned(),
        }
    }
}

/// `/.well-known/openid-configuration` and `/openid/v1/jwks`, as bytes.
#[derive(Clone, Debug)]
pub struct IssuerDocuments {
    /// The OpenID configuration.
    pub configuration: bytes::Bytes,
    /// The key set.
    pub keys: bytes::Bytes,
}

/// One named check of the health endpoints.
pub struct HealthCheck {
    /// Path segment below `/readyz/`.
    pub name: &'static str,
    /// Whether it counts for `/livez` too, not only for `/readyz`.
    pub liveness: bool,
    /// Says what is wrong.
    pub check: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What must exist at start could not be created.
    #[error("could not create {what}")]
    Bootstrap {
        /// The object.
        what: String,
        /// Why.
        source: ApiError,
    },
}
