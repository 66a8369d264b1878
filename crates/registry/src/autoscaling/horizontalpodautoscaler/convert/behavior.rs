//! Scaling behaviour as `v1` keeps it. Upstream writes its internal struct there, whose fields have no JSON names, so
//! that they look as in Go, and none is left out; on reading, upper and lower case are the same.

use serde_json::json;
use steersman_apimachinery::Tree;

use crate::tree::Read;

/// The field names of `v2` and of Go.
const RULES: [(&str, &str); 4] = [
    ("stabilizationWindowSeconds", "StabilizationWindowSeconds"),
    ("selectPolicy", "SelectPolicy"),
    ("policies", "Policies"),
    ("tolerance", "Tolerance"),
];
const POLICY: [(&str, &str); 3] = [("type", "Type"), ("value", "Value"), ("periodSeconds", "PeriodSeconds")];
const DIRECTIONS: [(&str, &str); 2] = [("scaleUp", "ScaleUp"), ("scaleDown", "ScaleDown")];

/// As upstream writes it.
pub(super) fn to_go(behavior: &Tree) -> Tree {
    named(behavior, &DIRECTIONS, |_, rules| match rules {
        Tree::Object(_) => named(rules, &RULES, |field, value| match (field, value) {
            ("policies", Tree::Array(policies)) => {
                policies.iter().map(|policy| named(policy, &POLICY, |_, value| value.clone())).collect()
            }
            _ => value.clone(),
        }),
        _ => Tree::Null,
    })
}

fn named(part: &Tree, names: &[(&str, &str)], value: impl Fn(&str, &Tree) -> Tree) -> Tree {
    let field = |(name, go): &(&str, &str)| ((*go).to_owned(), value(name, part.at(name)));
    Tree::Object(names.iter().map(field).collect())
}

/// As `v2` has it; `None` if it says nothing.
pub(super) fn from_go(behavior: &Tree) -> Option<Tree> {
    let mut found = json!({});
    for (direction, _) in DIRECTIONS {
        let rules = insensitive(behavior, direction);
        if !rules.is_object() {
            continue;
        }
        let mut read = plain(rules, &RULES);
        if let Some(policies) = read.get_mut("policies").and_then(Tree::as_array_mut) {
            policies.iter_mut().for_each(|policy| *policy = plain(policy, &POLICY));
        }
        found[direction] = read;
    }
    found.as_object().is_some_and(|found| !found.is_empty()).then_some(found)
}

fn plain(part: &Tree, names: &[(&str, &str)]) -> Tree {
    let given = |(name, _): &(&str, &str)| {
        let value = insensitive(part, name);
        (!value.is_null()).then(|| ((*name).to_owned(), value.clone()))
    };
    Tree::Object(names.iter().filter_map(given).collect())
}

fn insensitive<'a>(part: &'a Tree, name: &str) -> &'a Tree {
    part.entries("").find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or(&Tree::Null, |(_, value)| value)
}
