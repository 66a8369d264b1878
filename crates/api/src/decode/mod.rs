//! JSON to trees, as upstream's decoder does it: one pass that collects every unknown and duplicate field, and fails
//! on the first wrong type in Go's words.
//!
//! The tree that comes out is what upstream would serve back. Going through Go structs, a client's object loses what
//! Go or protobuf cannot tell from nothing (`null`, empty lists and maps, zero values of `omitempty` fields that are no
//! pointers), and gains what Go always writes (structs that are no pointers, `resources: {}`; scalars without
//! `omitempty`, `restartCount: 0`).
//! Quantities and times come out canonical. Unknown fields are pruned and reported: whether they are ignored, warned
//! about or refused is the caller's choice.
//!
//! [`decode_tree`] does the same to a tree, such as the outcome of a patch. Nesting is limited to 128 levels.

mod error;
mod scalars;
mod seed;
mod state;
mod untyped;
mod zero;

use serde::de::DeserializeSeed;
use steersman_apimachinery::Tree;

use crate::catalog::{TypeId, ValueType};

pub use error::{DecodeError, StrictProblem, cannot_be_handled, strict_decoding_error};
pub(crate) use scalars::canonical_quantity;
use seed::ValueSeed;
use state::{Place, State};
pub(crate) use zero::{always_written, fill, is_zero, zero_of};

/// A decoded object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The object, without unknown fields.
    pub tree: Tree,
    /// Unknown and duplicate fields in the order in which they were met; at most 100, none twice.
    pub problems: Vec<StrictProblem>,
}

/// Decodes an object of a catalogued type.
pub fn decode(json: &[u8], id: TypeId) -> Result<Decoded, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut state = State::default();
    let outcome = root(&mut state, id).deserialize(&mut deserializer).and_then(|tree| {
        deserializer.end()?;
        Ok(tree)
    });
    state.finish(outcome, Some(json))
}

/// The same to a tree: drops what Go would drop, adds what it would add, prunes and checks.
pub fn decode_tree(tree: Tree, id: TypeId) -> Result<Decoded, DecodeError> {
    let mut state = State::default();
    let outcome = root(&mut state, id).deserialize(tree);
    state.finish(outcome, None)
}

/// The same to a part of an object that has no type as a whole, such as a custom resource's metadata. `path` is where
/// it is, such as `metadata`.
pub fn decode_part(tree: Tree, id: TypeId, path: &str) -> Result<Decoded, DecodeError> {
    let mut state = State::default();
    let outcome = state.within_key(path, |state| root(state, id).deserialize(tree));
    state.finish(outcome, None)
}

/// Decodes an object of which no type is known (a custom resource): nothing is pruned, duplicate fields are reported.
pub fn decode_untyped(json: &[u8]) -> Result<Decoded, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let mut state = State::default();
    let outcome = untyped::TreeSeed(&mut state).deserialize(&mut deserializer).and_then(|tree| {
        deserializer.end()?;
        Ok(Some(tree))
    });
    state.finish(outcome, Some(json))
}

fn root(state: &mut State, id: TypeId) -> ValueSeed<'_> {
    ValueSeed { state, value: ValueType::Ref(id), place: Place::Root }
}

#[cfg(test)]
mod tests;
