//! Where a request is forwarded to.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use crate::server::Inner;

/// A server and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS, and with whom.
    pub security: Security,
    /// Path and query.
    pub path: String,
    /// The path prefix under which the client sees the target, for redirects; empty if it is hidden.
    pub seen_as: String,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    Plain,
    /// TLS whose certificate is not checked, as upstream proxies to pods and services.
    Unchecked,
    /// Mutual TLS with a kubelet.
    Kubelet,
}

/// An object of the core group; 404 if it does not exist.
pub async fn object(
    server: &Inner,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Arc<Tree>, ApiError> {
    let entry = server.storage.routes().find("", "v1", plural).ok_or_else(ApiError::resource_not_served)?;
    Ok(server.storage.require(&entry, namespace, name).await?.1.tree())
}

/// The kubelet of a node.
pub async fn kubelet(server: &Inner, node: &str, path: String) -> Result<Target, ApiError> {
    let node = object(server, "nodes", "", node).await?;
    Ok(Target { path, ..kubelet_of(&node)? })
}

fn kubelet_of(node: &Tree) -> Result<Target, ApiError> {
    let addresses = node.items_at("status.addresses");
    // Upstream's default order of preference.
    let host = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];
    let numeric_first = ["InternalIP", "ExternalIP"].into_iter().chain(host);
    let found = numeric_first.into_iter().find_map(|kind| {
        addresses.iter().find(|a| a["type"] == kind).map(|a| a.str_at("address")).filter(|a| !a.is_empty())
    });
    let host = found.ok_or_else(|| {
        ApiError::internal(format!("no preferred addresses found; known addresses: {addresses:?}"))
    })?;
    let port = node.i64_at("status.daemonEndpoints.kubeletEndpoint.Port").unwrap_or(10250);
    Ok(Target {
        host: host.to_owned(),
        port: u16::try_from(port).unwrap_or(10250),
        security: Security::Kubelet,
        path: String::new(),
        seen_as: String::new(),
    })
}

/// Escapes one path segment.
pub fn segment(text: &str) -> String {
    escape(text)
}

/// Escapes a query value.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_reached_at_its_internal_address() {
        let node = json!({"status": {"addresses": [{"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "10.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": 7000}}}});
        let target = kubelet_of(&node).expect("an address");
        assert_eq!((target.host.as_str(), target.port), ("10.0.0.1", 7000));
        assert!(kubelet_of(&json!({})).is_err());
        assert_eq!(escape("a b/ü"), "a%20b%2F%C3%BC");
    }
}
