use serde_json::Value;

use super::*;
use crate::checks::tests::texts;

const START: &str = "2026-01-01T00:00:00Z";
const END: &str = "2026-01-01T00:01:00Z";

fn conditions(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind, "status": "True"})).collect()
}

fn complete() -> Value {
    json!({"conditions": conditions(&["SuccessCriteriaMet", "Complete"]), "startTime": START, "completionTime": END,
        "succeeded": 1})
}

fn failed() -> Value {
    json!({"conditions": conditions(&["FailureTarget", "Failed"]), "startTime": START, "failed": 1})
}

fn with(mut status: Value, field: &str, value: Value) -> Value {
    status[field] = value;
    status
}

fn problems(spec: &Value, old: &Value, new: &Value) -> Vec<String> {
    texts(&update(&json!({"spec": spec, "status": new}), &json!({"spec": spec, "status": old})))
}

#[test]
fn good_reports_pass() {
    let running = json!({"startTime": START, "active": 2, "ready": 1, "terminating": 1});
    let resumed = json!({"startTime": END, "conditions": [{"type": "Suspended", "status": "False"}]});
    let suspended = json!({"startTime": START, "conditions": conditions(&["Suspended"])});
    let indexed =
        json!({"completionMode": "Indexed", "completions": 5, "parallelism": 5, "backoffLimitPerIndex": 1});
    let none = json!({});
    let nothing = json!({"suspend": true, "completions": 0});
    let cases = [
        (&none, &none, &running),
        (&none, &running, &complete()),
        (&none, &running, &failed()),
        (&none, &suspended, &resumed),
        (&indexed, &running, &json!({"startTime": START, "completedIndexes": "0-2", "failedIndexes": "3,4"})),
        (&indexed, &json!({"succeeded": 3}), &json!({"succeeded": 2})),
        (
            &nothing,
            &none,
            &json!({"conditions": conditions(&["SuccessCriteriaMet", "Complete"]), "completionTime": END}),
        ),
        // Wrong before, and not touched.
        (&none, &json!({"completedIndexes": "7"}), &json!({"completedIndexes": "7", "active": 1})),
    ];
    for (spec, old, new) in cases {
        assert_eq!(problems(spec, old, new), Vec::<String>::new(), "{new}");
    }
}

