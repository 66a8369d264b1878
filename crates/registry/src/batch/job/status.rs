//! Validation of what a controller reports of a job. Controllers of others' making may write it (`managedBy`), so that
//! users can rely on what is checked here: a job that ended has no pods, stays ended, and says when.
//!
//! Most rules hold only where the report changes what they are about: a status that was wrong before, or became wrong by
//! a change of the spec, must not keep the rest from being reported.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{has_condition, indexes, is_finished, is_indexed, is_true};
use crate::checks::{IMMUTABLE, Seen, not_negative};
use crate::tree::{Read, same};

/// A report, with what it was before.
struct Report<'a> {
    new: &'a Tree,
    old: &'a Tree,
    path: Path,
}

/// Checks a report.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let report = Report { new, old, path: Path::new("status") };
    let mut found = ErrorList::new();
    let counts = ["active", "succeeded", "failed", "ready", "terminating"];
    not_negative(&mut found, new.at("status"), &report.path, &counts);
    report.uncounted_pods(&mut found);
    report.completion(&mut found);
    report.end(&mut found);
    report.indexes(&mut found);
    report.pods(&mut found);
    report.contradictions(&mut found);
    report.steps_back(&mut found);
    found
}

impl Report<'_> {
    fn status(&self, field: &str) -> &Tree {
        self.new.at("status").at(field)
    }

    fn count(&self, field: &str) -> i64 {
        self.status(field).as_i64().unwrap_or(0)
    }

    /// Whether one of these fields says something else than before.
    fn changed(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| !same(self.status(field), self.old.at("status").at(field)))
    }

    /// Whether one of these conditions became true or ceased to be.
    fn turned(&self, conditions: &[&str]) -> bool {
        conditions.iter().any(|condition| is_true(self.new, condition) != is_true(self.old, condition))
    }

    fn is(&self, condition: &str) -> bool {
        is_true(self.new, condition)
    }

    fn ended(&self) -> bool {
        is_finished(self.new)
    }

    fn end_turned(&self) -> bool {
        is_finished(self.new) != is_finished(self.old)
    }

    fn invalid(&self, found: &mut ErrorList, field: &str, why: impl Into<String>) {
        found.push(Error::invalid(self.path.child(field), self.status(field).clone(), why));
    }

    /// Upstream does not show the conditions.
    fn conditions(&self, found: &mut ErrorList, why: impl Into<String>) {
        found.push(Error::invalid_unshown(self.path.child("conditions"), why));
    }

    /// UIDs of pods that ended and are not counted yet, each once.
    fn uncounted_pods(&self, found: &mut ErrorList) {
        let path = self.path.child("uncountedTerminatedPods");
        let mut seen = Seen::default();
        for list in ["succeeded", "failed"] {
            for (index, uid) in self.status("uncountedTerminatedPods").items(list).iter().enumerate() {
                let (uid, path) = (uid.as_str().unwrap_or_default(), path.child(list).index(index));
                if uid.is_empty() {
                    found.push(Error::invalid(path, uid, "must not be empty"));
                } else {
                    seen.unique(found, path, uid);
                }
            }
        }
    }

    /// A job that completed, and only such a job, says when.
    fn completion(&self, found: &mut ErrorList) {
        let (complete, time) = (self.is("Complete"), self.status("completionTime"));
        if self.turned(&["Complete", "Failed"]) && complete && self.is("Failed") {
            self.conditions(found, "cannot set Complete=True and Failed=true conditions");
        }
        if self.turned(&["Complete", "FailureTarget"]) && complete && self.is("FailureTarget") {
            self.conditions(found, "cannot set Complete=True and FailureTarget=true conditions");
        }
        if self.turned(&["Complete"]) || self.changed(&["completionTime"]) {
            if !time.is_null() && !complete {
                let why = "cannot set completionTime when there is no Complete=True condition";
                self.invalid(found, "completionTime", why);
            }
            if time.is_null() && complete {
                let why = "completionTime is required for Complete jobs";
                found.push(Error::required(self.path.child("completionTime"), why));
            }
        }
        if self.changed(&["startTime", "completionTime"]) && self.ends_before_start() {
            self.invalid(found, "completionTime", "must be equal to or after `startTime`");
        }
    }

    fn ends_before_start(&self) -> bool {
        let time = |field| self.status(field).as_str()?.parse::<jiff::Timestamp>().ok();
        matches!((time("startTime"), time("completionTime")), (Some(start), Some(end)) if end < start)
    }

    /// What comes before the end, and what cannot be there after it.
    fn end(&self, found: &mut ErrorList) {
        if (self.turned(&["Failed"]) || self.changed(&["failedIndexes"]))
            && self.is("Failed")
            && !self.is("FailureTarget")
        {
            let why = "cannot set Failed=True condition without the FailureTarget=true condition";
            self.conditions(found, why);
        }
        if self.turned(&["Complete", "SuccessCriteriaMet"])
            && self.is("Complete")
            && !self.is("SuccessCriteriaMet")
        {
            let why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            self.conditions(found, why);
        }
        if !self.ended() {
            return;
        }
        let asked = |fields: &[&str]| self.end_turned() || self.changed(fields);
        if asked(&["active"]) && self.count("active") > 0 {
            self.invalid(found, "active", "active>0 is invalid for finished job");
        }
        let nothing_to_start = self.new.flag("spec.suspend") && self.new.int("spec.completions") == Some(0);
        if asked(&["startTime"]) && !nothing_to_start && self.status("startTime").is_null() {
            let why = "startTime is required for finished job";
            found.push(Error::required(self.path.child("startTime"), why));
        }
        let uncounted = self.status("uncountedTerminatedPods");
        let some = !uncounted.items("succeeded").is_empty() || !uncounted.items("failed").is_empty();
        if asked(&["uncountedTerminatedPods"]) && some {
            let shown = json!({"Succeeded": uncounted.at("succeeded"), "Failed": uncounted.at("failed")});
            let path = self.path.child("uncountedTerminatedPods");
            found.push(Error::invalid(path, shown, "must be empty for finished job"));
        }
    }

    /// The indexes that completed and those that failed: below the number of completions, and never both.
    fn indexes(&self, found: &mut ErrorList) {
        let spec = self.new.at("spec");
        let (completed, failed) = (self.status("completedIndexes"), self.status("failedIndexes"));
        let completed_text = completed.as_str().unwrap_or_default();
        let (completed_changed, failed_changed) =
            (self.changed(&["completedIndexes"]), self.changed(&["failedIndexes"]));
        if let Some(completions) = spec.int("completions") {
            if completed_changed && let Err(why) = indexes::count(completed_text, completions) {
                self.invalid(found, "completedIndexes", format!("error parsing completedIndexes: {why}"));
            }
            let failed_text = failed.as_str().unwrap_or_default();
            if failed_changed
                && spec.has("backoffLimitPerIndex")
                && let Err(why) = indexes::count(failed_text, completions)
            {
                self.invalid(found, "failedIndexes", format!("error parsing failedIndexes: {why}"));
            }
        }
        if completed_changed && !completed_text.is_empty() && !is_indexed(spec) {
            let why = "cannot set non-empty completedIndexes when non-indexed completion mode";
            self.invalid(found, "completedIndexes", why);
        }
        if failed_changed && !failed.is_null() && !spec.has("backoffLimitPerIndex") {
            let why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            self.invalid(found, "failedIndexes", why);
        }
        if (completed_changed || failed_changed)
            && let (Some(completions), Some(failed_text)) = (spec.int("completions"), failed.as_str())
            && let Some(both) = indexes::overlap(completed_text, failed_text, completions)
        {
            let why = format!("failedIndexes and completedIndexes overlap at index: {both}");
            self.invalid(found, "failedIndexes", why);
        }
    }

    fn pods(&self, found: &mut ErrorList) {
        let terminating_asked = self.end_turned() || self.changed(&["terminating"]);
        if terminating_asked && self.ended() && self.count("terminating") > 0 {
            self.invalid(found, "terminating", "terminating>0 is invalid for finished job");
        }
        let ready = self.status("ready");
        if self.changed(&["ready", "active"])
            && !ready.is_null()
            && self.count("ready") > self.count("active")
        {
            self.invalid(found, "ready", "cannot set more ready pods than active");
        }
    }

    /// Conditions that exclude each other, whatever the status was before.
    fn contradictions(&self, found: &mut ErrorList) {
        let met = self.is("SuccessCriteriaMet");
        if met && self.is("Failed") {
            self.conditions(found, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
        }
        if met && self.is("FailureTarget") {
            self.conditions(found, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
        }
        if self.new.has("spec.successPolicy") && !met && self.is("Complete") {
            let why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            self.conditions(found, why);
        }
    }

    /// What once was so stays so.
    fn steps_back(&self, found: &mut ErrorList) {
        for condition in ["Failed", "Complete", "FailureTarget"] {
            if is_true(self.old, condition) && !self.is(condition) {
                self.conditions(found, format!("cannot disable the terminal {condition}=True condition"));
            }
        }
        let spec = self.new.at("spec");
        // An indexed job whose pods all run at once can be made smaller.
        let elastic = is_indexed(spec) && same(spec.at("completions"), spec.at("parallelism"));
        for (field, fixed) in [("failed", true), ("succeeded", !elastic)] {
            if fixed && self.count(field) < self.old.at("status").int(field).unwrap_or(0) {
                let why = format!("cannot decrease the {field} counter");
                found.push(Error::invalid(self.path.child(field), self.count(field), why));
            }
        }
        let was = |field: &str| self.old.at("status").has(field) && self.changed(&[field]);
        if was("completionTime") && !self.status("completionTime").is_null() {
            self.invalid(found, "completionTime", IMMUTABLE);
        }
        let resumes = is_true(self.old, "Suspended") && has_condition(self.new, "Suspended", "False");
        if was("startTime") && !resumes && !spec.flag("suspend") {
            self.invalid(found, "startTime", "field is immutable for unsuspended job once set");
        }
        let met_before = is_true(self.old, "SuccessCriteriaMet");
        if met_before && !self.is("SuccessCriteriaMet") {
            self.conditions(found, "cannot disable the SuccessCriteriaMet=True condition");
        }
        if is_true(self.old, "Complete") && !met_before && self.is("SuccessCriteriaMet") {
            let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            self.conditions(found, why);
        }
    }
}

#[cfg(test)]
mod tests;
