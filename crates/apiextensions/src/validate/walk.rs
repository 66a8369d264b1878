//! The walk over a value: type, junctors, scalars, items, allowed values, fields, in this order.

use serde_json::{Map, Value};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};
use steersman_apimachinery::quote::{json, quote};

use super::outcome::{Number, Outcome, Problem, is_whole, truncated};
use crate::correlate::Correlated;
use crate::place::Place;
use crate::schema::{Additional, Checks, Node, Type};

/// Checks values; error paths start with `prefix`.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) prefix: &'a Path,
}

/// How the parts of a value are checked: on their own, or as what became of the old ones.
type Part<'a> = &'a dyn Fn(&Node, &Tree, Step<'_>, &Place<'_>) -> Outcome;

/// The way to a part.
#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

impl Walk<'_> {
    /// Checks a value on its own.
    pub(super) fn check(&self, node: &Node, value: &Tree, place: &Place<'_>) -> Outcome {
        self.check_with(node, value, place, &|node, value, _, place| self.check(node, value, place))
    }

    /// Checks what became of a value: where nothing changed, nothing is wrong.
    pub(super) fn check_change(&self, change: &Correlated<'_>, place: &Place<'_>) -> Outcome {
        let part = |node: &Node, value: &Tree, step: Step<'_>, at: &Place<'_>| {
            let below = match step {
                // Both objects are shown in one version, so a change of it cannot be seen.
                Step::Field("apiVersion" | "kind") if place.is_root() && *self.prefix == Path::root() => None,
                Step::Field(name) => change.key(name),
                Step::Item(index) => change.index(index),
            };
            below.map_or_else(|| self.check(node, value, at), |below| self.check_change(&below, at))
        };
        let outcome = self.check_with(change.node, change.new, place, &part);
        if !outcome.is_valid() && change.is_unchanged() { outcome.forgiven() } else { outcome }
    }

    fn check_with(&self, node: &Node, value: &Tree, place: &Place<'_>, part: Part<'_>) -> Outcome {
        let checks = node.checks.as_deref();
        let mut out = Outcome::default();
        if value.is_null() {
            out.merge(self.check_type(node, value, place));
            out.merge(checks.and_then(|checks| self.check_allowed(checks, value, place)).into());
            return out;
        }
        if node.type_name().is_some() || checks.is_some_and(|checks| checks.format.is_some()) {
            out.merge(self.check_type(node, value, place));
            out.matches += 1;
        }
        out.matches += 2; // the junctors, which count themselves too
        if let Some(checks) = checks {
            out.merge(self.check_junctors(checks, value, place));
            self.check_scalar(node, checks, value, place, &mut out);
        } else if value.is_number() {
            out.merge(self.check_number(node, &Checks::default(), value, place));
            out.matches += 1;
        } else if value.is_string() {
            out.matches += 1;
        }
        if let Value::Array(items) = value {
            out.merge(self.check_items(node, items, place, part));
            out.matches += 1;
        }
        out.merge(checks.and_then(|checks| self.check_allowed(checks, value, place)).into());
        out.matches += 1;
        if let Value::Object(fields) = value {
            out.merge(self.check_fields(node, fields, place, part));
            out.matches += 1;
        }
        out.matches += 1;
        out
    }

    /// A problem in upstream's words: `text` follows the place.
    pub(super) fn invalid(&self, place: &Place<'_>, value: impl Into<Value>, text: &str) -> Problem {
        let text = format!("{} in body {text}", place.loose());
        Problem { error: Error::invalid(self.path(place), value, text.clone()), text }
    }

    /// A problem that upstream reports without its place.
    pub(super) fn unplaced(&self, text: String) -> Problem {
        Problem { error: Error::invalid(self.prefix.clone(), "", text.clone()), text }
    }

    pub(super) fn wrong_type(&self, place: &Place<'_>, wanted: &str, got: &str) -> Problem {
        let text = format!("{} in body must be of type {wanted}: {}", place.loose(), quote(got));
        Problem { error: Error::type_invalid(self.path(place), got, text.clone()), text }
    }

    pub(super) fn path(&self, place: &Place<'_>) -> Path {
        let dotted = place.dotted();
        if dotted.is_empty() { self.prefix.clone() } else { self.prefix.child(&dotted) }
    }

    fn check_type(&self, node: &Node, value: &Tree, place: &Place<'_>) -> Outcome {
        match type_mismatch(node, value) {
            Some((wanted, got)) => Some(self.wrong_type(place, wanted, got)).into(),
            None => Outcome::fit(),
        }
    }

    fn check_allowed(&self, checks: &Checks, value: &Tree, place: &Place<'_>) -> Option<Problem> {
        let fits = |allowed: &Value| is_allowed(value, allowed);
        if checks.allowed.is_empty() || checks.allowed.iter().any(fits) {
            return None;
        }
        let texts: Vec<String> = checks
            .allowed
            .iter()
            .map(|allowed| allowed.as_str().map_or_else(|| json(allowed), str::to_owned))
            .collect();
        let known: Vec<&str> = texts.iter().map(String::as_str).collect();
        let text = format!("{} in body should be one of [{}]", place.loose(), known.join(" "));
        Some(Problem { error: Error::not_supported_in_order(self.path(place), value.clone(), &known), text })
    }

    fn check_items(&self, node: &Node, items: &[Tree], place: &Place<'_>, part: Part<'_>) -> Outcome {
        let mut out = Outcome::fit();
        if let Some(below) = &node.items {
            for (i, item) in items.iter().enumerate() {
                out.merge(part(below, item, Step::Item(i), &place.index(i)));
            }
        }
        let Some(checks) = &node.checks else { return out };
        let size = items.len();
        if let Some(min) = checks.min_items.filter(|min| (size as u64) < *min) {
            out.add(self.invalid(place, size, &format!("should have at least {min} items")));
        }
        if let Some(max) = checks.max_items.filter(|max| size as u64 > *max) {
            let text = format!("{} in body should have at most {max} items", place.loose());
            out.add(Problem { error: Error::too_many(self.path(place), size, max as usize), text });
        }
        let repeats = |(i, item): (usize, &Tree)| items[..i].contains(item);
        if checks.unique_items && items.iter().enumerate().any(repeats) {
            out.add(self.invalid(place, "", "shouldn't contain duplicates"));
        }
        out
    }

    fn check_fields(
        &self,
        node: &Node,
        fields: &Map<String, Tree>,
        place: &Place<'_>,
        part: Part<'_>,
    ) -> Outcome {
        let mut out = Outcome::default();
        let checks = node.checks.as_deref();
        if let Some(checks) = checks {
            self.check_field_count(checks, fields.len(), place, &mut out);
        }
        for (name, value) in fields {
            match (node.property(name), &node.additional) {
                (Some(below), _) => {
                    out.merge(part(below, value, Step::Field(name), &place.field(name)));
                }
                (None, Additional::Of(below)) => {
                    out.merge(part(below, value, Step::Field(name), &place.key(name)));
                }
                (None, Additional::Nothing) => out.add(self.forbidden_field(place, name)),
                (None, Additional::Any | Additional::Unstated) => {}
            }
        }
        let missing = checks.into_iter().flat_map(|checks| &checks.required);
        for name in missing.filter(|name| !fields.contains_key(&***name)) {
            let at = place.field(name);
            let text = format!("{} in body is required", at.loose());
            out.add(Problem { error: Error::required(self.path(&at), ""), text });
        }
        out
    }

    fn check_field_count(&self, checks: &Checks, size: usize, place: &Place<'_>, out: &mut Outcome) {
        if let Some(min) = checks.min_properties.filter(|min| (size as u64) < *min) {
            out.add(self.invalid(place, size, &format!("should have at least {min} properties")));
        }
        if let Some(max) = checks.max_properties.filter(|max| size as u64 > *max) {
            let text = format!("{} in body should have at most {max} properties", place.loose());
            out.add(Problem { error: Error::too_many(self.path(place), size, max as usize), text });
        }
    }

    fn forbidden_field(&self, place: &Place<'_>, name: &str) -> Problem {
        let text = format!("{}.{name} in body is a forbidden property", place.loose());
        Problem { error: Error::invalid(self.path(place), name, text.clone()), text }
    }
}

