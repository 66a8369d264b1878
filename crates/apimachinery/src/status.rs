//! `metav1.Status`: how the API says that something failed. Tools match on code, reason and message, so all three
//! are upstream's (`k8s.io/apimachinery/pkg/api/errors`).

use serde::{Deserialize, Serialize};

use crate::field::{self, ErrorList};
use crate::gvk::qualified;
use crate::quote::quote;

/// A failure as the client sees it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, …; empty if upstream knows none for it.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// What failed, more closely.
    pub details: Option<Box<StatusDetails>>,
}

/// `metav1.StatusDetails`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural resource, or the kind for `Invalid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One a problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// Seconds to wait before the next try; 0 if none.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// `metav1.StatusCause`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusCause {
    /// `FieldValueInvalid`, ….
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field's path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl ApiError {
    /// A failure without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: nobody known. The API's own answer has the message `Unauthorized`.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "Unauthorized", message)
    }

    /// 405: the resource does not know this verb.
    pub fn method_not_supported(group: &str, resource: &str, action: &str) -> Self {
        let kind = quote(&qualified(resource, group));
        let message = format!("{action} is not supported on resources of kind {kind}");
        Self { details: details(group, resource, ""), ..Self::new(405, "MethodNotAllowed", message) }
    }

    /// 405: nothing at this path knows this HTTP method.
    pub fn method_not_allowed() -> Self {
        Self::generic(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 404: the server has no such resource.
    pub fn resource_not_served() -> Self {
        Self::generic(404, "NotFound", "the server could not find the requested resource")
    }

    /// 406: none of the media types that the client accepts can be given.
    pub fn not_acceptable(available: &[&str]) -> Self {
        let list = available.join(", ");
        Self::new(406, "NotAcceptable", format!("only the following media types are accepted: {list}"))
    }

    /// 415: the body's media type is not known.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let list = accepted.join(", ");
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {list}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 410: what was asked for existed once and is no more.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// 410: the revision asked for is compacted. Clients list again on this reason.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413: the body is too large. `message` says the limit (`limit is 3145728`).
    pub fn request_entity_too_large(message: impl std::fmt::Display) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"))
    }

    /// 429: come back after `retry_after_seconds`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(429, "TooManyRequests", message).retry_after(retry_after_seconds)
    }

    /// 500: the server's fault. `message` is the cause.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let cause = StatusCause { message: message.to_string(), ..StatusCause::default() };
        let mut error = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        error.details = Some(Box::new(StatusDetails { causes: vec![cause], ..StatusDetails::default() }));
        error
    }

    /// 500 with reason `ServerTimeout`: the operation did not end in time and may be tried again.
    pub fn server_timeout(group: &str, resource: &str, operation: &str, retry_after_seconds: u32) -> Self {
        let what = qualified(resource, group);
        let message = format!(
            "The {operation} operation against {what} could not be completed at this time, please try again."
        );
        let error =
            Self { details: details(group, resource, ""), ..Self::new(500, "ServerTimeout", message) };
        error.retry_after(retry_after_seconds)
    }

    /// 503: the server or what it relies on is not ready.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: the request did not end in time.
    pub fn timeout(message: impl std::fmt::Display, retry_after_seconds: u32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}")).retry_after(retry_after_seconds)
    }

    /// 404: no object of this name.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(resource, group), quote(name));
        Self { details: details(group, resource, name), ..Self::new(404, "NotFound", message) }
    }

    /// 409: there is an object of this name.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(resource, group), quote(name));
        Self { details: details(group, resource, name), ..Self::new(409, "AlreadyExists", message) }
    }

    /// 409: the object has changed, or a precondition does not hold.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {}: {why}", qualified(resource, group), quote(name));
        Self { details: details(group, resource, name), ..Self::new(409, "Conflict", message) }
    }

    /// 409: a generated name was taken.
    pub fn generate_name_conflict(group: &str, resource: &str, name: &str, retry_after_seconds: u32) -> Self {
        let message = format!(
            "{} {} already exists, the server was not able to generate a unique name for the object",
            qualified(resource, group),
            quote(name)
        );
        let error =
            Self { details: details(group, resource, name), ..Self::new(409, "AlreadyExists", message) };
        error.retry_after(retry_after_seconds)
    }

    /// 409: other managers own fields that the applied configuration sets.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<StatusCause>) -> Self {
        let details = Some(Box::new(StatusDetails { causes, ..StatusDetails::default() }));
        Self { details, ..Self::new(409, "Conflict", message) }
    }

    /// 403: not allowed. `why` may be empty.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(resource, group);
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} {} is forbidden: {why}", quote(name)),
        };
        Self { details: details(group, resource, name), ..Self::new(403, "Forbidden", message) }
    }

    /// 422: the object is well-formed but not valid. `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, problems: &ErrorList) -> Self {
        let mut message = format!("{} {} is invalid", qualified(kind, group), quote(name));
        if !problems.is_empty() {
            message.push_str(&format!(": {}", field::aggregate(problems)));
        }
        let mut details = details(group, kind, name);
        if let Some(details) = &mut details {
            details.causes = problems.iter().map(cause).collect();
        }
        Self { details, ..Self::new(422, "Invalid", message) }
    }

    /// The same failure, with the advice to wait this long before the next try.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// Seconds to wait before the next try (the `Retry-After` header), if the failure says so.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    }

    fn generic(code: u16, reason: &'static str, message: &str) -> Self {
        Self { details: Some(Box::default()), ..Self::new(code, reason, message) }
    }

    /// The `Status` object to send.
    pub fn to_status(&self) -> serde_json::Value {
        let mut status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = serde_json::json!(details);
        }
        status
    }
}

