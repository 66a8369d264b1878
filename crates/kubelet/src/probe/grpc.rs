//! Probing by the gRPC health protocol, `grpc.health.v1.Health/Check`.

use std::time::Duration;

use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::check::{Answer, host_port};
use crate::text::{go_duration, go_quote as quote};

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

/// Success when the service says `SERVING` within `timeout`.
pub async fn ask(host: &str, port: i32, service: &str, timeout: Duration) -> Answer {
    let Ok(port) = u16::try_from(port) else {
        return Answer::Unknown(format!("invalid port number: {port}"));
    };
    let address = host_port(host, port);
    let patience = go_duration(timeout);
    let unconnected = || {
        let address = quote(&address);
        Answer::Failure(format!(
            "timeout: failed to connect service {address} within {patience}: context deadline exceeded"
        ))
    };
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return unconnected() };
    let endpoint = match endpoint.user_agent(format!("kube-probe/{}", crate::MINOR_VERSION)) {
        Ok(endpoint) => endpoint,
        Err(error) => return Answer::Unknown(error.to_string()),
    };
    let started = tokio::time::Instant::now();
    let channel = match tokio::time::timeout(timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(_)) | Err(_) => return unconnected(),
    };
    let left = timeout.saturating_sub(started.elapsed());
    match tokio::time::timeout(left, check(channel, service)).await {
        Err(_) => Answer::Failure(format!("timeout: health rpc did not complete within {patience}")),
        Ok(Ok(SERVING)) => Answer::Success,
        Ok(Ok(status)) => {
            Answer::Failure(format!("service unhealthy (responded with {})", quote(status_name(status))))
        }
        Ok(Err(status)) => Answer::Failure(rpc_failure(&status, &patience)),
    }
}

async fn check(channel: Channel, service: &str) -> Result<i32, tonic::Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    Ok(grpc.unary(request, path, codec).await?.into_inner().status)
}

fn status_name(status: i32) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        _ => "SERVICE_UNKNOWN",
    }
}

fn rpc_failure(status: &tonic::Status, patience: &str) -> String {
    match status.code() {
        Code::Unimplemented => format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        ),
        Code::DeadlineExceeded => format!("timeout: health rpc did not complete within {patience}"),
        _ => format!("error: health rpc probe failed: {}", crate::text::rpc_error(status)),
    }
}
