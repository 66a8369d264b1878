//! `status.conditions` of a definition: found, set and removed by type.

use jiff::Timestamp;
use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::time;

/// A condition to be set: type, status (`True`, `False`), reason and message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `NamesAccepted`, `Established`, ….
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why.
    pub message: String,
}

/// The condition of that type.
pub fn find<'t>(definition: &'t Tree, kind: &str) -> Option<&'t Tree> {
    definition.items_at("status.conditions").iter().find(|condition| condition.str_at("type") == kind)
}

/// Whether the condition of that type is there and `True`.
pub fn holds(definition: &Tree, kind: &str) -> bool {
    find(definition, kind).is_some_and(|condition| condition.str_at("status") == "True")
}

/// Sets a condition. Its time is that of its last change of status.
pub fn set(definition: &mut Tree, condition: Condition, now: Timestamp) {
    let status = if condition.holds { "True" } else { "False" };
    let old = find(definition, condition.kind);
    let since = old.filter(|old| old.str_at("status") == status).map(|old| old.str_at("lastTransitionTime"));
    let since = since.filter(|since| !since.is_empty()).map_or_else(|| time::format(now), str::to_owned);
    let new = json!({
        "lastTransitionTime": since, "message": condition.message, "reason": condition.reason,
        "status": status, "type": condition.kind,
    });
    let mut all = definition.items_at("status.conditions").to_vec();
    match all.iter_mut().find(|old| old.str_at("type") == condition.kind) {
        Some(old) => *old = new,
        None => all.push(new),
    }
    definition.set("status.conditions", all);
}

/// Removes a condition.
pub fn remove(definition: &mut Tree, kind: &str) {
    let mut all = definition.items_at("status.conditions").to_vec();
    all.retain(|condition| condition.str_at("type") != kind);
    definition.set("status.conditions", Value::Array(all));
}