/// The type that is wanted and the one that is there. A string or a list fits any type with a format that is not one of
/// numbers: upstream leaves those to the format.
fn type_mismatch<'a>(node: &'a Node, value: &Tree) -> Option<(&'a str, &'static str)> {
    let wanted = node.type_name();
    let (kind, format_of_value) = match (value, Number::of(value)) {
        (Value::Null, _) => {
            return wanted.filter(|_| !node.nullable).map(|wanted| (wanted, "null"));
        }
        (_, Some(Number::Int(_))) => (Type::Integer, "int64"),
        (_, Some(Number::Float(_))) => (Type::Number, "float64"),
        (Value::Bool(_), _) => (Type::Boolean, ""),
        (Value::Array(_), _) => (Type::Array, ""),
        (Value::Object(_), _) => (Type::Object, ""),
        (Value::String(_) | Value::Number(_), _) => (Type::String, ""),
    };
    let whole = || kind == Type::Number && value.as_f64().is_some_and(is_whole) && node.allows(Type::Integer);
    let fits = node.allows(kind) || whole() || kind == Type::Integer && node.allows(Type::Number);
    let of_text = matches!(kind, Type::String | Type::Array);
    let of_numbers = node.allows(Type::Integer) || node.allows(Type::Number);
    match node.checks.as_ref().and_then(|checks| checks.format.as_ref()) {
        Some(format) if !of_text && !fits && *format.name != *format_of_value => {
            Some((&format.name, format_of_value))
        }
        Some(_) if of_text && !of_numbers => None,
        _ if fits => None,
        _ => Some((wanted.unwrap_or_default(), kind.as_str())),
    }
}

/// Whether a value is one of `enum`. Null never is. Numbers are compared in the type of the allowed one, as Go converts
/// them.
fn is_allowed(value: &Tree, allowed: &Value) -> bool {
    match (Number::of(value), Number::of(allowed)) {
        (Some(Number::Float(value)), Some(Number::Int(allowed))) => truncated(value) == allowed,
        (Some(value), Some(Number::Float(allowed))) => value.as_f64() == allowed,
        _ => !value.is_null() && value == allowed,
    }
}
