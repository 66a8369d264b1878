//! Conditions (`metav1.Condition`) of a status, with upstream's words.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{Seen, qualified, required, required_word};
use crate::tree::Read;

const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of \
alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or \
'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
const MAX_REASON_BYTES: usize = 1024;
const MAX_MESSAGE_BYTES: usize = 32 * 1024;

/// The list `conditions`: one of each type.
pub(crate) fn conditions(found: &mut ErrorList, list: &[Tree], path: &Path) {
    let mut types = Seen::default();
    for (index, condition) in list.iter().enumerate() {
        let path = path.index(index);
        types.unique(found, path.clone(), condition.text("type"));
        self::condition(found, condition, &path);
    }
}

fn condition(found: &mut ErrorList, condition: &Tree, path: &Path) {
    match condition.text("type") {
        "" => found.push(Error::required(path.child("type"), "is required")),
        name => qualified(found, &path.child("type"), name),
    }
    required_word(found, path.child("status"), condition.text("status"), &["False", "True", "Unknown"]);
    if let Some(generation) = condition.int("observedGeneration").filter(|generation| *generation < 0) {
        let why = "must be greater than or equal to zero";
        found.push(Error::invalid(path.child("observedGeneration"), generation, why));
    }
    required(found, path.child("lastTransitionTime"), condition.text("lastTransitionTime"));
    let (reason, at) = (condition.text("reason"), path.child("reason"));
    if required(found, at.clone(), reason) {
        if !is_reason(reason) {
            found.push(Error::invalid(at.clone(), reason, REASON));
        }
        if reason.len() > MAX_REASON_BYTES {
            found.push(Error::too_long(at, MAX_REASON_BYTES));
        }
    }
    if condition.text("message").len() > MAX_MESSAGE_BYTES {
        found.push(Error::too_long(path.child("message"), MAX_MESSAGE_BYTES));
    }
}

fn is_reason(reason: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ':');
    reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.chars().all(inner)
        && !reason.ends_with([',', ':'])
}

/// Whether the condition `name` is true.
pub(crate) fn is_true(list: &[Tree], name: &str) -> bool {
    let found = list.iter().find(|condition| condition.text("type") == name);
    found.is_some_and(|condition| condition.text("status") == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::assert_problems;

    #[test]
    fn problems_read_as_upstream_words_them() {
        let good = json!([{"type": "Ready", "status": "True", "reason": "Done", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let check = |list: &Tree| {
            let mut found = ErrorList::new();
            conditions(&mut found, list.items(""), &Path::new("conditions"));
            found
        };
        let long = "x".repeat(MAX_MESSAGE_BYTES + 1);
        let cases = [
            ("/0/type", json!(""), vec!["conditions[0].type: Required value: is required"]),
            ("/0/status", json!(""), vec!["conditions[0].status: Required value"]),
            (
                "/0/status",
                json!("Maybe"),
                vec![
                    "conditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
                ],
            ),
            (
                "/0/observedGeneration",
                json!(-1),
                vec![
                    "conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
                ],
            ),
            ("/0/lastTransitionTime", json!(null), vec!["conditions[0].lastTransitionTime: Required value"]),
            ("/0/reason", json!(""), vec!["conditions[0].reason: Required value"]),
            (
                "/0/reason",
                json!("r".repeat(1025)),
                vec!["conditions[0].reason: Too long: may not be more than 1024 bytes"],
            ),
            (
                "/0/message",
                json!(long),
                vec!["conditions[0].message: Too long: may not be more than 32768 bytes"],
            ),
            ("/1", good[0].clone(), vec!["conditions[1]: Duplicate value: \"Ready\""]),
        ];
        assert_problems(&good, check, cases);
        assert!(!is_reason("a-b") && !is_reason("9a") && !is_reason("a:") && is_reason("A_b,c:d"));
        assert!(is_true(good.items(""), "Ready") && !is_true(good.items(""), "Failed"));
    }
}
