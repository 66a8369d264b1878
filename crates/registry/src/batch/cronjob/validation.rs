//! Validation of cron jobs.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::batch::job::validate_spec;
use crate::checks::{not_negative, required, required_word};
use crate::cron::{Schedule, time_zone};
use crate::tree::Read;

/// Names of jobs are eleven characters longer, and labels.
const MAX_NAME: usize = 52;
/// The most characters in a part of the name of a time zone.
const MAX_ZONE_PART: usize = 14;

/// Checks a new cron job.
pub(super) fn create(cron_job: &Tree) -> ErrorList {
    let mut found = spec(cron_job.at("spec"), None);
    let name = cron_job.text("metadata.name");
    if name.len() > MAX_NAME {
        let path = Path::new("metadata").child("name");
        found.push(Error::invalid(path, name, format!("must be no more than {MAX_NAME} characters")));
    }
    found
}

/// Checks a change. A name that is too long stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    spec(new.at("spec"), Some(old.at("spec")))
}

fn spec(spec: &Tree, old: Option<&Tree>) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    if required(&mut found, path.child("schedule"), spec.text("schedule")) {
        let may_name_zone = old.is_some_and(|old| old.text("schedule").contains("TZ"));
        schedule(&mut found, spec, may_name_zone, &path.child("schedule"));
    }
    not_negative(&mut found, spec, &path, &["startingDeadlineSeconds"]);
    let zone_changed = old.is_none_or(|old| old.at("timeZone") != spec.at("timeZone"));
    if zone_changed && let Some(name) = spec.at("timeZone").as_str() {
        zone(&mut found, name, &path.child("timeZone"));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    required_word(&mut found, path.child("concurrencyPolicy"), spec.text("concurrencyPolicy"), &policies);
    job(&mut found, spec.at("jobTemplate.spec"), &path.child("jobTemplate").child("spec"));
    not_negative(&mut found, spec, &path, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
    found
}

/// The zone has its own field; a schedule that named one before there was the field may go on to.
fn schedule(found: &mut ErrorList, spec: &Tree, may_name_zone: bool, path: &Path) {
    let text = spec.text("schedule");
    if let Err(why) = Schedule::parse(text) {
        found.push(Error::invalid(path.clone(), text, why.to_string()));
    }
    if !text.contains("TZ") {
        return;
    }
    let why = match (may_name_zone, spec.has("timeZone")) {
        (true, false) => return,
        (true, true) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        (false, _) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    };
    found.push(Error::invalid(path.clone(), text, why));
}

fn zone(found: &mut ErrorList, name: &str, path: &Path) {
    let mut invalid = |why: String| found.push(Error::invalid(path.clone(), name, why));
    if name.is_empty() {
        invalid("timeZone must be nil or non-empty string".to_owned());
    } else if !name.split('/').all(is_zone_part) {
        invalid(format!("unknown time zone {name}"));
    } else if name.eq_ignore_ascii_case("Local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        invalid(why.to_owned());
        if name != "Local" {
            invalid(format!("unknown time zone {name}"));
        }
    } else if time_zone(name).is_none() {
        invalid(format!("unknown time zone {name}"));
    }
}

fn is_zone_part(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    !matches!(part, "" | "." | "..")
        && !part.starts_with('-')
        && part.len() <= MAX_ZONE_PART
        && part.chars().all(allowed)
}

/// The job to be made: its selector will be.
fn job(found: &mut ErrorList, spec: &Tree, path: &Path) {
    validate_spec(found, spec, path);
    if spec.has("selector") {
        let why = "`selector` will be auto-generated";
        found.push(Error::invalid(path.child("selector"), spec.at("selector").clone(), why));
    }
    if spec.flag("manualSelector") {
        found.push(Error::not_supported_in_order(path.child("manualSelector"), true, &["nil", "false"]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::cronjob::defaults;
    use crate::checks::tests::texts;

    fn cron_job(spec: &Value) -> Value {
        let mut tree = json!({"metadata": {"name": "c"}, "spec": {"schedule": "@hourly", "jobTemplate": {"spec": {
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}}}}});
        for (field, value) in spec.entries("") {
            tree["spec"][field] = value.clone();
        }
        defaults::cron_job(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases: [(Value, &[&str]); 12] = [
            (json!({}), &[]),
            (json!({"timeZone": "Europe/Berlin"}), &[]),
            (json!({"schedule": ""}), &["schedule: Required value"]),
            (
                json!({"schedule": "* *"}),
                &["schedule: Invalid value: \"* *\": expected exactly 5 fields, found 2: [* *]"],
            ),
            (
                json!({"schedule": "TZ=UTC @hourly"}),
                &[
                    "schedule: Invalid value: \"TZ=UTC @hourly\": cannot use TZ or CRON_TZ in schedule, use timeZone field \
                   instead",
                ],
            ),
            (
                json!({"timeZone": ""}),
                &["timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"],
            ),
            (
                json!({"timeZone": "Mars/../x"}),
                &["timeZone: Invalid value: \"Mars/../x\": unknown time zone Mars/../x"],
            ),
            (
                json!({"timeZone": "Mars/Base"}),
                &["timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base"],
            ),
            (
                json!({"timeZone": "LOCAL"}),
                &[
                    "timeZone: Invalid value: \"LOCAL\": timeZone must be an explicit time zone as defined in \
                     https://www.iana.org/time-zones",
                    "timeZone: Invalid value: \"LOCAL\": unknown time zone LOCAL",
                ],
            ),
            (
                json!({"startingDeadlineSeconds": -1, "failedJobsHistoryLimit": -1}),
                &[
                    "startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
                    "failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
                ],
            ),
            (
                json!({"concurrencyPolicy": "Odd"}),
                &[
                    "concurrencyPolicy: Unsupported value: \"Odd\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
                ],
            ),
            (
                json!({"jobTemplate": {"spec": {"selector": {}, "manualSelector": true, "parallelism": -1,
                    "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}}}}),
                &[
                    "jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                    "jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
                    "jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
                ],
            ),
        ];
        for (spec, want) in cases {
            let want: Vec<String> = want.iter().map(|text| format!("spec.{text}")).collect();
            assert_eq!(texts(&create(&cron_job(&spec))), want);
        }
    }

    #[test]
    fn what_was_allowed_before_stays() {
        let zoned = cron_job(&json!({"schedule": "TZ=UTC @hourly"}));
        assert!(update(&zoned, &zoned).is_empty());
        let both = cron_job(&json!({"schedule": "TZ=UTC @daily", "timeZone": "UTC"}));
        let want = "spec.schedule: Invalid value: \"TZ=UTC @daily\": cannot use both timeZone field and TZ or CRON_TZ in \
                    schedule";
        assert_eq!(texts(&update(&both, &zoned)), [want]);
        let odd = cron_job(&json!({"timeZone": "Mars/Base"}));
        assert!(update(&odd, &odd).is_empty());
    }

    #[test]
    fn names_leave_room_for_jobs() {
        let mut tree = cron_job(&json!({}));
        tree["metadata"]["name"] = json!("c".repeat(53));
        let want = format!(
            "metadata.name: Invalid value: \"{}\": must be no more than 52 characters",
            "c".repeat(53)
        );
        assert_eq!(texts(&create(&tree)), [want]);
        assert!(update(&tree, &tree).is_empty());
    }
}
