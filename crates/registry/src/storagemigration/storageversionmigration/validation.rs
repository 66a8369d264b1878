//! Validation of storage version migrations.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1035_label_problems, dns1123_subdomain_problems};

use crate::checks::IMMUTABLE;
use crate::conditions::{conditions, is_true};
use crate::tree::{Read, same};

const SUCCEEDED: &str = "Succeeded";
const FAILED: &str = "Failed";

/// Checks a new migration.
pub(super) fn create(migration: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (what, path) = (migration.at("spec.resource"), Path::new("spec").child("resource"));
    let mut joined = |field: &str, problems: Vec<String>| {
        if !problems.is_empty() {
            found.push(Error::invalid(path.child(field), what.text(field), problems.join(",")));
        }
    };
    let (resource, group) = (what.text("resource"), what.text("group"));
    if !resource.is_empty() {
        joined("resource", dns1035_label_problems(resource, false));
    }
    if !group.is_empty() {
        joined("group", dns1123_subdomain_problems(group, false));
    }
    if resource.is_empty() {
        found.insert(0, Error::required(path.child("resource"), "resource is required to be set"));
    }
    found
}

/// Checks a change: what is migrated stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    if !same(new.at("spec"), old.at("spec")) {
        let what = new.at("spec.resource");
        let shown = json!({"Resource": {"group": what.text("group"), "resource": what.text("resource")}});
        found.push(Error::invalid(Path::new("spec"), shown, IMMUTABLE));
    }
    found
}

/// Checks a report of the migrator: what is over stays over.
pub(super) fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("status");
    let (revision, before) = (new.text("status.resourceVersion"), old.text("status.resourceVersion"));
    let bad_revision = |why: String| Error::invalid(path.child("resourceVersion"), revision, why);
    if !revision.is_empty() && !is_revision(revision) {
        found.push(bad_revision(format!("resource version is not well formed: {revision}")));
    }
    let list = new.items("status.conditions");
    conditions(&mut found, list, &path.child("conditions"));
    if !before.is_empty() && before != revision {
        found.push(bad_revision(IMMUTABLE.to_owned()));
    }
    let mut bad_conditions = |why: &str| {
        found.push(Error::invalid(path.child("conditions"), new.at("status.conditions").clone(), why));
    };
    if is_true(list, SUCCEEDED) && is_true(list, FAILED) {
        bad_conditions("Both success and failed conditions cannot be true at the same time");
    }
    for (name, why) in [
        (SUCCEEDED, "Success condition cannot be set to false once it is true"),
        (FAILED, "Failed condition cannot be set to false once it is true"),
    ] {
        if is_true(old.items("status.conditions"), name) && !is_true(list, name) {
            bad_conditions(why);
        }
    }
    found
}

/// A number that a version of an object can have.
fn is_revision(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    fn migration() -> Value {
        json!({"spec": {"resource": {"group": "apps", "resource": "deployments"}}})
    }

    fn report(word: &str) -> Value {
        json!({"status": {"resourceVersion": "5", "conditions": [{
            "type": word, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let required = "spec.resource.resource: Required value: resource is required to be set";
        let cases = [("/spec/resource/resource", json!(""), vec![required])];
        assert_problems(&migration(), create, cases);
        let got = texts(&create(&json!({"spec": {"resource": {"group": "-", "resource": "1"}}})));
        assert!(
            got[0].starts_with("spec.resource.resource: Invalid value: \"1\": a DNS-1035 label"),
            "{got:?}"
        );
        assert!(
            got[1].starts_with("spec.resource.group: Invalid value: \"-\": a lowercase RFC 1123"),
            "{got:?}"
        );
    }

    #[test]
    fn what_is_migrated_stays() {
        let old = migration();
        let shown = "spec: Invalid value: {\"Resource\":{\"group\":\"apps\",\"resource\":\"replicasets\"}}: field is immutable";
        let cases = [("/spec/resource/resource", json!("replicasets"), vec![shown])];
        assert_problems(&old, |new| update(new, &old), cases);
    }

    #[test]
    fn what_is_over_stays_over() {
        let old = report("Succeeded");
        let cases = [
            (
                "/status/resourceVersion",
                json!("x"),
                vec![
                    "status.resourceVersion: Invalid value: \"x\": resource version is not well formed: x",
                    "status.resourceVersion: Invalid value: \"x\": field is immutable",
                ],
            ),
            (
                "/status/conditions",
                json!([]),
                vec![
                    "status.conditions: Invalid value: []: Success condition cannot be set to false once it is true",
                ],
            ),
        ];
        assert_problems(&old, |new| status(new, &old), cases);
        let mut both = old.clone();
        let failed = report("Failed")["status"]["conditions"][0].clone();
        both["status"]["conditions"].as_array_mut().expect("a list").push(failed);
        let got = texts(&status(&both, &old));
        assert!(
            got[0].ends_with("Both success and failed conditions cannot be true at the same time"),
            "{got:?}"
        );
        let got = texts(&status(&old, &report("Failed")));
        assert!(got[0].ends_with("Failed condition cannot be set to false once it is true"), "{got:?}");
    }
}
