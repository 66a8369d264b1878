//! Carries out the plan through the server itself, so that defaults and admission hold for the policy, too.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use steersman_apimachinery::Tree;
use tower::Service;

use super::{API_VERSION, Step, plan};
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

/// Brings the stored policy to what every cluster has. Several servers may do this at once.
pub async fn apply(server: &Handler, objects: &dyn ObjectReader) -> Result<(), BootstrapError> {
    for planned in plan(objects).await {
        let Some(object) = planned.step.object() else { continue };
        let collection = collection(planned.resource, text(object, "/metadata/namespace"));
        let one = format!("{collection}/{}", text(object, "/metadata/name"));
        match &planned.step {
            Step::Leave => {}
            Step::Create(object) => send(server, Method::POST, &collection, Some(object)).await?,
            Step::Update(object) => send(server, Method::PUT, &one, Some(object)).await?,
            Step::Recreate(object) => {
                send(server, Method::DELETE, &one, None).await?;
                send(server, Method::POST, &collection, Some(object)).await?;
            }
        }
    }
    Ok(())
}

fn collection(resource: &str, namespace: &str) -> String {
    match namespace {
        "" => format!("/apis/{API_VERSION}/{resource}"),
        namespace => format!("/apis/{API_VERSION}/namespaces/{namespace}/{resource}"),
    }
}

async fn send(
    server: &Handler,
    method: Method,
    path: &str,
    object: Option<&Tree>,
) -> Result<(), BootstrapError> {
    let failed = |message: String| BootstrapError { path: path.to_owned(), message };
    let user =
        User { name: "system:apiserver".to_owned(), groups: vec![MASTERS.to_owned()], ..User::default() };
    let body = object.map(|object| Bytes::from(object.to_string())).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::USER_AGENT, "steersman-apiserver/rbac-bootstrap")
        .extension(user)
        .body(Full::new(body))
        .map_err(|error| failed(error.to_string()))?;
    let answer = server.clone().call(request).await.unwrap_or_else(|never| match never {});
    match answer.status() {
        code if code.is_success() => Ok(()),
        // Another server was first: it writes the same.
        StatusCode::CONFLICT => Ok(()),
        code => {
            let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let status: Tree = serde_json::from_slice(&body).unwrap_or_default();
            Err(failed(format!("{code}: {}", text(&status, "/message"))))
        }
    }
}
