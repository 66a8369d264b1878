//! Carries out the plan through the server itself, so that defaults and admission hold for the policy, too.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use steersman_apimachinery::Tree;
use tokio::time::Instant;
use tower::Service;

use super::{API_VERSION, Planned, Step, plan};
use crate::Handler;
use crate::authentication::MASTERS;
use crate::request::{ObjectReader, User};
use crate::view::text;

/// The default policy could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {path} of the default policy: {message}")]
pub struct BootstrapError {
    /// The object's URL path.
    path: String,
    /// What the server said.
    message: String,
}

/// How long to try, and the longest pause between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Brings the stored policy to what every cluster has. Several servers may do this at once, and others may write the same
/// objects meanwhile: whatever failed is looked at again, for half a minute.
pub async fn apply(server: &Handler, objects: &dyn ObjectReader) -> Result<(), BootstrapError> {
    let give_up = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(10);
    loop {
        match carry_out_all(server, plan(objects).await).await {
            Err(error) if Instant::now() < give_up => tracing::warn!(%error, "trying again"),
            outcome => return outcome,
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 4);
    }
}

/// One failure does not keep the rest from being written; the first one is told.
async fn carry_out_all(server: &Handler, all: Vec<Planned>) -> Result<(), BootstrapError> {
    let mut outcome = Ok(());
    for planned in all {
        let written = carry_out(server, &planned).await;
        outcome = outcome.and(written);
    }
    outcome
}

async fn carry_out(server: &Handler, planned: &Planned) -> Result<(), BootstrapError> {
    let Some(object) = planned.step.object() else { return Ok(()) };
    let collection = collection(planned.resource, text(object, "/metadata/namespace"));
    let one = format!("{collection}/{}", text(object, "/metadata/name"));
    match &planned.step {
        Step::Leave => Ok(()),
        Step::Create(object) => send(server, Method::POST, &collection, object).await,
        Step::Update(object) => send(server, Method::PUT, &one, object).await,
        Step::Recreate { uid, object } => {
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid },
            });
            send(server, Method::DELETE, &one, &options).await?;
            send(server, Method::POST, &collection, object).await
        }
    }
}

fn collection(resource: &str, namespace: &str) -> String {
    match namespace {
        "" => format!("/apis/{API_VERSION}/{resource}"),
        namespace => format!("/apis/{API_VERSION}/namespaces/{namespace}/{resource}"),
    }
}

async fn send(server: &Handler, method: Method, path: &str, body: &Tree) -> Result<(), BootstrapError> {
    let failed = |message: String| BootstrapError { path: path.to_owned(), message };
    let user =
        User { name: "system:apiserver".to_owned(), groups: vec![MASTERS.to_owned()], ..User::default() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::USER_AGENT, "kube-apiserver/")
        .extension(user)
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| failed(error.to_string()))?;
    let answer = server.clone().call(request).await.unwrap_or_else(|never| match never {});
    let code = answer.status();
    if code.is_success() {
        return Ok(());
    }
    let body = answer.into_body().collect().await.map_err(|error| failed(format!("{code}: {error}")))?;
    let body = body.to_bytes();
    // Not every refusal is a Status: one for want of a seat is plain text.
    let why = match serde_json::from_slice::<Tree>(&body) {
        Ok(status) => text(&status, "/message").to_owned(),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    Err(failed(format!("{code}: {why}")))
}
