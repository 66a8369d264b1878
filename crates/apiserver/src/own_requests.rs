//! Requests that the server makes of itself, through the same path as everybody's.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::status::ApiError;
use tower::Service;

use crate::request::User;
use crate::server::ApiServer;
use crate::wire::body;

impl ApiServer {
    /// Asks the server as `user` and reads the answer. A PATCH is an apply.
    pub(crate) async fn ask(
        &self,
        user: &User,
        method: Method,
        uri: &str,
        body: Option<Tree>,
    ) -> Result<Tree, ApiError> {
        let media = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let request = Request::builder().method(method).uri(uri).extension(user.clone());
        let request = request.header("user-agent", "kube-apiserver/").header("content-type", media);
        let body = body.map_or_else(body::empty, |tree| body::whole(tree.to_string()));
        let request = request.body(body).map_err(ApiError::internal)?;
        let response = self.handler().call(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(ApiError::internal)?.to_bytes();
        let tree: Tree = serde_json::from_slice(&bytes).map_err(ApiError::internal)?;
        if parts.status.is_success() {
            return Ok(tree);
        }
        Err(failure(parts.status, &tree))
    }
}

fn failure(code: StatusCode, status: &Value) -> ApiError {
    let reason = match status.str_at("reason") {
        "AlreadyExists" => "AlreadyExists",
        _ => "",
    };
    ApiError::new(code.as_u16(), reason, status.str_at("message"))
}