fn cause(problem: &crate::field::Error) -> StatusCause {
    StatusCause {
        reason: problem.kind.reason().to_owned(),
        message: problem.body(),
        field: problem.path.to_string(),
    }
}

fn details(group: &str, kind: &str, name: &str) -> Option<Box<StatusDetails>> {
    Some(Box::new(StatusDetails {
        name: name.to_owned(),
        group: group.to_owned(),
        kind: kind.to_owned(),
        ..StatusDetails::default()
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::{Error, Path};

    #[test]
    fn messages_are_upstreams() {
        let problem = || Error::required(Path::new("spec"), "");
        let cases = [
            (ApiError::not_found("apps", "deployments", "web"), 404, "deployments.apps \"web\" not found"),
            (ApiError::already_exists("", "pods", "a"), 409, "pods \"a\" already exists"),
            (
                ApiError::conflict("", "pods", "a", "it changed"),
                409,
                "Operation cannot be fulfilled on pods \"a\": it changed",
            ),
            (ApiError::forbidden("", "pods", "a", "no"), 403, "pods \"a\" is forbidden: no"),
            (ApiError::forbidden("", "pods", "", "no"), 403, "pods is forbidden: no"),
            (ApiError::forbidden("", "", "", "no"), 403, "forbidden: no"),
            (ApiError::invalid("", "Pod", "a", &vec![]), 422, "Pod \"a\" is invalid"),
            (
                ApiError::invalid("", "Pod", "a", &vec![problem(), problem()]),
                422,
                "Pod \"a\" is invalid: spec: Required value",
            ),
            (
                ApiError::method_not_supported("", "bindings", "list"),
                405,
                "list is not supported on resources of kind \"bindings\"",
            ),
            (
                ApiError::server_timeout("", "pods", "list", 1),
                500,
                "The list operation against pods could not be completed at this time, please try again.",
            ),
            (ApiError::timeout("slow", 0), 504, "Timeout: slow"),
            (
                ApiError::request_entity_too_large("limit is 3145728"),
                413,
                "Request entity too large: limit is 3145728",
            ),
        ];
        for (error, code, message) in cases {
            assert_eq!((error.code, error.message.as_str()), (code, message));
        }
    }

    #[test]
    fn a_status_carries_the_details() {
        let status = ApiError::too_many_requests("slow down", 3).to_status();
        assert_eq!(
            status,
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 429,
                "reason": "TooManyRequests", "message": "slow down", "details": {"retryAfterSeconds": 3},
            })
        );
        let problems = vec![Error::invalid(Path::new("a"), 1, "odd")];
        assert_eq!(
            ApiError::invalid("g", "Kind", "n", &problems).to_status()["details"],
            json!({
                "name": "n", "group": "g", "kind": "Kind",
                "causes": [{"reason": "FieldValueInvalid", "message": "Invalid value: 1: odd", "field": "a"}],
            })
        );
        assert_eq!(
            ApiError::internal("boom").to_status()["details"],
            json!({"causes": [{"message": "boom"}]})
        );
    }
}
