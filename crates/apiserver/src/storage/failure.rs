//! The store's failures as the API tells them.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::{ApiError, StatusCause, StatusDetails};
use steersman_store::{Revision, StoreError};

/// Upstream's words for a list at a revision that is compacted.
pub const LIST_TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You \
can start a new list without the continue parameter, or use the continue token in this response to retrieve the \
remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// What a client is told; causes are logged, not sent, where they are the server's own.
pub fn of_store(error: StoreError) -> ApiError {
    match error {
        StoreError::Compacted { .. } => ApiError::expired(LIST_TOO_OLD),
        StoreError::Future { asked, newest } => too_new(asked, newest),
        StoreError::NoSpace(why) => ApiError::new(507, "InsufficientStorage", why),
        StoreError::Uncertain(why) => {
            tracing::warn!(why, "the outcome of a write is unknown");
            ApiError::timeout("the outcome of the write is unknown", 0)
        }
        StoreError::Unavailable(why) => {
            tracing::error!(why, "the store is unavailable");
            ApiError::service_unavailable("the store is unavailable")
        }
        StoreError::Corrupt(why) => {
            tracing::error!(why, "the store is damaged");
            ApiError::internal("the store is damaged")
        }
        StoreError::Conflict(_) => ApiError::internal("unexpected conflict"),
    }
}

/// 504 with the cause by which clients know to list from the newest.
pub fn too_new(asked: Revision, newest: Revision) -> ApiError {
    let message = format!("Timeout: Too large resource version: {asked}, current: {newest}");
    let details = StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    };
    ApiError { details: Some(Box::new(details)), ..ApiError::new(504, "Timeout", message) }
}

/// 500 as upstream gives for what etcd refuses to take.
pub fn too_large(size: usize, limit: usize) -> ApiError {
    ApiError::new(
        500,
        "",
        format!("etcdserver: request is too large: {size} bytes, at most {limit} are stored"),
    )
}

/// The `Status` of an expired continue token: it carries a token that continues at the newest revision.
pub fn expired_continue(fresh_token: &str) -> (ApiError, Tree) {
    let error = ApiError::expired(CONTINUE_TOO_OLD);
    let mut status = error.to_status();
    status["metadata"] = json!({ "continue": fresh_token });
    (error, status)
}
