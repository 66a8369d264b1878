//! Following paths.

use std::cmp::Ordering;

use serde_json::Value;
use steersman_apimachinery::Tree;

use super::{Comparison, Filter, Operand, Slice, Step};

pub(super) fn find<'a>(steps: &[Step], object: &'a Tree) -> Option<Vec<&'a Tree>> {
    steps.iter().try_fold(vec![object], |found, step| follow(step, &found))
}

fn follow<'a>(step: &Step, from: &[&'a Tree]) -> Option<Vec<&'a Tree>> {
    let present = from.iter().copied().filter(|value| !value.is_null());
    match step {
        Step::Field(name) => Some(present.filter_map(|value| value.get(&**name)).collect()),
        Step::Every => Some(present.flat_map(children).collect()),
        Step::Recursive => Some(present.flat_map(descend).collect()),
        Step::Slice(slice) => flatten(present.map(|value| slice.of(value.as_array()?))),
        Step::Union(all) => flatten(all.iter().map(|steps| {
            let each = from.iter().map(|value| find(steps, value));
            flatten(each)
        })),
        Step::Filter(filter) => flatten(present.map(|value| filter.of(value.as_array()?))),
    }
}

fn flatten<'a>(parts: impl Iterator<Item = Option<Vec<&'a Tree>>>) -> Option<Vec<&'a Tree>> {
    parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
}

fn children(value: &Tree) -> Vec<&Tree> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

/// The value and all below it that have something below them.
fn descend(value: &Tree) -> Vec<&Tree> {
    let below = children(value);
    if below.is_empty() {
        return Vec::new();
    }
    let deeper = below.into_iter().filter(|value| !value.is_null()).flat_map(descend);
    std::iter::once(value).chain(deeper).collect()
}

impl Slice {
    fn of<'a>(&self, items: &'a [Tree]) -> Option<Vec<&'a Tree>> {
        let length = i64::try_from(items.len()).ok()?;
        let from = self.from.unwrap_or(0);
        let from = if from < 0 { from + length } else { from };
        let to = self.to.unwrap_or(length);
        let to = if to < 0 || to == 0 && self.single { to + length } else { to };
        if from == to {
            return Some(Vec::new());
        }
        let step = self.step.unwrap_or(1);
        if !(0..length).contains(&from) || !(from..=length).contains(&to) || step <= 0 {
            return None;
        }
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        Some(items[from..to].iter().step_by(usize::try_from(step).ok()?).collect())
    }
}

impl Filter {
    fn of<'a>(&self, items: &'a [Tree]) -> Option<Vec<&'a Tree>> {
        let mut out = Vec::new();
        for item in items {
            if self.holds(item)? {
                out.push(item);
            }
        }
        Some(out)
    }

    fn holds(&self, item: &Tree) -> Option<bool> {
        let left = self.left.values(item)?;
        let Some((comparison, right)) = &self.test else { return Some(!left.is_empty()) };
        match (left.as_slice(), right.values(item)?.as_slice()) {
            ([], _) | (_, []) => Some(false),
            ([left], [right]) => compare(left, right, *comparison),
            _ => None,
        }
    }
}

impl Operand {
    fn values<'a>(&'a self, item: &'a Tree) -> Option<Vec<&'a Tree>> {
        match self {
            Self::Literal(value) => Some(vec![value]),
            Self::Path(steps) => find(steps, item),
        }
    }
}

/// Values of one kind are compared; others have no answer.
fn compare(left: &Value, right: &Value, comparison: Comparison) -> Option<bool> {
    let ordering = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?)?,
            _ => return None,
        },
        (Value::Bool(left), Value::Bool(right)) => match comparison {
            Comparison::Equal | Comparison::NotEqual => left.cmp(right),
            _ => return None,
        },
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::NotEqual => ordering != Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
    })
}
