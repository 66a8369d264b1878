//! `TokenReview` and `SelfSubjectReview`: whose token is this, and who am I? (`kubectl auth whoami`)

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::authentication::{AUTHENTICATED, ServiceAccountTokens};
use crate::request::{CreateRequest, Creator, User};
use crate::view::{strings, text};

/// Answers whose token it is.
pub struct TokenReviews {
    tokens: Arc<ServiceAccountTokens>,
}

impl TokenReviews {
    /// Answers what `tokens` says.
    pub fn new(tokens: Arc<ServiceAccountTokens>) -> Self {
        Self { tokens }
    }

    async fn answer(&self, mut review: Tree) -> Result<Tree, ApiError> {
        let token = text(&review, "/spec/token");
        if token.is_empty() {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        let asked = strings(&review, "/spec/audiences");
        let audiences = if asked.is_empty() { self.tokens.api_audiences() } else { &asked };
        review["status"] = match self.tokens.authenticate(token, audiences).await {
            Ok(Some(found)) => {
                let mut user = found.user;
                user.groups.push(AUTHENTICATED.to_owned());
                json!({ "authenticated": true, "user": user_info(&user), "audiences": found.audiences })
            }
            Ok(None) => json!({ "user": {}, "error": "invalid bearer token" }),
            Err(problem) => json!({ "user": {}, "error": problem }),
        };
        Ok(review)
    }
}

impl Creator for TokenReviews {
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>> {
        Box::pin(self.answer(request.object))
    }
}

/// Answers who asks.
pub struct OwnIdentity;

impl Creator for OwnIdentity {
    fn create<'a>(&'a self, request: CreateRequest<'a>) -> BoxFuture<'a, Result<Tree, ApiError>> {
        let review = json!({
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": { "creationTimestamp": steersman_apimachinery::time::format(Timestamp::now()) },
            "status": { "userInfo": user_info(request.user) },
        });
        Box::pin(std::future::ready(Ok(review)))
    }
}

/// `authentication/v1` `UserInfo`.
fn user_info(user: &User) -> Tree {
    let mut info = json!({ "username": user.name });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}
