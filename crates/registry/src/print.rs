//! What printer columns share: names, ages and lists as `kubectl get` shows them.

use jiff::Timestamp;
use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;
use steersman_apimachinery::time::human_duration;

use crate::tree::Read;
use crate::{Column, ColumnKind};

/// Computes a cell.
pub(crate) type Cell = fn(&Tree, Timestamp) -> Value;

/// The first column of every table.
pub(crate) const NAME: Column = Column {
    name: "Name",
    kind: ColumnKind::Name,
    priority: 0,
    description: "Name of the object.",
    cell: name,
};

/// How long ago the object was made.
pub(crate) const AGE: Column = text("Age", 0, "Time since the object was created.", age);

/// When the object was made, for kinds whose table shows the date itself.
pub(crate) const CREATED_AT: Column = Column {
    name: "Created At",
    kind: ColumnKind::Date,
    priority: 0,
    description: "Time at which the object was created.",
    cell: |object, _| object.at("metadata.creationTimestamp").clone(),
};

/// A column of strings.
pub(crate) const fn text(name: &'static str, priority: i32, description: &'static str, cell: Cell) -> Column {
    Column { name, kind: ColumnKind::String, priority, description, cell }
}

/// A column of integers.
pub(crate) const fn integer(
    name: &'static str,
    priority: i32,
    description: &'static str,
    cell: Cell,
) -> Column {
    Column { name, kind: ColumnKind::Integer, priority, description, cell }
}

/// A column of truth values.
pub(crate) const fn boolean(
    name: &'static str,
    priority: i32,
    description: &'static str,
    cell: Cell,
) -> Column {
    Column { name, kind: ColumnKind::Boolean, priority, description, cell }
}

fn name(object: &Tree, _: Timestamp) -> Value {
    object.text("metadata.name").into()
}

fn age(object: &Tree, now: Timestamp) -> Value {
    since(object.text("metadata.creationTimestamp"), now).into()
}

/// The time since an RFC 3339 `stamp`; `<unknown>` if there is none.
pub(crate) fn since(stamp: &str, now: Timestamp) -> String {
    match stamp.parse::<Timestamp>() {
        Ok(then) => {
            human_duration(now.as_millisecond().saturating_sub(then.as_millisecond()).div_euclid(1000))
        }
        Err(_) => "<unknown>".to_owned(),
    }
}

/// `value`, or `instead` if it is empty.
pub(crate) fn or<'a>(value: &'a str, instead: &'a str) -> &'a str {
    if value.is_empty() { instead } else { value }
}

/// The first `max` of `all` with commas, and how many more there are; `none` if there are none.
pub(crate) fn first_of(all: &[String], max: usize, none: &str) -> String {
    let shown = all[..all.len().min(max)].join(",");
    match all.len().checked_sub(max) {
        Some(more) if more > 0 => format!("{shown} + {more} more..."),
        _ if shown.is_empty() => none.to_owned(),
        _ => shown,
    }
}

/// Labels as `a=b,c=d`, sorted; `<none>` if there are none.
pub(crate) fn labels(object: &Tree, path: &str) -> String {
    let mut pairs: Vec<String> = object
        .entries(path)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort_unstable();
    or(&pairs.join(","), "<none>").to_owned()
}

/// A `LabelSelector` in the query syntax, sorted by key; empty if it selects everything.
pub(crate) fn selector(selector: &Tree) -> String {
    let exact = selector
        .entries("matchLabels")
        .map(|(key, value)| (key.to_owned(), format!("{key}={}", value.as_str().unwrap_or_default())));
    let by_rule = selector.items("matchExpressions").iter().map(|rule| {
        let key = rule.text("key");
        (key.to_owned(), requirement(key, rule))
    });
    let mut parts: Vec<(String, String)> = exact.chain(by_rule).collect();
    parts.sort();
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

fn requirement(key: &str, rule: &Tree) -> String {
    let mut values = rule.texts("values");
    values.sort_unstable();
    let values = values.join(",");
    match rule.text("operator") {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

/// A count as a cell.
pub(crate) fn integer_cell(count: usize) -> Value {
    count.into()
}

/// The integer at `path` as a cell; 0 if there is none.
pub(crate) fn integer_of(object: &Tree, path: &str) -> Value {
    object.int(path).unwrap_or(0).into()
}

/// The string at `path` as a cell; `<unset>` if there is none.
pub(crate) fn text_or_unset(object: &Tree, path: &str) -> Value {
    object.at(path).as_str().unwrap_or("<unset>").into()
}

/// The quantity that `value` is, in its canonical form; `0` if there is none.
pub(crate) fn quantity(value: Option<&Tree>) -> String {
    value.and_then(|value| Quantity::from_tree(value).ok()).unwrap_or_default().to_string()
}

/// The names of the containers of `spec.template`, with commas.
pub(crate) fn container_names(object: &Tree, _: Timestamp) -> Value {
    containers_of(object, "spec.template", "name")
}

/// The images of the containers of `spec.template`, with commas.
pub(crate) fn container_images(object: &Tree, _: Timestamp) -> Value {
    containers_of(object, "spec.template", "image")
}

/// A field of the containers of the pod template at `path`, with commas.
pub(crate) fn containers_of(object: &Tree, path: &str, field: &str) -> Value {
    let containers = object.at(path).items("spec.containers");
    containers.iter().map(|container| container.text(field)).collect::<Vec<_>>().join(",").into()
}

/// The selector at `path`; `<none>` if there is none or it selects everything.
pub(crate) fn selector_cell(object: &Tree, path: &str) -> Value {
    or(&selector(object.at(path)), "<none>").into()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// The cells of an object, with bars between them.
    pub(crate) fn row(columns: &[Column], object: &Tree, now: &str) -> String {
        let now = now.parse().expect("a timestamp");
        let cells = columns.iter().map(|column| match (column.cell)(object, now) {
            Value::String(s) => s,
            other => other.to_string(),
        });
        cells.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn selectors_are_written_as_queries() {
        let tree = json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["y", "x"]},
                {"key": "d", "operator": "DoesNotExist"}, {"key": "c", "operator": "Exists"},
            ],
        });
        assert_eq!(selector(&tree), "a in (x,y),b=1,c,!d");
    }

    #[test]
    fn long_lists_are_cut() {
        let all: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(first_of(&all, 3, "<none>"), "1,2,3 + 2 more...");
        assert_eq!(first_of(&all[..3], 3, "<none>"), "1,2,3");
        assert_eq!(first_of(&[], 3, "<none>"), "<none>");
    }
}
