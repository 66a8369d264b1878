//! What a value must satisfy beyond its structure.

use std::sync::Arc;

use serde_json::Value;

use super::{Format, Node, Pattern};

/// A limit of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) exclusive: bool,
}

/// The keywords of value validation. Most positions have none, so they are kept apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    pub(crate) format: Option<Format>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) max_properties: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) required: Box<[Box<str>]>,
    pub(crate) allowed: Box<[Value]>,
    pub(crate) all_of: Box<[Arc<Node>]>,
    pub(crate) any_of: Box<[Arc<Node>]>,
    pub(crate) one_of: Box<[Arc<Node>]>,
    pub(crate) not: Option<Arc<Node>>,
}

impl Checks {
    /// Whether nothing is checked.
    pub(crate) fn is_empty(&self) -> bool {
        let numbers = self.maximum.is_none() && self.minimum.is_none() && self.multiple_of.is_none();
        let strings = self.max_length.is_none() && self.min_length.is_none() && self.pattern.is_none();
        let lists = self.max_items.is_none() && self.min_items.is_none() && !self.unique_items;
        let maps = self.max_properties.is_none() && self.min_properties.is_none() && self.required.is_empty();
        let junctors =
            self.all_of.is_empty() && self.any_of.is_empty() && self.one_of.is_empty() && self.not.is_none();
        self.format.is_none() && self.allowed.is_empty() && numbers && strings && lists && maps && junctors
    }
}
