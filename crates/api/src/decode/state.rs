//! What one decoding remembers: where it is, and what it has found.

use std::collections::HashSet;

use steersman_apimachinery::Tree;

use super::{DecodeError, Decoded, StrictProblem};
use crate::catalog::{Field, Scalar, ValueType, catalog};

/// Upstream stops collecting at this many.
const MAX_PROBLEMS: usize = 100;

/// What a value belongs to, so that an error can name its Go type.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The object itself.
    Root,
    /// A field's value, or what is so many lists and maps deep in it.
    Field(&'static Field, usize),
}

impl Place {
    /// One list or map further in.
    pub(super) fn element(self) -> Self {
        match self {
            Self::Root => Self::Root,
            Self::Field(field, depth) => Self::Field(field, depth + 1),
        }
    }
}

/// See the module's doc.
#[derive(Default)]
pub(super) struct State {
    /// The path as strict problems write it: `spec.containers[0]`.
    path: String,
    /// The path as Go's type errors write it: fields only.
    fields: Vec<&'static str>,
    /// The struct whose field is being decoded.
    pub(super) go_struct: &'static str,
    /// Above zero within values that upstream decodes leniently.
    pub(super) muted: usize,
    problems: Vec<StrictProblem>,
    seen: HashSet<StrictProblem>,
    /// The first wrong type; decoding goes on, as Go's does.
    wrong_type: Option<DecodeError>,
    /// What ended decoding at once.
    fatal: Option<DecodeError>,
}

impl State {
    /// Runs `inner` one key further in.
    pub(super) fn within_key<T>(&mut self, key: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let out = inner(self);
        self.path.truncate(length);
        out
    }

    /// Runs `inner` one list item further in.
    pub(super) fn within_index<T>(&mut self, index: usize, inner: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        let out = inner(self);
        self.path.truncate(length);
        out
    }

    /// Runs `inner` within a field of the struct `owner`.
    pub(super) fn within_field<T>(
        &mut self,
        owner: &'static str,
        field: &'static Field,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = std::mem::replace(&mut self.go_struct, owner);
        let depth = self.fields.len();
        self.fields.extend(field.go_embedded_in().into_iter().chain([field.name]));
        let out = self.within_key(field.name, inner);
        self.fields.truncate(depth);
        self.go_struct = outer;
        out
    }

    /// Runs `inner` as upstream runs a type's own decoder: leniently, and with a wrong type ending it all. Says whether
    /// it has.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let outer = self.wrong_type.take();
        self.muted += 1;
        let out = inner(self);
        self.muted -= 1;
        if let Some(error) = std::mem::replace(&mut self.wrong_type, outer) {
            self.refuse(error);
        }
        (out, self.has_ended())
    }

    /// Notes that the struct has no field of this name.
    pub(super) fn unknown(&mut self, name: &str) {
        self.note(StrictProblem::UnknownField(self.below(name)));
    }

    /// Notes that the field was there before.
    pub(super) fn duplicate(&mut self, name: &str) {
        self.note(StrictProblem::DuplicateField(self.below(name)));
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn note(&mut self, problem: StrictProblem) {
        if self.muted == 0 && self.problems.len() < MAX_PROBLEMS && self.seen.insert(problem.clone()) {
            self.problems.push(problem);
        }
    }

    /// Notes a value of the wrong type; only the first counts.
    pub(super) fn wrong_type(&mut self, found: String, value: ValueType, place: Place) {
        if self.wrong_type.is_none() {
            self.wrong_type = Some(self.type_error(found, go_type(value, place)));
        }
    }

    /// The same for an item of bytes written as a list of numbers.
    pub(super) fn wrong_byte(&mut self, found: String) {
        if self.wrong_type.is_none() {
            self.wrong_type = Some(self.type_error(found, "uint8".to_owned()));
        }
    }

    /// Notes a string of the wrong form; only the first wrong value counts.
    pub(super) fn note_form(&mut self, why: String) {
        self.wrong_type.get_or_insert(DecodeError::Form(why));
    }

    /// Notes a value that a type's own decoder refuses: that ends decoding.
    pub(super) fn refuse_type(&mut self, found: String, go_type: &str) {
        let error = self.type_error(found, go_type.to_owned());
        self.refuse(error);
    }

    /// Ends decoding, unless it has ended already.
    pub(super) fn refuse(&mut self, error: DecodeError) {
        self.fatal.get_or_insert(error);
    }

    /// Whether decoding has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.fatal.is_some()
    }

    fn type_error(&self, value: String, go_type: String) -> DecodeError {
        let target = match self.fields.as_slice() {
            [] => "Go value".to_owned(),
            fields => format!("Go struct field {}.{}", self.go_struct, fields.join(".")),
        };
        DecodeError::Type { value, target, go_type }
    }

    /// The outcome. What ended decoding comes before a parser's complaint about ending, and that before types.
    pub(super) fn finish(
        self,
        outcome: Result<Option<Tree>, serde_json::Error>,
        json: Option<&[u8]>,
    ) -> Result<Decoded, DecodeError> {
        if let Some(fatal) = self.fatal {
            return Err(fatal);
        }
        let tree = outcome.map_err(|e| DecodeError::from_parser(&e, json))?;
        match self.wrong_type {
            Some(error) => Err(error),
            None => Ok(Decoded { tree: tree.unwrap_or(Tree::Null), problems: self.problems }),
        }
    }
}

/// The Go type that errors name. A field's type may have a name of its own, and so may the items of its lists.
fn go_type(value: ValueType, place: Place) -> String {
    let Place::Field(field, depth) = place else { return catalog().go_value(value) };
    let stated = catalog().go_type(field);
    let mut rest = stated.as_str();
    for _ in 0..depth {
        match rest.strip_prefix("[]").or_else(|| rest.strip_prefix("map[string]")) {
            Some(inner) => rest = inner,
            None => return catalog().go_value(value),
        }
    }
    match value {
        // A named list of bytes or a named map keeps its name; `[]uint8` prints as such.
        ValueType::Scalar(Scalar::Bytes) if depth == 0 && rest.is_empty() => "[]uint8".to_owned(),
        _ => rest.to_owned(),
    }
}
