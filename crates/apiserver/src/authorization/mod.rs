//! What a user may do: the node authorizer, then RBAC; `system:masters` may do everything.
//!
//! Decisions are made from indexes in memory that follow the store; no request waits for a read.

mod forbidden;

pub use forbidden::forbidden;
