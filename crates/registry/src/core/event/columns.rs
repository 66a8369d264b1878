//! What `kubectl get events` prints, for both forms.

use jiff::Timestamp;
use serde_json::Value;
use steersman_apimachinery::Tree;

use super::convert::either;
use crate::Column;
use crate::print::{NAME, or, since, text};
use crate::tree::Read;

pub(super) const COLUMNS: &[Column] = &[
    text("Last Seen", 0, "Time since the event was last seen.", |event, now| last_seen(event, now).into()),
    text("Type", 0, "Normal or Warning.", |event, _| event.text("type").into()),
    text("Reason", 0, "Why it happened, in a word.", |event, _| event.text("reason").into()),
    text("Object", 0, "Object that the event is about.", |event, _| object(event).into()),
    text("Subobject", 1, "Part of the object.", |event, _| {
        either(event, "involvedObject").text("fieldPath").into()
    }),
    text("Source", 1, "Component that reports it.", |event, _| source(event).into()),
    text("Message", 0, "What happened.", |event, _| {
        either(event, "message").as_str().unwrap_or_default().trim().into()
    }),
    text("First Seen", 1, "Time since the event was first seen.", |event, now| first_seen(event, now).into()),
    text("Count", 1, "How often it was seen.", |event, _| count(event)),
    Column { priority: 1, ..NAME },
];

fn first_seen(event: &Tree, now: Timestamp) -> String {
    let first = either(event, "firstTimestamp").as_str().unwrap_or_default();
    since(or(first, event.text("eventTime")), now)
}

fn last_seen(event: &Tree, now: Timestamp) -> String {
    let last = either(event, "lastTimestamp").as_str().unwrap_or_default();
    if event.has("series") {
        since(event.text("series.lastObservedTime"), now)
    } else if last.is_empty() {
        first_seen(event, now)
    } else {
        since(last, now)
    }
}

fn count(event: &Tree) -> Value {
    if event.has("series") {
        return event.int("series.count").unwrap_or(0).into();
    }
    either(event, "count").as_i64().filter(|count| *count != 0).unwrap_or(1).into()
}

fn object(event: &Tree) -> String {
    let about = either(event, "involvedObject");
    let kind = about.text("kind").to_lowercase();
    match about.text("name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Tree) -> String {
    let source = either(event, "source");
    let reporter = either(event, "reportingComponent").as_str().unwrap_or_default();
    let component = or(source.text("component"), reporter);
    match or(source.text("host"), event.text("reportingInstance")) {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::convert::from_core;
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn both_forms_print_alike() {
        let now = "2026-01-01T01:00:00Z";
        let mut event = json!({
            "metadata": {"name": "p.1"}, "type": "Normal", "reason": "Pulled", "message": " done\n", "count": 3,
            "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
            "source": {"component": "kubelet", "host": "n1"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:58:00Z",
        });
        let want = "2m|Normal|Pulled|pod/p|spec.containers{a}|kubelet, n1|done|60m|3|p.1";
        assert_eq!(row(COLUMNS, &event, now), want);
        from_core(&mut event);
        assert_eq!(row(COLUMNS, &event, now), want);
    }

    #[test]
    fn series_and_event_time_count() {
        let now = "2026-01-01T01:00:00Z";
        let mut event = json!({
            "metadata": {"name": "p.1"}, "involvedObject": {"kind": "Node"}, "eventTime": "2026-01-01T00:59:00.000000Z",
            "firstTimestamp": null, "lastTimestamp": null, "reportingComponent": "scheduler",
        });
        assert_eq!(row(COLUMNS, &event, now), "60s|||node||scheduler||60s|1|p.1");
        event["series"] = json!({"count": 7, "lastObservedTime": "2026-01-01T00:59:50.000000Z"});
        assert_eq!(row(COLUMNS, &event, now), "10s|||node||scheduler||60s|7|p.1");
    }
}
