//! Asks a container once how it is.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tonic::transport::Channel;

use super::{exec, grpc, http, tcp};
use steersman_cri::client::RuntimeServiceClient;

/// The answer, with the words that go into the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Healthy.
    Success,
    /// Healthy, with something to say: the pod redirects elsewhere.
    Warning(String),
    /// Not healthy.
    Failure(String),
    /// It could not be asked; counts neither way.
    Unknown(String),
}

/// Where the container is.
#[derive(Clone)]
pub struct Target {
    /// The runtime, for exec.
    pub runtime: RuntimeServiceClient<Channel>,
    /// Id of the container.
    pub container_id: String,
    /// Address of the pod.
    pub pod_ip: String,
}

/// Asks once, within the probe's timeout.
pub async fn ask(target: &Target, container: &Container, probe: &Probe) -> Answer {
    let timeout = seconds(probe.timeout_seconds, 1);
    if let Some(action) = &probe.exec {
        return exec::ask(target, action.command.as_deref().unwrap_or_default(), timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return match resolve_port(&action.port, container) {
            Ok(port) => http::ask(action, &target.pod_ip, port, timeout).await,
            Err(message) => Answer::Unknown(message),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.pod_ip);
        return match resolve_port(&action.port, container) {
            Ok(port) => tcp::ask(host, port, timeout).await,
            Err(message) => Answer::Unknown(message),
        };
    }
    if let Some(action) = &probe.grpc {
        let service = action.service.as_deref().unwrap_or_default();
        return grpc::ask(&target.pod_ip, action.port, service, timeout).await;
    }
    Answer::Unknown(format!("missing probe handler for {}", container.name))
}

/// `value` seconds, or the API's default.
pub(crate) fn seconds(value: Option<i32>, default: u64) -> Duration {
    let value = value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    Duration::from_secs(value.unwrap_or(default))
}

/// A port by number, or by its name in the container.
pub(crate) fn resolve_port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok()),
    };
    match (number, port) {
        (Some(number), _) => match u16::try_from(number) {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("invalid port number: {number}")),
        },
        (None, IntOrString::String(name)) => Err(format!("couldn't find port by name: {name}")),
        (None, IntOrString::Int(number)) => Err(format!("invalid port number: {number}")),
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The words of Go's dialler for an error of connecting.
pub(crate) fn dial_error(address: &str, error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let cause = match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::ConnectionReset => "connect: connection reset by peer".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {address}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_by_number_and_name() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "a", "ports": [{ "name": "web", "containerPort": 8080 }] }))
        .unwrap();
        let named = |name: &str| IntOrString::String(name.into());
        let cases = [
            (IntOrString::Int(80), Ok(80)),
            (named("web"), Ok(8080)),
            (named("9090"), Ok(9090)),
            (named("nope"), Err("couldn't find port by name: nope".to_owned())),
            (IntOrString::Int(0), Err("invalid port number: 0".to_owned())),
        ];
        for (port, want) in cases {
            assert_eq!(resolve_port(&port, &container), want, "{port:?}");
        }
    }
}
