//! What every kind shares: group-version-kinds, metadata, selectors, quantities, `Status`, field paths, names and
//! patches. Trees are [`serde_json::Value`]s; a schema is seen through [`schema::Schema`].

pub mod field;
pub mod fields;
pub mod gvk;
pub mod intstr;
pub mod labels;
pub mod managed_fields;
pub mod meta;
pub mod names;
pub mod patch;
pub mod quantity;
pub mod quote;
pub mod schema;
pub mod status;
pub mod time;

/// An object or a part of one. The tree is the truth; typed structs are views of it.
pub type Tree = serde_json::Value;
