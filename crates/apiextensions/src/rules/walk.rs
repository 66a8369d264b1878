//! The walk over an object that asks for each rule.

use serde_json::{Map, Value};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, ErrorType, Path};
use steersman_apimachinery::quote::quote;

use super::{COST_BUDGET, Call, Evaluation, EvaluationError, Evaluator, RuleRef};
use crate::correlate::{Correlated, same_item};
use crate::place::Place;
use crate::schema::{Additional, Node, Rule, SchemaRef, Type};

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";
const MESSAGE_OUT_OF_BUDGET: &str = "messageExpression evaluation failed due to running out of cost budget, no further \
                                     validation rules will be run";
const MESSAGE_MAX_BYTES: usize = 5 * 1024;

/// What the rules say of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleReport {
    /// What is wrong.
    pub errors: ErrorList,
    /// What is wrong and was before: a warning for the client.
    pub warnings: Vec<String>,
}

pub(super) fn run(root: &Node, new: &Tree, old: Option<&Tree>, evaluator: &dyn Evaluator) -> RuleReport {
    let mut walk = Walk { evaluator, budget: COST_BUDGET, stopped: false, report: RuleReport::default() };
    let current = old.map(|old| Correlated { new, old, node: root });
    let ratchet = Ratchet { current, nearest: None };
    walk.value(At { from: root, node: root, is_object: true, place: &Place::ROOT, ratchet }, new, old);
    walk.report
}

/// What an error is forgiven for: the value did not change, or the nearest value above that can be told.
#[derive(Clone, Copy)]
struct Ratchet<'a> {
    current: Option<Correlated<'a>>,
    nearest: Option<Correlated<'a>>,
}

impl<'a> Ratchet<'a> {
    fn forgives(&self) -> bool {
        self.current.or(self.nearest).is_some_and(|value| value.is_unchanged())
    }

    fn below(self, step: impl FnOnce(&Correlated<'a>) -> Option<Correlated<'a>>) -> Self {
        match self.current {
            None => self,
            Some(current) => Self { current: step(&current), nearest: Some(current) },
        }
    }

    fn key(self, name: &str) -> Self {
        // Both objects are shown in one version, so a change of it cannot be seen.
        if self.current.is_some() && self.nearest.is_none() && matches!(name, "apiVersion" | "kind") {
            return Self { current: None, nearest: None };
        }
        self.below(|current| current.key(name))
    }
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct At<'a> {
    /// The schema with the rules: the node itself, or one of its `allOf`.
    from: &'a Node,
    node: &'a Node,
    is_object: bool,
    place: &'a Place<'a>,
    ratchet: Ratchet<'a>,
}

impl<'a> At<'a> {
    fn below<'b>(&self, from: &'b Node, node: &'b Node, place: &'b Place<'b>, ratchet: Ratchet<'b>) -> At<'b>
    where
        'a: 'b,
    {
        At { from, node, is_object: node.embedded, place, ratchet }
    }

    fn type_name(&self) -> &'static str {
        self.node.kind.map(Type::as_str).unwrap_or_default()
    }
}

struct Walk<'e> {
    evaluator: &'e dyn Evaluator,
    budget: u64,
    /// Set when the budget is used up: no further rule is run.
    stopped: bool,
    report: RuleReport,
}

