//! `allOf`, `anyOf`, `oneOf` and `not`. Their schemas see the value on its own, whatever it was before.

use std::sync::Arc;

use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::quote;

use super::outcome::Outcome;
use super::walk::Walk;
use crate::place::Place;
use crate::schema::{Checks, Node};

impl Walk<'_> {
    pub(super) fn check_junctors(&self, checks: &Checks, value: &Tree, place: &Place<'_>) -> Outcome {
        let mut out = Outcome::default();
        let check = |node: &Arc<Node>| self.check(node, value, place);
        let at = || quote(&place.loose());
        if !checks.any_of.is_empty() {
            self.any_of(checks.any_of.iter().map(check), &at, &mut out);
        }
        if !checks.one_of.is_empty() {
            self.one_of(checks.one_of.iter().map(check), &at, &mut out);
        }
        if !checks.all_of.is_empty() {
            self.all_of(checks.all_of.iter().map(check).collect(), &at, &mut out);
        }
        if checks.not.as_ref().is_some_and(|not| check(not).is_valid()) {
            out.add(self.unplaced(format!("{} must not validate the schema (not)", at())));
        }
        out
    }

    /// The first that fits counts; if none does, the errors of the one that comes closest are shown.
    fn any_of(&self, outcomes: impl Iterator<Item = Outcome>, at: &dyn Fn() -> String, out: &mut Outcome) {
        let mut best: Option<Outcome> = None;
        for outcome in outcomes {
            if outcome.is_valid() {
                return out.merge(outcome);
            }
            best = closer(best, outcome);
        }
        out.add(self.unplaced(format!("{} must validate at least one schema (anyOf)", at())));
        best.into_iter().for_each(|best| out.merge(best));
    }

    fn one_of(&self, outcomes: impl Iterator<Item = Outcome>, at: &dyn Fn() -> String, out: &mut Outcome) {
        let (valid, failed): (Vec<Outcome>, Vec<Outcome>) = outcomes.partition(Outcome::is_valid);
        let count = valid.len();
        let found = match count {
            1 => return valid.into_iter().for_each(|one| out.merge(one)),
            0 => "Found none valid".to_owned(),
            _ => format!("Found {count} valid alternatives"),
        };
        out.add(self.unplaced(format!("{} must validate one and only one schema (oneOf). {found}", at())));
        if count == 0 {
            failed.into_iter().fold(None, closer).into_iter().for_each(|best| out.merge(best));
        }
    }

    fn all_of(&self, outcomes: Vec<Outcome>, at: &dyn Fn() -> String, out: &mut Outcome) {
        let (count, valid) = (outcomes.len(), outcomes.iter().filter(|outcome| outcome.is_valid()).count());
        outcomes.into_iter().for_each(|outcome| out.merge(outcome));
        if valid < count {
            let none = if valid == 0 { ". None validated" } else { "" };
            out.add(self.unplaced(format!("{} must validate all the schemas (allOf){none}", at())));
        }
    }
}

/// The first of those that fit best.
fn closer(best: Option<Outcome>, next: Outcome) -> Option<Outcome> {
    match best {
        Some(best) if best.matches >= next.matches => Some(best),
        _ => Some(next),
    }
}
