//! What a `proxy` subresource means: `[https:]name[:port]` of a pod, a service or a node, and a path there.

use rand::seq::IndexedRandom;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;

use super::target::{self, Security, Target};
use super::{Connector, unreachable};
use crate::chain::Exchange;
use crate::server::Inner;

/// A name with its scheme and port.
#[derive(Debug, PartialEq, Eq)]
struct Named<'n> {
    https: bool,
    name: &'n str,
    port: &'n str,
}

impl<'n> Named<'n> {
    fn parse(text: &'n str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [name] => Some(Self { https: false, name, port: "" }),
            [name, port] => Some(Self { https: false, name, port }),
            [scheme @ ("" | "http" | "https"), name, port] => {
                Some(Self { https: *scheme == "https", name, port })
            }
            _ => None,
        }
    }

    fn security(&self) -> Security {
        if self.https { Security::Unchecked } else { Security::Plain }
    }
}

/// Finds what the request is to be led to.
pub async fn target(connector: Connector, server: &Inner, exchange: &Exchange) -> Result<Target, ApiError> {
    let info = &exchange.info;
    let named = Named::parse(&info.name)
        .ok_or_else(|| ApiError::bad_request(format!("invalid {} request {:?}", info.resource, info.name)))?;
    let path = if info.rest.is_empty() { "/" } else { &info.rest };
    let path = match exchange.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let seen_as = info.path.strip_suffix(&info.rest).unwrap_or(&info.path).to_owned();
    let found = match connector {
        Connector::PodProxy => pod(server, &info.namespace, &named).await?,
        Connector::ServiceProxy => service(server, &info.namespace, &named).await?,
        _ => target::kubelet(server, named.name, String::new()).await?,
    };
    Ok(Target { path, seen_as, ..found })
}

async fn pod(server: &Inner, namespace: &str, named: &Named<'_>) -> Result<Target, ApiError> {
    let pod = target::object(server, "pods", namespace, named.name).await?;
    let address = pod.str_at("status.podIP");
    if address.is_empty() {
        return Err(ApiError::bad_request(format!("address not allowed: pod {} has no address", pod.name())));
    }
    let port = if named.port.is_empty() { first_port(&pod) } else { number(named.port) };
    let port = port.ok_or_else(|| ApiError::bad_request(format!("invalid pod request {:?}", named.port)))?;
    Ok(at(address, port, named.security()))
}

fn first_port(pod: &Tree) -> Option<u16> {
    let containers = pod.items_at("spec.containers").iter();
    let port = containers.flat_map(|c| c.items_at("ports")).find_map(|p| p.i64_at("containerPort"));
    port.and_then(|port| u16::try_from(port).ok()).or(Some(80))
}

/// One of the service's ready endpoints, chosen anew for each request.
async fn service(server: &Inner, namespace: &str, named: &Named<'_>) -> Result<Target, ApiError> {
    let service = target::object(server, "services", namespace, named.name).await?;
    let no_port =
        || unreachable(format!("no service port {:?} found for service {:?}", named.port, named.name));
    let ports = service.items_at("spec.ports");
    let port = match named.port {
        "" if ports.len() == 1 => ports.first(),
        "" => ports.iter().find(|port| port["name"] == ""),
        asked => ports.iter().find(|port| {
            port["name"] == asked || number(asked).is_some_and(|n| port.i64_at("port") == Some(n.into()))
        }),
    };
    let port_name = port.ok_or_else(no_port)?.str_at("name").to_owned();
    let endpoints = target::object(server, "endpoints", namespace, named.name).await;
    let endpoints = endpoints.map_err(|_| no_endpoints(named.name))?;
    let all = ready(&endpoints, &port_name);
    let (address, port) = all.choose(&mut rand::rng()).ok_or_else(|| no_endpoints(named.name))?;
    Ok(at(address, *port, named.security()))
}

fn ready(endpoints: &Tree, port_name: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for subset in endpoints.items_at("subsets") {
        let port = subset.items_at("ports").iter().find(|port| port.str_at("name") == port_name);
        let Some(port) = port.and_then(|p| p.i64_at("port")).and_then(|p| u16::try_from(p).ok()) else {
            continue;
        };
        found.extend(subset.items_at("addresses").iter().map(|a| (a.str_at("ip").to_owned(), port)));
    }
    found
}

fn no_endpoints(name: &str) -> ApiError {
    unreachable(format!("no endpoints available for service {name:?}"))
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

fn at(host: &str, port: u16, security: Security) -> Target {
    Target { host: host.to_owned(), port, security, path: String::new(), seen_as: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_carry_scheme_and_port() {
        let named = |https, name, port| Some(Named { https, name, port });
        assert_eq!(Named::parse("web"), named(false, "web", ""));
        assert_eq!(Named::parse("web:http"), named(false, "web", "http"));
        assert_eq!(Named::parse("https:web:443"), named(true, "web", "443"));
        assert_eq!(Named::parse("https:web:"), named(true, "web", ""));
        assert_eq!(Named::parse("ftp:web:1"), None);
    }

    #[test]
    fn only_ready_endpoints_of_the_port_are_chosen() {
        let endpoints = json!({"subsets": [
            {"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
             "ports": [{"name": "http", "port": 8080}, {"name": "x", "port": 1}]}]});
        assert_eq!(ready(&endpoints, "http"), [("10.0.0.1".to_owned(), 8080)]);
        assert!(ready(&endpoints, "none").is_empty());
    }
}
