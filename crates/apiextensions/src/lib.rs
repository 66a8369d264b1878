//! What the schema of a custom resource says about its objects, as data: pruning, defaulting, validation, ratcheting,
//! the view that server-side apply needs, published OpenAPI, printer columns, the scale subresource.
//!
//! ```text
//! request ─▶ coerce (metadata, prune, nulls) ─▶ apply_defaults ─▶ validate ─▶ store
//! store   ─▶ coerce (malformed metadata dropped)  ─▶ apply_defaults ─▶ answer
//! ```
//!
//! A [`Schema`] is parsed once from `spec.versions[].schema.openAPIV3Schema` and shared. Nothing here knows HTTP, the
//! store, or how rules in CEL are run ([`rules`] walks them and asks an [`rules::Evaluator`]). The definition itself is
//! validated elsewhere: a schema that is parsed here is taken for structural.

pub mod rules;
mod schema;

mod coerce;
mod defaults;
mod nulls;
mod prune;

mod correlate;
mod embedded;
mod formats;
mod lists;
mod place;
mod validate;

mod apply;
mod columns;
mod fields;
#[cfg(test)]
mod interop;
mod jsonpath;
mod openapi;
mod scale;
mod texts;

pub use coerce::{CoerceError, Origin};
pub use columns::{InvalidColumn, PrinterColumn, printer_columns};
pub use fields::SelectableField;
pub use jsonpath::{InvalidPath, JsonPath};
pub use openapi::Published;
pub use scale::{AccessorError, ScaleError, ScalePaths};
pub use schema::{ListType, MapType, ParseError, Rule, RuleId, Schema, SchemaRef, Type};
