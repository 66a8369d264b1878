//! What comes out of a check: problems, and how much fitted.

use serde_json::Value;
use steersman_apimachinery::field::{Error, ErrorList};

/// A problem. Problems with the same text are one.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) text: String,
    pub(super) error: Error,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    problems: Vec<Problem>,
    /// How many checks applied and fitted: of several schemas that all fail, the errors of the one that fits best are
    /// shown. Counted as upstream counts.
    pub(super) matches: usize,
}

impl Outcome {
    /// One check that fitted.
    pub(super) fn fit() -> Self {
        Self { problems: Vec::new(), matches: 1 }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn add(&mut self, problem: Problem) {
        if !self.problems.iter().any(|own| own.text == problem.text) {
            self.problems.push(problem);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.matches += other.matches;
        other.problems.into_iter().for_each(|problem| self.add(problem));
    }

    /// Drops the problems, as if there were none.
    pub(super) fn forgiven(self) -> Self {
        Self { problems: Vec::new(), ..self }
    }

    pub(super) fn errors(self) -> ErrorList {
        self.problems.into_iter().map(|problem| problem.error).collect()
    }
}

impl From<Option<Problem>> for Outcome {
    fn from(problem: Option<Problem>) -> Self {
        Self { problems: problem.into_iter().collect(), matches: 0 }
    }
}

/// A number as Go decodes JSON: an `int64` where it fits, else a `float64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        number.as_i64().map(Self::Int).or_else(|| number.as_f64().map(Self::Float))
    }

    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Int(int) => int.into(),
            Self::Float(float) => float.into(),
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}

/// Whether a float is written without a fraction in JSON, as far as Go's library thinks: within 53 bits, and with a
/// relative error of less than a billionth.
pub(super) fn is_whole(float: f64) -> bool {
    const LIMIT: f64 = 9_007_199_254_740_991.0;
    if !(-LIMIT..=LIMIT).contains(&float) {
        return false;
    }
    let rounded = float.round();
    float == rounded || rounded != 0.0 && (float - rounded).abs() < 1e-9 * rounded.abs()
}

/// A float's whole part. What is out of range is the lowest integer, as in Go on common machines.
pub(crate) fn truncated(float: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&float) { float as i64 } else { i64::MIN }
}
