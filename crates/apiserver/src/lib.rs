//! The API server: HTTP, authentication, authorization, admission, and the generic path from a request to the store.
//! It names no kind: what differs between kinds is in the resource table (`steersman_registry`).

pub mod request;

pub mod authentication;
pub mod authorization;
pub mod tokens;

#[cfg(test)]
mod fake;
mod view;
