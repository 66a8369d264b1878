//! Strings and numbers.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Error;
use steersman_apimachinery::quote::go_float;

use super::outcome::{Number, Outcome, Problem, is_whole, truncated};
use super::walk::Walk;
use crate::place::Place;
use crate::schema::{Bound, Checks, FormatRule, Node, Type};

impl Walk<'_> {
    pub(super) fn check_scalar(
        &self,
        node: &Node,
        checks: &Checks,
        value: &Tree,
        place: &Place<'_>,
        out: &mut Outcome,
    ) {
        if let Some(text) = value.as_str() {
            out.merge(self.check_string(checks, text, place).into());
            out.matches += 1;
            if let Some(FormatRule::Text(form)) = checks.format.as_ref().map(|format| format.rule) {
                let name = checks.format.as_ref().map(|format| &*format.name).unwrap_or_default();
                let problem = (!form.fits(text)).then(|| self.wrong_type(place, name, text));
                out.merge(problem.into());
                out.matches += 1;
            }
        }
        if value.is_number() {
            out.merge(self.check_number(node, checks, value, place));
            out.matches += 1;
        }
    }

    /// The first problem of a string. Lengths are counted in characters.
    fn check_string(&self, checks: &Checks, text: &str, place: &Place<'_>) -> Option<Problem> {
        let length = || text.chars().count() as u64;
        if let Some(max) = checks.max_length.filter(|max| length() > *max) {
            let text = format!("{} in body should be at most {max} chars long", place.loose());
            return Some(Problem { error: Error::too_long(self.path(place), max as usize), text });
        }
        if let Some(min) = checks.min_length.filter(|min| length() < *min) {
            return Some(self.invalid(place, text, &format!("should be at least {min} chars long")));
        }
        let pattern = checks.pattern.as_ref()?;
        let source = &pattern.source;
        match pattern.matches(text) {
            Ok(true) => None,
            Ok(false) => Some(self.invalid(place, text, &format!("should match '{source}'"))),
            Err(why) => {
                let words = format!("should match '{source}, but pattern is invalid: {why}'");
                Some(self.invalid(place, text, &words))
            }
        }
    }

    pub(super) fn check_number(
        &self,
        node: &Node,
        checks: &Checks,
        value: &Tree,
        place: &Place<'_>,
    ) -> Outcome {
        let Some(number) = Number::of(value) else { return Outcome::default() };
        let mut out = Outcome::fit();
        let range = Range::of(node, checks);
        if !range.holds(number) {
            out.add(self.out_of_range(&range, "Checked", place));
        }
        if let Some(factor) = checks.multiple_of {
            let native = self.check_limit(&range, factor, "MultipleOf", place, &mut out);
            let number = if native { number } else { Number::Float(number.as_f64()) };
            out.merge(self.multiple_of(number, factor, place).into());
        }
        let limits =
            [("Maximum boundary", checks.maximum, true), ("Minimum boundary", checks.minimum, false)];
        for (name, bound, is_maximum) in limits {
            let Some(bound) = bound else { continue };
            let native = self.check_limit(&range, bound.value, name, place, &mut out);
            let number = if native { number } else { Number::Float(number.as_f64()) };
            if let Some(words) = beyond(number, bound, is_maximum) {
                out.add(self.invalid(place, number.to_value(), &words));
            }
        }
        out
    }

    /// Whether a limit is itself a value of the type.
    fn check_limit(
        &self,
        range: &Range,
        limit: f64,
        name: &str,
        place: &Place<'_>,
        out: &mut Outcome,
    ) -> bool {
        let holds = range.holds(Number::Float(limit));
        if !holds {
            out.add(self.out_of_range(range, name, place));
        }
        holds
    }

    fn out_of_range(&self, range: &Range, name: &str, place: &Place<'_>) -> Problem {
        let (kind, format) = range.names();
        let of = if format.is_empty() {
            format!("{kind} (default format)")
        } else {
            format!("{kind} with format {format}")
        };
        self.unplaced(format!("{name} value must be of type {of} in {}", place.loose()))
    }

    fn multiple_of(&self, number: Number, factor: f64, place: &Place<'_>) -> Option<Problem> {
        let (shown, fits) = match number {
            Number::Int(int) => {
                let factor = truncated(factor);
                (factor as f64, factor > 0 && int % factor == 0)
            }
            Number::Float(float) if factor < 1.0 => (factor, is_whole(1.0 / factor * float)),
            Number::Float(float) => (factor, is_whole(float / factor)),
        };
        if shown <= 0.0 {
            let at = place.loose();
            let text = format!("factor MultipleOf declared for {at} must be positive: {}", go_float(shown));
            let shown = serde_json::json!(shown);
            return Some(Problem { error: Error::invalid(self.path(place), shown, text.clone()), text });
        }
        let words = format!("should be a multiple of {}", go_float(shown));
        (!fits).then(|| self.invalid(place, number.to_value(), &words))
    }
}

/// What is wrong with a number beyond a bound. Whole numbers are compared with the whole part of the bound.
fn beyond(number: Number, bound: Bound, is_maximum: bool) -> Option<String> {
    let (ordering, shown) = match number {
        Number::Int(int) => {
            let whole = truncated(bound.value);
            (int.cmp(&whole), whole.to_string())
        }
        Number::Float(float) => (float.partial_cmp(&bound.value)?, go_float(bound.value)),
    };
    let outside = if is_maximum { ordering.is_gt() } else { ordering.is_lt() };
    if !(outside || bound.exclusive && ordering.is_eq()) {
        return None;
    }
    let than = if is_maximum { "less than" } else { "greater than" };
    let or_equal = if bound.exclusive { "" } else { " or equal to" };
    Some(format!("should be {than}{or_equal} {shown}"))
}

/// The range of a type of numbers.
enum Range {
    Int32,
    Int64 { stated: bool },
    Float32,
    Any,
}

impl Range {
    fn of(node: &Node, checks: &Checks) -> Self {
        let format = checks.format.as_ref().map(|format| format.rule);
        match (node.kind.filter(|_| !node.int_or_string), format) {
            (Some(Type::Integer), Some(FormatRule::Int32)) => Self::Int32,
            (Some(Type::Integer), format) => Self::Int64 { stated: format == Some(FormatRule::Int64) },
            (Some(Type::Number), Some(FormatRule::Float)) => Self::Float32,
            _ => Self::Any,
        }
    }

    fn holds(&self, number: Number) -> bool {
        match (self, number) {
            (Self::Int32, Number::Int(int)) => i32::try_from(int).is_ok(),
            (Self::Int32, Number::Float(float)) => {
                float.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&float)
            }
            (Self::Int64 { .. }, Number::Float(float)) => float.fract() == 0.0 && float.abs() < 2f64.powi(63),
            (Self::Float32, number) => number.as_f64().abs() <= f64::from(f32::MAX),
            (Self::Int64 { .. }, Number::Int(_)) | (Self::Any, _) => true,
        }
    }

    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Int32 => ("integer", "int32"),
            Self::Int64 { stated: true } => ("integer", "int64"),
            Self::Int64 { stated: false } => ("integer", ""),
            Self::Float32 => ("number", "float"),
            Self::Any => ("", ""),
        }
    }
}
