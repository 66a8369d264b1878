//! Validation of events. Core events are taken as leniently as upstream takes them; those of `events.k8s.io` must be
//! complete.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::convert::either;
use crate::checks::{IMMUTABLE, qualified, required};
use crate::tree::{Read, same};

const MAX_WORD: usize = 128;
const MAX_NOTE: usize = 1024;

/// An event is in the namespace of what it is about; what is in none has its events in `default`.
pub(super) fn core(event: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let about = either(event, "involvedObject").text("namespace");
    let own = event.text("metadata.namespace");
    let agrees = if about.is_empty() { matches!(own, "" | "default") } else { about == own };
    if !agrees {
        let path = Path::new("involvedObject").child("namespace");
        found.push(Error::invalid(path, about, "does not match event.namespace"));
    }
    found
}

/// Checks a new event of `events.k8s.io`.
pub(super) fn new(event: &Tree) -> ErrorList {
    let mut found = core(event);
    if !event.has("eventTime") {
        found.push(Error::required(Path::new("eventTime"), ""));
    }
    let controller = event.text("reportingController");
    if required(&mut found, Path::new("reportingController"), controller) {
        qualified(&mut found, &Path::new("reportingController"), controller);
    }
    for field in ["reportingInstance", "action", "reason"] {
        let (word, path) = (event.text(field), Path::new(field));
        if required(&mut found, path.clone(), word) && word.len() > MAX_WORD {
            found.push(Error::invalid(path, "", format!("can have at most {MAX_WORD} characters")));
        }
    }
    if event.text("note").len() > MAX_NOTE {
        found.push(Error::invalid(Path::new("note"), "", format!("can have at most {MAX_NOTE} characters")));
    }
    if !matches!(event.text("type"), "Normal" | "Warning") {
        let why = format!("has invalid value: {}", event.text("type"));
        found.push(Error::invalid(Path::new("type"), "", why));
    }
    series(&mut found, event);
    found
}

fn series(found: &mut ErrorList, event: &Tree) {
    let (series, path) = (event.at("series"), Path::new("series"));
    if series.is_null() {
        return;
    }
    if series.int("count").unwrap_or(0) < 2 {
        found.push(Error::invalid(path.child("count"), "", "should be at least 2"));
    }
    if !series.has("lastObservedTime") {
        found.push(Error::required(path.child("lastObservedTime"), ""));
    }
}

/// What an event of `events.k8s.io` says stays; only its series goes on.
pub(super) fn new_update(event: &Tree, old: &Tree) -> ErrorList {
    let mut found = core(event);
    let fields = [
        "regarding",
        "reason",
        "action",
        "note",
        "type",
        "related",
        "eventTime",
        "reportingController",
        "reportingInstance",
    ];
    for field in fields.iter().filter(|field| !same(event.at(field), old.at(field))) {
        found.push(Error::invalid(Path::new(field), event.at(field).clone(), IMMUTABLE));
    }
    series(&mut found, event);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn namespaces_agree() {
        let cases = [
            (json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}}), vec![]),
            (json!({"metadata": {"namespace": "default"}, "involvedObject": {"kind": "Node"}}), vec![]),
            (
                json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}}),
                vec!["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"],
            ),
            (
                json!({"metadata": {"namespace": "a"}, "involvedObject": {}}),
                vec!["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
            ),
        ];
        for (event, want) in cases {
            assert_eq!(texts(&core(&event)), want, "{event}");
        }
    }

    #[test]
    fn new_events_are_complete() {
        let want = [
            "eventTime: Required value",
            "reportingController: Required value",
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
            "type: Invalid value: \"\": has invalid value: ",
        ];
        assert_eq!(texts(&new(&json!({}))), want);
    }
}
