//! Subresources that lead out of the API server: logs, exec, attach and port-forward to the kubelet of the pod's node,
//! and proxies to pods, services and nodes. Bytes pass through unchanged, upgraded connections too.

mod kubelet;
mod pods;
mod proxy;
mod target;
mod tunnel;

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONNECTION, UPGRADE};
use steersman_apimachinery::status::ApiError;

use crate::authorization::require;
use crate::chain::{self, Exchange};
use crate::request::User;
use crate::routes::Entry;
use crate::row::Subresource;
use crate::server::Inner;
use crate::wire::body::{Body, Response};
use crate::wire::respond;

pub use kubelet::Kubelets;

/// What a subresource leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// A container's log.
    Log,
    /// A new process in a container.
    Exec,
    /// A container's own process.
    Attach,
    /// Ports of a pod.
    PortForward,
    /// HTTP of a pod.
    PodProxy,
    /// HTTP of a service.
    ServiceProxy,
    /// HTTP of a kubelet.
    NodeProxy,
}

const CONNECTORS: &[(&str, &str, &str, Connector)] = &[
    ("", "pods", "log", Connector::Log),
    ("", "pods", "exec", Connector::Exec),
    ("", "pods", "attach", Connector::Attach),
    ("", "pods", "portforward", Connector::PortForward),
    ("", "pods", "proxy", Connector::PodProxy),
    ("", "services", "proxy", Connector::ServiceProxy),
    ("", "nodes", "proxy", Connector::NodeProxy),
];

/// What a subresource leads to; `None` if it is a part of the object.
pub fn find(entry: &Entry, subresource: &Subresource) -> Option<Connector> {
    let resource = &entry.resource;
    let found = |(g, r, s, _): &&(&str, &str, &str, Connector)| {
        (*g, *r, *s) == (&*resource.group, &*resource.plural, subresource.name)
    };
    CONNECTORS.iter().find(found).map(|(_, _, _, connector)| *connector)
}

impl Connector {
    /// Leads the request there and answers with what comes back.
    pub async fn connect(
        self,
        server: &Arc<Inner>,
        exchange: &mut Exchange,
        user: &Arc<User>,
        body: Body,
    ) -> Result<Response, ApiError> {
        self.check_method(exchange)?;
        self.authorize_upgrade(server, exchange, user).await?;
        let target = match self {
            Self::Log | Self::Exec | Self::Attach | Self::PortForward => {
                pods::target(self, server, exchange).await?
            }
            Self::PodProxy | Self::ServiceProxy | Self::NodeProxy => {
                Some(proxy::target(self, server, exchange).await?)
            }
        };
        match target {
            Some(target) => tunnel::forward(server, &target, exchange, body).await,
            None => Ok(respond::text(StatusCode::OK, "")),
        }
    }

    fn check_method(self, exchange: &Exchange) -> Result<(), ApiError> {
        let method = exchange.parts.method.as_str();
        let known = match self {
            Self::Log => method == "GET",
            Self::Exec | Self::Attach | Self::PortForward => matches!(method, "GET" | "POST"),
            Self::PodProxy | Self::ServiceProxy | Self::NodeProxy => true,
        };
        if known { Ok(()) } else { Err(ApiError::method_not_allowed()) }
    }

    /// A WebSocket must begin with GET, but what it does here is no reading: it needs `create` as the POST does.
    async fn authorize_upgrade(
        self,
        server: &Inner,
        exchange: &Exchange,
        user: &Arc<User>,
    ) -> Result<(), ApiError> {
        let acts = matches!(self, Self::Exec | Self::Attach | Self::PortForward);
        if !acts || exchange.info.verb != "get" {
            return Ok(());
        }
        let mut attributes = chain::attributes(&exchange.info, &exchange.query, user);
        attributes.verb = "create".to_owned();
        require(&*server.authorizer, &attributes).await
    }
}

/// Whether a client asks to change the protocol of its connection.
pub fn wants_upgrade(headers: &http::HeaderMap) -> bool {
    let connection = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    headers.contains_key(UPGRADE)
        && connection.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// 502 or 503 of something that cannot be reached.
fn unreachable(message: String) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE.as_u16(), "ServiceUnavailable", message)
}
