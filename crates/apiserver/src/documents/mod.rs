//! Paths that are no resources: versions, health, metrics, and what the server has (discovery, OpenAPI).

mod discovery;
mod health;
mod openapi;

pub use discovery::version_priority;
pub use openapi::DocumentCache;

use http::{Method, StatusCode};
use serde_json::json;
use steersman_apimachinery::status::ApiError;

use crate::chain::Exchange;
use crate::server::Inner;
use crate::wire::body::{self, Response};
use crate::wire::respond;

/// Answers a path that is no resource.
pub async fn answer(server: &Inner, exchange: &Exchange) -> Result<Response, ApiError> {
    let path = exchange.info.path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    if !matches!(exchange.parts.method, Method::GET | Method::HEAD) {
        return Err(ApiError::method_not_allowed());
    }
    match parts.as_slice() {
        ["version"] => Ok(respond::json_document(StatusCode::OK, &version(server), true)),
        ["debug", "api_priority_and_fairness", table] => {
            let details = exchange.query.non_empty("includeRequestDetails").is_some();
            let found = server.flow_control.as_ref().and_then(|flow| flow.dump(table, details));
            let missing = || respond::text(StatusCode::NOT_FOUND, "404 page not found\n");
            Ok(found.map_or_else(missing, |table| respond::text(StatusCode::OK, table)))
        }
        ["metrics"] => Ok(metrics(server)),
        [kind @ ("healthz" | "livez" | "readyz"), check @ ..] => {
            Ok(health::answer(server, kind, check, &exchange.query).await)
        }
        ["api" | "apis", ..] => {
            server.definitions.catch_up().await;
            let found = discovery::answer(server, exchange, &parts)?;
            Ok(found.unwrap_or_else(|| respond::text(StatusCode::NOT_FOUND, "404 page not found\n")))
        }
        ["openapi", rest @ ..] => {
            server.definitions.catch_up().await;
            let found = openapi::answer(server, exchange, rest);
            Ok(found.unwrap_or_else(|| respond::text(StatusCode::NOT_FOUND, "404 page not found\n")))
        }
        [""] | [] => Ok(respond::json_document(StatusCode::OK, &index(server), true)),
        [".well-known", "openid-configuration"] => {
            Ok(issuer(server, "application/json", |i| &i.configuration))
        }
        ["openid", "v1", "jwks"] => Ok(issuer(server, "application/jwk-set+json", |i| &i.keys)),
        _ => Ok(respond::text(StatusCode::NOT_FOUND, "404 page not found\n")),
    }
}

/// The paths that `/` tells of.
fn index(server: &Inner) -> serde_json::Value {
    let routes = server.storage.routes();
    let mut paths: Vec<String> = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
        .into_iter()
        .chain(["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks"])
        .chain(["/readyz", "/version"])
        .map(str::to_owned)
        .collect();
    for (group, versions) in routes.groups().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.sort_unstable();
    json!({ "paths": paths })
}

fn version(server: &Inner) -> serde_json::Value {
    let version = &server.version;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1",
        "minor": "37",
        "emulationMajor": "1",
        "emulationMinor": "37",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36",
        "gitVersion": version.git_version,
        "gitCommit": version.git_commit,
        "gitTreeState": "clean",
        "buildDate": version.build_date,
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{architecture}"),
    })
}

fn metrics(server: &Inner) -> Response {
    let mut text = server.metrics.text(&server.version.git_version);
    if let Some(audit) = &server.audit {
        text.push_str(&audit.metrics());
    }
    if let Some(flow) = &server.flow_control {
        text.push_str(&flow.metrics());
    }
    respond::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body::whole(text))
}

fn issuer(
    server: &Inner,
    content_type: &'static str,
    which: impl Fn(&crate::config::IssuerDocuments) -> &bytes::Bytes,
) -> Response {
    match &server.issuer {
        Some(documents) => {
            respond::with_type(StatusCode::OK, content_type, body::whole(which(documents).clone()))
        }
        None => respond::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}
