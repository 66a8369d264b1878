//! `/healthz`, `/livez` and `/readyz`, as a whole and check by check.

use std::fmt::Write;

use http::StatusCode;

use crate::server::Inner;
use crate::wire::body::Response;
use crate::wire::query::Query;
use crate::wire::respond;

/// One check's name and what it found.
type Finding = (&'static str, Result<(), String>);

/// Answers `/<kind>` or `/<kind>/<check>`.
pub async fn answer(server: &Inner, kind: &str, check: &[&str], query: &Query) -> Response {
    let mut findings = find(server, kind).await;
    if let [one] = check {
        let Some((_, found)) = findings.into_iter().find(|(name, _)| name == one) else {
            return respond::text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        return match found {
            Ok(()) => respond::text(StatusCode::OK, "ok"),
            Err(why) => {
                respond::text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n"))
            }
        };
    }
    let excluded = query.all("exclude");
    findings.retain(|(name, _)| !excluded.iter().any(|e| e == name));
    let failed = findings.iter().any(|(_, found)| found.is_err());
    match (failed, query.get("verbose").is_some()) {
        (false, false) => respond::text(StatusCode::OK, "ok"),
        (false, true) => respond::text(StatusCode::OK, format!("{}{kind} check passed\n", report(&findings))),
        (true, _) => respond::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{}{kind} check failed\n", report(&findings)),
        ),
    }
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

fn report(findings: &[Finding]) -> String {
    let mut out = String::new();
    for (name, found) in findings {
        // Reasons are for the log: these paths are open to everybody.
        let written = match found {
            Ok(()) => writeln!(out, "[+]{name} ok"),
            Err(_) => writeln!(out, "[-]{name} failed: reason withheld"),
        };
        written.expect("a String takes every text");
    }
    out
}
