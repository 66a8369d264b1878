//! The built-in kinds as data: the field catalogue, and what follows from it alone (decoding, encoding, schemas and
//! OpenAPI). No rules: defaulting and validation are in `registry`.

pub mod catalog;
pub mod decode;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod interop;
pub mod openapi;
pub mod protobuf;
mod schema;
pub mod yaml;

pub use catalog::{Catalog, catalog};
pub use schema::{schema_of, schema_of_type};