#[test]
fn an_end_is_consistent() {
    let conditions_say = |text: &str| format!("status.conditions: Invalid value: {text}");
    let cases = [
        (
            with(complete(), "conditions", conditions(&["SuccessCriteriaMet", "Complete", "Failed", "FailureTarget"])),
            conditions_say("cannot set Complete=True and Failed=true conditions"),
        ),
        (
            with(complete(), "conditions", conditions(&["SuccessCriteriaMet", "Complete", "FailureTarget"])),
            conditions_say("cannot set Complete=True and FailureTarget=true conditions"),
        ),
        (
            with(json!({}), "completionTime", json!(END)),
            "status.completionTime: Invalid value: \"2026-01-01T00:01:00Z\": cannot set completionTime when there is no \
             Complete=True condition"
                .to_owned(),
        ),
        (
            with(complete(), "completionTime", json!(null)),
            "status.completionTime: Required value: completionTime is required for Complete jobs".to_owned(),
        ),
        (
            with(complete(), "completionTime", json!("2025-01-01T00:00:00Z")),
            "status.completionTime: Invalid value: \"2025-01-01T00:00:00Z\": must be equal to or after `startTime`"
                .to_owned(),
        ),
        (
            with(failed(), "conditions", conditions(&["Failed"])),
            conditions_say("cannot set Failed=True condition without the FailureTarget=true condition"),
        ),
        (
            with(complete(), "conditions", conditions(&["Complete"])),
            conditions_say("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
        ),
        (
            with(complete(), "active", json!(1)),
            "status.active: Invalid value: 1: active>0 is invalid for finished job".to_owned(),
        ),
        (
            with(failed(), "startTime", json!(null)),
            "status.startTime: Required value: startTime is required for finished job".to_owned(),
        ),
        (
            with(failed(), "uncountedTerminatedPods", json!({"failed": ["a"]})),
            "status.uncountedTerminatedPods: Invalid value: {\"Failed\":[\"a\"],\"Succeeded\":null}: must be empty for \
             finished job"
                .to_owned(),
        ),
        (
            with(failed(), "terminating", json!(1)),
            "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job".to_owned(),
        ),
        (
            with(failed(), "conditions", conditions(&["SuccessCriteriaMet", "FailureTarget", "Failed"])),
            conditions_say("cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        ),
        (
            json!({"conditions": conditions(&["SuccessCriteriaMet", "FailureTarget"])}),
            conditions_say("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
        ),
    ];
    for (new, want) in cases {
        let got = problems(&json!({}), &json!({}), &new);
        assert!(got.contains(&want), "{new}: {got:?}");
    }
}

#[test]
fn counts_and_pods_are_checked() {
    let cases = [
        (json!({"failed": -1}), "status.failed: Invalid value: -1: must be greater than or equal to 0"),
        (
            json!({"uncountedTerminatedPods": {"succeeded": [""]}}),
            "status.uncountedTerminatedPods.succeeded[0]: Invalid value: \"\": must not be empty",
        ),
        (
            json!({"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a"]}}),
            "status.uncountedTerminatedPods.failed[0]: Duplicate value: \"a\"",
        ),
        (
            json!({"ready": 2, "active": 1}),
            "status.ready: Invalid value: 2: cannot set more ready pods than active",
        ),
    ];
    for (new, want) in cases {
        let got = problems(&json!({}), &json!({}), &new);
        assert!(got.iter().any(|text| text == want), "{new}: {got:?}");
    }
}

#[test]
fn indexes_fit_the_job() {
    let indexed = json!({"completionMode": "Indexed", "completions": 5, "backoffLimitPerIndex": 1});
    let plain = json!({"completions": 5});
    let cases = [
        (
            &indexed,
            json!({"completedIndexes": "5"}),
            "status.completedIndexes: Invalid value: \"5\": error parsing completedIndexes: too large index: \"5\"",
        ),
        (
            &indexed,
            json!({"failedIndexes": "a"}),
            "status.failedIndexes: Invalid value: \"a\": error parsing failedIndexes: cannot convert string to integer \
             for index: \"a\"",
        ),
        (
            &indexed,
            json!({"completedIndexes": "0-2", "failedIndexes": "2"}),
            "status.failedIndexes: Invalid value: \"2\": failedIndexes and completedIndexes overlap at index: 2",
        ),
        (
            &plain,
            json!({"completedIndexes": "1"}),
            "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed \
             completion mode",
        ),
        (
            &plain,
            json!({"failedIndexes": "1"}),
            "status.failedIndexes: Invalid value: \"1\": cannot set non-null failedIndexes when backoffLimitPerIndex is \
             null",
        ),
    ];
    for (spec, new, want) in cases {
        assert_eq!(problems(spec, &json!({}), &new), [want]);
    }
}

#[test]
fn nothing_goes_back() {
    let conditions_say = |text: &str| format!("status.conditions: Invalid value: {text}");
    let cases = [
        (
            json!({}),
            complete(),
            with(complete(), "conditions", conditions(&["SuccessCriteriaMet"])),
            conditions_say("cannot disable the terminal Complete=True condition"),
        ),
        (
            json!({}),
            json!({"failed": 2}),
            json!({"failed": 1}),
            "status.failed: Invalid value: 1: cannot decrease the failed counter".to_owned(),
        ),
        (
            json!({}),
            json!({"succeeded": 2}),
            json!({}),
            "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter".to_owned(),
        ),
        (
            json!({}),
            complete(),
            with(complete(), "completionTime", json!("2026-01-01T00:02:00Z")),
            "status.completionTime: Invalid value: \"2026-01-01T00:02:00Z\": field is immutable".to_owned(),
        ),
        (
            json!({}),
            json!({"startTime": START}),
            json!({"startTime": END}),
            "status.startTime: Invalid value: \"2026-01-01T00:01:00Z\": field is immutable for unsuspended job once set"
                .to_owned(),
        ),
        (
            json!({}),
            json!({"conditions": conditions(&["SuccessCriteriaMet"])}),
            json!({}),
            conditions_say("cannot disable the SuccessCriteriaMet=True condition"),
        ),
        (
            json!({}),
            with(complete(), "conditions", conditions(&["Complete"])),
            complete(),
            conditions_say("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"),
        ),
        (
            json!({"successPolicy": {}}),
            json!({}),
            with(complete(), "conditions", conditions(&["Complete"])),
            conditions_say("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"),
        ),
    ];
    for (spec, old, new, want) in cases {
        let got = problems(&spec, &old, &new);
        assert!(got.contains(&want), "{new}: {got:?}");
    }
}
