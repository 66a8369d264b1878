//! The patch types of the API: JSON patch, JSON merge patch and strategic merge patch. (Server-side apply is in
//! [`crate::managed_fields`].) Each takes the object and the decoded patch and gives the patched object; none looks at
//! what the result means, which the server checks as for an update.

mod json;
mod merge;
mod order;
mod strategic;

pub use json::apply_json;
pub use merge::{apply_merge, merge};
pub use strategic::apply_strategic;

use crate::Tree;
use crate::status::ApiError;

/// How Go names the JSON type of a value in its decoding errors.
fn json_type(value: &Tree) -> &'static str {
    match value {
        Tree::Null => "null",
        Tree::Bool(_) => "bool",
        Tree::Number(_) => "number",
        Tree::String(_) => "string",
        Tree::Array(_) => "array",
        Tree::Object(_) => "object",
    }
}

/// 422 as upstream words it for every patch that can be read but not be carried out: the cause is not told.
fn unprocessable() -> ApiError {
    let mut error =
        ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request");
    error.details = Some(Box::default());
    error
}

/// 500 without a reason: what upstream makes of an error that it did not foresee to be the client's fault.
fn unforeseen(message: impl Into<String>) -> ApiError {
    ApiError::new(500, "", message)
}

#[cfg(test)]
mod tests;
