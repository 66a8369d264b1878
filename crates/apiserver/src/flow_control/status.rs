//! What a flow schema's status says: whether its level exists. Pure.

use jiff::Timestamp;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;

use crate::view::{items, text};

/// The schema with the condition `Dangling` as it is to be, unless it says so already.
pub fn with_dangling(schema: &Tree, level_exists: bool, now: Timestamp) -> Option<Tree> {
    let level = text(schema, "/spec/priorityLevelConfiguration/name");
    let which = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match level_exists {
        true => ("False", "Found", format!("{which} and it exists")),
        false => ("True", "NotFound", format!("{which} but there is no such object")),
    };
    let conditions = items(schema, "/status/conditions");
    let old = conditions.iter().find(|condition| condition.str_at("type") == "Dangling");
    let says = |field: &str, value: &str| old.is_some_and(|old| old.str_at(field) == value);
    if says("status", status) && says("reason", reason) && says("message", &message) {
        return None;
    }
    let since = match old {
        Some(old) if says("status", status) => old["lastTransitionTime"].clone(),
        _ => now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
    };
    let condition = json!({
        "type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    let others = conditions.iter().filter(|condition| condition.str_at("type") != "Dangling").cloned();
    let mut revised = schema.clone();
    revised["status"] = json!({"conditions": others.chain([condition]).collect::<Vec<_>>()});
    Some(revised)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_follows_the_level() {
        let schema = json!({"spec": {"priorityLevelConfiguration": {"name": "p"}}});
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let dangling = with_dangling(&schema, false, at(0)).expect("is told");
        let condition = &dangling["status"]["conditions"][0];
        assert_eq!(
            *condition,
            json!({
                "type": "Dangling", "status": "True", "reason": "NotFound", "lastTransitionTime": "1970-01-01T00:00:00Z",
                "message": "This FlowSchema references the PriorityLevelConfiguration object named \"p\" but there is no such object",
            })
        );
        assert_eq!(with_dangling(&dangling, false, at(5)), None, "nothing new");
        let found = with_dangling(&dangling, true, at(9)).expect("is told");
        assert_eq!(found["status"]["conditions"].as_array().map(Vec::len), Some(1));
        assert_eq!(found["status"]["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:09Z");
    }
}
