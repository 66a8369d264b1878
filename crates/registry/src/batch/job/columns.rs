//! What `kubectl get jobs` prints.

use jiff::Timestamp;
use steersman_apimachinery::Tree;

use super::is_true;
use crate::Column;
use crate::print::{self, since};
use crate::tree::Read;

pub(super) const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Status", 0, "How far the job is.", |job, _| state(job).into()),
    print::text("Completions", 0, "Pods that succeeded, of those wanted.", |job, _| completions(job).into()),
    print::text("Duration", 0, "How long the job has run, or ran.", |job, now| duration(job, now).into()),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
    print::text("Selector", 1, "Which pods it owns.", |job, _| print::selector_cell(job, "spec.selector")),
];

fn state(job: &Tree) -> &'static str {
    match () {
        () if first_is_true(job, "Complete") => "Complete",
        () if first_is_true(job, "Failed") => "Failed",
        () if job.has("metadata.deletionTimestamp") => "Terminating",
        () if first_is_true(job, "Suspended") => "Suspended",
        () if first_is_true(job, "FailureTarget") => "FailureTarget",
        () if first_is_true(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// Of several conditions of a type the first counts here.
fn first_is_true(job: &Tree, kind: &str) -> bool {
    let conditions = job.items("status.conditions");
    is_true(job, kind)
        && conditions.iter().find(|c| c.text("type") == kind).is_some_and(|c| c.text("status") == "True")
}

fn completions(job: &Tree) -> String {
    let succeeded = job.int("status.succeeded").unwrap_or(0);
    match (job.int("spec.completions"), job.int("spec.parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Tree, now: Timestamp) -> String {
    let start = job.text("status.startTime");
    if start.is_empty() {
        return String::new();
    }
    let end = job.text("status.completionTime").parse().unwrap_or(now);
    since(start, end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn jobs_print_as_upstream() {
        let condition = |kind: &str, status: &str| json!([{"type": kind, "status": status}]);
        let cases = [
            (json!({"completions": 3}), json!({"succeeded": 1}), "Running|1/3||"),
            (
                json!({"parallelism": 2}),
                json!({"startTime": "2026-01-01T00:00:00Z"}),
                "Running|0/1 of 2|10m|",
            ),
            (
                json!({"parallelism": 1}),
                json!({"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:07Z",
                    "conditions": condition("Complete", "True"), "succeeded": 1}),
                "Complete|1/1|7s|",
            ),
            (json!({}), json!({"conditions": condition("Failed", "True")}), "Failed|0/1||"),
            (json!({}), json!({"conditions": condition("Suspended", "True")}), "Suspended|0/1||"),
            (json!({}), json!({"conditions": condition("Suspended", "False")}), "Running|0/1||"),
            (json!({}), json!({"conditions": condition("FailureTarget", "True")}), "FailureTarget|0/1||"),
            (
                json!({}),
                json!({"conditions": condition("SuccessCriteriaMet", "True")}),
                "SuccessCriteriaMet|0/1||",
            ),
        ];
        for (spec, status, want) in cases {
            let mut job = json!({
                "metadata": {"name": "j", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec, "status": status,
            });
            job["spec"]["template"] = json!({"spec": {"containers": [{"name": "a", "image": "x"}]}});
            job["spec"]["selector"] = json!({"matchLabels": {"job": "j"}});
            let want = format!("j|{want}10m|a|x|job=j");
            assert_eq!(row(COLUMNS, &job, "2026-01-01T00:10:00Z"), want);
        }
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(state(&deleted), "Terminating");
    }
}