impl Walk<'_> {
    fn value(&mut self, at: At<'_>, value: &Tree, old: Option<&Tree>) {
        if self.stopped || value.is_null() {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        self.rules_of(&at, value, old);
        for nested in at.from.checks.iter().flat_map(|checks| &checks.all_of) {
            let ratchet = Ratchet { current: None, nearest: at.ratchet.nearest };
            self.value(At { from: nested, ratchet, ..at }, value, old);
        }
        match value {
            Value::Array(items) => self.items(&at, items, old.and_then(Value::as_array)),
            Value::Object(fields) => self.fields(&at, fields, old.and_then(Value::as_object)),
            _ => {}
        }
    }

    fn items(&mut self, at: &At<'_>, items: &[Tree], old: Option<&Vec<Tree>>) {
        let (Some(from), Some(node)) = (&at.from.items, &at.node.items) else { return };
        for (i, item) in items.iter().enumerate() {
            let old = old.and_then(|old| same_item(at.node, old, item));
            let ratchet = at.ratchet.below(|current| current.index(i));
            self.value(at.below(from, node, &at.place.index(i), ratchet), item, old);
        }
    }

    fn fields(&mut self, at: &At<'_>, fields: &Map<String, Tree>, old: Option<&Map<String, Tree>>) {
        for (name, value) in fields {
            let old = old.and_then(|old| old.get(name));
            let ratchet = at.ratchet.key(name);
            if let (Some(from), Some(node)) = (at.from.property(name), at.node.property(name)) {
                self.value(at.below(from, node, &at.place.field(name), ratchet), value, old);
            } else if let (Additional::Of(from), Additional::Of(node)) =
                (&at.from.additional, &at.node.additional)
            {
                self.value(at.below(from, node, &at.place.key(name), ratchet), value, old);
            }
        }
    }

    fn rules_of(&mut self, at: &At<'_>, value: &Tree, old: Option<&Tree>) {
        let (schema, is_object) = (SchemaRef(at.node), at.is_object);
        for (id, rule) in &at.from.rules {
            if self.stopped {
                return;
            }
            if old.is_none() && self.evaluator.uses_old_self(*id) && !rule.optional_old_self {
                continue;
            }
            let rule = RuleRef { id: *id, rule, schema, is_object };
            self.rule(at, Call { rule, this: value, old, budget: self.budget });
        }
    }

    fn rule(&mut self, at: &At<'_>, call: Call<'_>) {
        if call.budget == 0 {
            return self.stop(at, OUT_OF_BUDGET);
        }
        let Evaluation { cost, outcome } = self.evaluator.evaluate(&call);
        let Some(left) = self.budget.checked_sub(cost) else { return self.stop(at, OUT_OF_BUDGET) };
        self.budget = left;
        match outcome {
            Ok(true) => {}
            Ok(false) => self.violated(at, &Call { budget: left, ..call }),
            Err(error) => {
                let why = failure(&error, call.rule.rule);
                match error {
                    EvaluationError::CostLimit(_) => self.stop(at, &why),
                    _ => self.report.errors.push(Error::invalid(at.place.path(), at.type_name(), why)),
                }
            }
        }
    }

    fn stop(&mut self, at: &At<'_>, why: &str) {
        self.report.errors.push(Error::invalid(at.place.path(), at.type_name(), why));
        self.stopped = true;
    }

    fn violated(&mut self, at: &At<'_>, call: &Call<'_>) {
        let rule = call.rule.rule;
        let path = match rule.field_path.as_str() {
            "" => at.place.path(),
            below => at.place.path().child(below),
        };
        match self.message(call) {
            Ok(detail) => self.add(at, call, error_for(rule, path, at.node, call.this, detail)),
            Err(why) => {
                self.add(at, call, Error::invalid(path, at.type_name(), why));
                self.stopped = true;
            }
        }
    }

    fn add(&mut self, at: &At<'_>, call: &Call<'_>, error: Error) {
        if !self.evaluator.uses_old_self(call.rule.id) && at.ratchet.forgives() {
            self.report.warnings.push(error.to_string());
        } else {
            self.report.errors.push(error);
        }
    }

    /// What to say; the error says why nothing more can be evaluated.
    fn message(&mut self, call: &Call<'_>) -> Result<String, String> {
        let rule = call.rule.rule;
        if rule.message_expression.is_empty() {
            return Ok(stated_message(rule));
        }
        let Evaluation { cost, outcome } = self.evaluator.message(call);
        self.budget = self.budget.checked_sub(cost).ok_or(MESSAGE_OUT_OF_BUDGET)?;
        match outcome {
            Err(EvaluationError::CostLimit(_)) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                quote(&rule.message_expression)
            )),
            // What goes wrong in wording a message is not the client's fault.
            Err(_) => Ok(stated_message(rule)),
            Ok(text) => Ok(usable(text.trim()).map_or_else(|| stated_message(rule), str::to_owned)),
        }
    }
}

fn usable(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty() && text.len() <= MESSAGE_MAX_BYTES && !text.contains('\n'))
}

fn stated_message(rule: &Rule) -> String {
    match rule.message.trim() {
        _ if rule.message.is_empty() => format!("failed rule: {}", rule.rule.trim()),
        message => message.to_owned(),
    }
}

/// A rule as messages name it.
fn shown(rule: &Rule) -> &str {
    if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() }
}

fn failure(error: &EvaluationError, rule: &Rule) -> String {
    let shown = shown(rule);
    match error {
        EvaluationError::Compile(_) => format!("rule compile error: {error}"),
        EvaluationError::NoOverload(_) => format!(
            "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
        ),
        EvaluationError::CostLimit(_) => format!(
            "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
        ),
        EvaluationError::Failed(_) => format!("{error} evaluating rule: {shown}"),
    }
}

/// Objects and lists are too large to be shown.
fn error_for(rule: &Rule, path: Path, node: &Node, value: &Tree, detail: String) -> Error {
    let shown = !matches!(node.kind, Some(Type::Object | Type::Array));
    match rule.reason.as_str() {
        "FieldValueForbidden" => Error::forbidden(path, detail),
        "FieldValueRequired" => Error::required(path, detail),
        "FieldValueDuplicate" => Error { shown, ..Error::duplicate(path, value.clone()) },
        _ => Error { shown, kind: ErrorType::Invalid, ..Error::invalid(path, value.clone(), detail) },
    }
}
