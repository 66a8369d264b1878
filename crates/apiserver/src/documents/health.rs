//! `/healthz`, `/livez` and `/readyz`, as a whole and check by check.

use http::StatusCode;
use steersman_secure_serving::health::{self, Finding, Question};

use crate::server::Inner;
use crate::wire::body::Response;
use crate::wire::query::Query;
use crate::wire::respond;

/// Answers `/<kind>` or `/<kind>/<check>`.
pub async fn answer(server: &Inner, kind: &str, check: &[&str], query: &Query) -> Response {
    let check = check.join("/");
    let question = Question {
        kind,
        check: Some(check.as_str()).filter(|check| !check.is_empty()),
        excluded: query.all("exclude"),
        verbose: query.get("verbose").is_some(),
    };
    let (code, text) = health::answer(&question, find(server, kind).await);
    respond::text(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text)
}

async fn find(server: &Inner, kind: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = vec![("ping", Ok(()))];
    let store = server.storage.revision().await.map(drop).map_err(|e| e.message);
    findings.push(("etcd", store.clone()));
    if kind == "readyz" {
        findings.push(("etcd-readiness", store));
    }
    for check in server.health.iter().filter(|check| check.liveness || kind == "readyz") {
        findings.push((check.name, (check.check)().await));
    }
    if kind == "readyz" {
        let stopping = server.stop.is_cancelled();
        let found = if stopping { Err("process is shutting down".to_owned()) } else { Ok(()) };
        findings.push(("shutdown", found));
    }
    findings
}
