//! `x-kubernetes-validations`: which rules there are, and the walk over an object that asks for each.
//!
//! The walk finds the value and the old value of every rule, keeps the cost budget, leaves out transition rules where
//! there is no old value, ratchets, and words the errors. What an expression is, and what it evaluates to, an
//! [`Evaluator`] says; it is made once for a schema, from [`Schema::rules`].

mod path;
mod walk;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, ErrorType, Path};

use crate::Schema;
use crate::schema::{Additional, Node, Rule, RuleId, SchemaRef};

pub(crate) use path::normalized_field_path;
pub use walk::RuleReport;

/// What all rules of one object may cost together (upstream's `RuntimeCELCostBudget`).
pub const COST_BUDGET: u64 = 10_000_000;
/// What a single evaluation may cost (upstream's `PerCallLimit`).
pub const CALL_COST_LIMIT: u64 = 1_000_000;

/// A rule of a schema, with what its expressions' types follow from.
#[derive(Clone, Copy, Debug)]
pub struct RuleRef<'a> {
    /// Its number.
    pub id: RuleId,
    /// The rule.
    pub rule: &'a Rule,
    /// The schema of `self`.
    pub schema: SchemaRef<'a>,
    /// Whether `self` is a whole object, so that it has `apiVersion`, `kind`, `metadata.name` and
    /// `metadata.generateName` whatever the schema says.
    pub is_object: bool,
}

/// One evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The rule.
    pub rule: RuleRef<'a>,
    /// `self`.
    pub this: &'a Tree,
    /// `oldSelf`, if there is an old value. For a rule with `optionalOldSelf` it is an optional of this.
    pub old: Option<&'a Tree>,
    /// What is left of [`COST_BUDGET`]; a single call may cost [`CALL_COST_LIMIT`] at most.
    pub budget: u64,
}

/// What came out of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation<T> {
    /// What it cost.
    pub cost: u64,
    /// The value, or why there is none.
    pub outcome: Result<T, EvaluationError>,
}

/// Why an expression has no value. The texts are the evaluator's own; what stands around them is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The expression does not compile.
    #[error("{0}")]
    Compile(String),
    /// No function takes such arguments: `no such overload`.
    #[error("{0}")]
    NoOverload(String),
    /// The call's own limit was reached: `operation cancelled: actual cost limit exceeded`.
    #[error("{0}")]
    CostLimit(String),
    /// Anything else: `no such key: a`, `division by zero`.
    #[error("{0}")]
    Failed(String),
}

/// Runs expressions. Made for one schema: rules are told apart by their numbers.
pub trait Evaluator {
    /// Whether the rule's expression mentions `oldSelf`.
    fn uses_old_self(&self, rule: RuleId) -> bool;
    /// Evaluates the rule.
    fn evaluate(&self, call: &Call<'_>) -> Evaluation<bool>;
    /// Evaluates the rule's `messageExpression`; only called for rules that have one.
    fn message(&self, call: &Call<'_>) -> Evaluation<String>;
}

impl Schema {
    /// Every rule, with the schema of its `self`. Rules within `allOf` belong to the value that it is about.
    pub fn rules(&self) -> Vec<RuleRef<'_>> {
        let mut out = Vec::new();
        collect(&self.root, &self.root, true, &mut out);
        out.sort_by_key(|rule| rule.id);
        out
    }

    /// The violations of the rules. `old` is the object before an update.
    pub fn validate_rules(&self, new: &Tree, old: Option<&Tree>, evaluator: &dyn Evaluator) -> RuleReport {
        walk::run(&self.root, new, old, evaluator)
    }
}

/// The error that stands for rules that were not evaluated, because these errors say that the object does not have
/// the form that expressions rely on; `None` if they do not.
pub fn blocked_by(errors: &ErrorList) -> Option<Error> {
    use ErrorType::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    let blocking =
        |error: &Error| matches!(error.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid);
    let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
               complete validation";
    errors.iter().any(blocking).then(|| Error::invalid(Path::root(), Tree::Null, why))
}

fn collect<'a>(from: &'a Node, node: &'a Node, is_object: bool, out: &mut Vec<RuleRef<'a>>) {
    let schema = SchemaRef(node);
    out.extend(from.rules.iter().map(|(id, rule)| RuleRef { id: *id, rule, schema, is_object }));
    let mut below = |from: &'a Node, node: &'a Node| collect(from, node, node.embedded, out);
    if let (Some(from), Some(node)) = (&from.items, &node.items) {
        below(from, node);
    }
    if let (Additional::Of(from), Additional::Of(node)) = (&from.additional, &node.additional) {
        below(from, node);
    }
    for (name, from) in &from.properties {
        if let Some(node) = node.property(name) {
            below(from, node);
        }
    }
    for nested in from.checks.iter().flat_map(|checks| &checks.all_of) {
        collect(nested, node, is_object, out);
    }
}

#[cfg(test)]
mod tests;
