//! Validation of jobs, and of the specs of jobs in cron jobs.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{Selector, validate_label_selector};
use steersman_apimachinery::names::dns1123_label_problems;

use super::prepare::{NAME_LABELS, UID_LABELS};
use super::{is_indexed, policies};
use crate::checks::{domain_prefixed_path, known_word, not_negative, optional_word};
use crate::core::podspec::validation::{selected, template};
use crate::tree::Read;

/// The text of an indexed job's completed indexes has its limits.
const MAX_PARALLELISM: i64 = 100_000;
const MAX_FAILED: i64 = 100_000;
/// Above this many completions, fewer may run or fail at a time.
const MANY_COMPLETIONS: i64 = 100_000;
const MAX_WITH_MANY: i64 = 10_000;
const MAX_MANAGED_BY: usize = 63;
const NEEDS_INDEXED: &str = "requires indexed completion mode";

/// Checks a new job.
pub(super) fn create(job: &Tree) -> ErrorList {
    whole(job, true)
}

/// Checks all of a job. `prefixed_labels`: its pods must have the labels with a prefix, too.
pub(super) fn whole(job: &Tree, prefixed_labels: bool) -> ErrorList {
    let mut found = ErrorList::new();
    generated_selector(&mut found, job, prefixed_labels);
    found.extend(spec_with_selector(job.at("spec")));
    host_names(&mut found, job);
    found
}

/// Checks the spec of a job, with its selector.
pub(super) fn spec_with_selector(spec: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    self::spec(&mut found, spec, &path);
    let (selector, at) = (spec.at("selector"), path.child("selector"));
    if selector.is_null() {
        found.push(Error::required(at, ""));
    } else {
        found.extend(validate_label_selector(selector, &at));
    }
    if let Ok(selector) = Selector::from_label_selector(Some(selector)) {
        selected(&mut found, spec.at("template"), &selector, &path.child("template"));
    }
    found
}

/// Checks the spec of a job but for its selector.
pub(crate) fn spec(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    not_negative(found, spec, path, &counts);
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        found.push(Error::required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if spec.has("managedBy") {
        managed_by(found, spec.text("managedBy"), &path.child("managedBy"));
    }
    optional_word(found, spec, path, "completionMode", &["NonIndexed", "Indexed"]);
    match spec.text("completionMode") {
        "Indexed" => indexed(found, spec, path),
        "" | "NonIndexed" => not_indexed(found, spec, path),
        _ => {}
    }
    policies::all(found, spec, path);
    template(found, spec.at("template"), &path.child("template"));
    restart_policy(found, spec, path.child("template").child("spec").child("restartPolicy"));
}

fn managed_by(found: &mut ErrorList, value: &str, path: &Path) {
    domain_prefixed_path(found, path, value);
    if value.len() > MAX_MANAGED_BY {
        found.push(Error::too_long(path.clone(), MAX_MANAGED_BY));
    }
}

fn not_indexed(found: &mut ErrorList, spec: &Tree, path: &Path) {
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(value) = spec.int(field) {
            found.push(Error::invalid(path.child(field), value, NEEDS_INDEXED));
        }
    }
}

fn indexed(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (completions, parallelism) = (spec.int("completions"), spec.int("parallelism"));
    let max_failed = spec.int("maxFailedIndexes");
    if completions.is_none() {
        found.push(Error::required(path.child("completions"), "when completion mode is Indexed"));
    }
    if let Some(count) = parallelism.filter(|count| *count > MAX_PARALLELISM) {
        let why = format!("must be less than or equal to {MAX_PARALLELISM} when completion mode is Indexed");
        found.push(Error::invalid(path.child("parallelism"), count, why));
    }
    if let (Some(completions), Some(count)) = (completions, max_failed)
        && count > completions
    {
        let why = "must be less than or equal to completions";
        found.push(Error::invalid(path.child("maxFailedIndexes"), count, why));
    }
    if let Some(count) = max_failed.filter(|count| *count > MAX_FAILED) {
        let why = format!("must be less than or equal to {MAX_FAILED}");
        found.push(Error::invalid(path.child("maxFailedIndexes"), count, why));
    }
    if completions.is_some_and(|count| count > MANY_COMPLETIONS) && spec.has("backoffLimitPerIndex") {
        many_completions(found, parallelism, max_failed, path);
    }
}

