//! What differs between kinds: the resource table, and per resource its strategy (defaulting, validation, update
//! rules) and its printer columns. Pure: no store, no HTTP, no clock of its own.

mod resource;
mod strategy;

pub use resource::{Column, ColumnKind, Resource, Scope, Subresource, Verb};
pub use strategy::{Context, Strategy};
