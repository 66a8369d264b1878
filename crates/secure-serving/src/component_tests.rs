use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::*;
use crate::delegation::Memory;

/// An API where the token `good` is `prometheus`, who may read `/metrics` and nothing else.
fn delegation() -> Delegation {
    let service = tower::service_fn(|request: Request<kube::client::Body>| async move {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut review: Value = serde_json::from_slice(&body).unwrap();
        let spec = &review["spec"];
        review["status"] = if path.ends_with("tokenreviews") {
            let user = json!({ "username": "prometheus", "groups": ["system:authenticated"] });
            let known = spec["token"] == "good";
            json!({ "authenticated": known, "user": if known { user } else { json!({}) } })
        } else {
            let attributes = &spec["nonResourceAttributes"];
            let wanted = attributes["path"] == "/metrics" && attributes["verb"] == "get";
            json!({ "allowed": wanted && spec["user"] == "prometheus" })
        };
        let text = review.to_string();
        Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from(text)))
    });
    let client = steersman_client::in_process(service, ());
    Delegation::new(client.clone(), client, Memory::COMPONENT)
}

fn component(ready: bool) -> Component {
    let check = move || if ready { Ok(()) } else { Err("not yet".to_owned()) };
    Component {
        git_version: "v1.37.0".to_owned(),
        checks: vec![Check { name: "informer-sync", liveness: false, check: Box::new(check) }],
        collectors: vec![Box::new(|out| {
            out.family("workqueue_depth", MetricKind::Gauge, "Depth.").sample(&[("name", "a")], 2);
        })],
        always_allow: ["/healthz", "/readyz", "/livez"].map(str::to_owned).to_vec(),
        verifier: None,
        delegation: delegation(),
    }
}

/// Status code and text.
async fn ask(component: &Component, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(()).unwrap();
    let response = match component.admit(&request, &Certificates::default()).await {
        Ok(()) => component.answer(request.method(), request.uri()),
        Err(refusal) => refused(&refusal),
    };
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn health_is_for_everybody_and_metrics_for_those_who_may() {
    let component = component(true);
    for (path, token, code, part) in [
        ("/healthz", None, 200, "ok"),
        ("/readyz?verbose", None, 200, "[+]ping ok\n[+]informer-sync ok\nreadyz check passed\n"),
        ("/healthz", Some("bad"), 401, "\"Unauthorized\""),
        ("/metrics", None, 403, r#"forbidden: User \"system:anonymous\" cannot get path \"/metrics\""#),
        ("/metrics", Some("bad"), 401, "\"Unauthorized\""),
        ("/metrics", Some("good"), 200, "\nworkqueue_depth{name=\"a\"} 2\n"),
        ("/healthz/ping", None, 403, "cannot get path"),
        ("/other", Some("good"), 403, r#"User \"prometheus\""#),
    ] {
        let (got, text) = ask(&component, path, token).await;
        assert!(got == code && text.contains(part), "{path} {token:?}: {got} {text}");
    }
}

#[tokio::test]
async fn readiness_is_not_liveness() {
    let component = component(false);
    assert_eq!(ask(&component, "/livez", None).await, (200, "ok".to_owned()));
    assert_eq!(ask(&component, "/readyz", None).await.0, 500);
    assert_eq!(ask(&component, "/readyz?exclude=informer-sync", None).await.0, 200);
}

#[test]
fn allowed_paths_may_end_in_a_star() {
    for (allowed, path, covered) in [
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/ping", false),
        ("/healthz/*", "/healthz/ping", true),
        ("metrics", "/metrics", true),
    ] {
        assert_eq!(covers(allowed, path), covered, "{allowed} {path}");
    }
}