fn many_completions(found: &mut ErrorList, parallelism: Option<i64>, max_failed: Option<i64>, path: &Path) {
    if max_failed.is_none() {
        let why = format!("must be specified when completions is above {MANY_COMPLETIONS}");
        found.push(Error::required(path.child("maxFailedIndexes"), why));
    }
    for (field, value) in [("parallelism", parallelism), ("maxFailedIndexes", max_failed)] {
        if let Some(count) = value.filter(|count| *count > MAX_WITH_MANY) {
            let why = format!(
                "must be less than or equal to {MAX_WITH_MANY} when completions are above {MANY_COMPLETIONS} and used \
                 with backoff limit per index"
            );
            found.push(Error::invalid(path.child(field), count, why));
        }
    }
}

/// Pods of a job end. `Always` may be the default of a pod, not the user's wish.
fn restart_policy(found: &mut ErrorList, spec: &Tree, path: Path) {
    match spec.text("template.spec.restartPolicy") {
        "" | "Always" => found.push(Error::required(path, "valid values: \"OnFailure\", \"Never\"")),
        policy @ "OnFailure" if spec.has("podFailurePolicy") => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            found.push(Error::invalid(path, policy, why));
        }
        policy => known_word(found, path, policy, &["OnFailure", "Never"]),
    }
}

/// A selector that the server made is as it made it, and so are the labels that it selects.
fn generated_selector(found: &mut ErrorList, job: &Tree, prefixed_labels: bool) {
    if job.flag("spec.manualSelector") || !job.has("spec.selector") {
        return;
    }
    let (name, uid) = (job.text("metadata.name"), job.text("metadata.uid"));
    if uid.is_empty() {
        found.push(Error::required(Path::new("metadata").child("uid"), ""));
    }
    let known = if prefixed_labels { 2 } else { 1 };
    let mut expected = Vec::new();
    for (uid_label, name_label) in UID_LABELS.into_iter().zip(NAME_LABELS).take(known) {
        expected.extend([(uid_label, uid), (name_label, name)]);
    }
    for (label, value) in &expected {
        has_label(found, job.at("spec.template.metadata.labels"), label, value);
    }
    let selector = Selector::from_label_selector(Some(job.at("spec.selector")));
    let label_of = |key: &str| expected.iter().find(|(label, _)| *label == key).map(|(_, value)| *value);
    if selector.is_ok_and(|selector| !selector.matches(label_of)) {
        let why = "`selector` not auto-generated";
        found.push(Error::invalid(Path::new("spec").child("selector"), job.at("spec.selector").clone(), why));
    }
}

fn has_label(found: &mut ErrorList, labels: &Tree, label: &str, value: &str) {
    let path = Path::new("spec").child("template").child("metadata").child("labels").key(label);
    let why = format!("must be '{value}'");
    match labels.get(label).and_then(Tree::as_str) {
        None => found.push(Error::required(path, why)),
        Some(said) if said != value => found.push(Error::invalid(path, labels.clone(), why)),
        Some(_) => {}
    }
}

/// The pods of an indexed job have the index in their host names.
fn host_names(found: &mut ErrorList, job: &Tree) {
    let completions = job.int("spec.completions").unwrap_or(0);
    if !is_indexed(job.at("spec")) || completions <= 0 {
        return;
    }
    let name = job.text("metadata.name");
    let longest = format!("{name}-{}", completions - 1);
    if !dns1123_label_problems(&longest, false).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {longest}");
        found.push(Error::invalid(Path::new("metadata").child("name"), name, why));
    }
}

#[cfg(test)]
mod tests;
