//! Validation of CSI drivers.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{Seen, immutable, known_word};
use crate::tree::Read;

/// How upstream spells `attachRequired` in its messages.
const ATTACH: &str = "attachedRequired";
const MIN_PERIOD_SECONDS: i64 = 10;

/// Checks a new driver.
pub(super) fn create(driver: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (driver.at("spec"), Path::new("spec"));
    required(&mut found, spec, "attachRequired", path.child(ATTACH));
    required(&mut found, spec, "podInfoOnMount", path.child("podInfoOnMount"));
    required(&mut found, spec, "storageCapacity", path.child("storageCapacity"));
    if spec.has("fsGroupPolicy") {
        let known = ["File", "None", "ReadWriteOnceWithFSType"];
        known_word(&mut found, path.child("fsGroupPolicy"), spec.text("fsGroupPolicy"), &known);
    }
    token_requests(&mut found, spec.items("tokenRequests"), &path.child("tokenRequests"));
    for mode in spec.texts("volumeLifecycleModes") {
        let path = path.child("volumeLifecycleModes");
        known_word(&mut found, path, mode, &["Persistent", "Ephemeral"]);
    }
    required(&mut found, spec, "seLinuxMount", path.child("seLinuxMount"));
    let period = spec.int("nodeAllocatableUpdatePeriodSeconds");
    if let Some(period) = period.filter(|period| *period < MIN_PERIOD_SECONDS) {
        let why = "must be greater than or equal to 10 seconds";
        found.push(Error::invalid(path.child("nodeAllocatableUpdatePeriodSeconds"), period, why));
    }
    if spec.has("serviceAccountTokenInSecrets") && spec.items("tokenRequests").is_empty() {
        let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        let shown = spec.at("serviceAccountTokenInSecrets").clone();
        found.push(Error::invalid(path.child("serviceAccountTokenInSecrets"), shown, why));
    }
    let missing = "preventPodSchedulingIfMissing";
    required(&mut found, spec, missing, path.child(missing));
    found
}

/// Checks a change: how volumes are attached and which kinds there are stays.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    let path = Path::new("spec");
    for (field, shown) in [("attachRequired", ATTACH), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        let (new, old) = (new.at("spec").at(field), old.at("spec").at(field));
        immutable(&mut found, path.child(shown), new, old);
    }
    found
}

fn required(found: &mut ErrorList, spec: &Tree, field: &str, path: Path) {
    if !spec.has(field) {
        found.push(Error::required(path, ""));
    }
}

fn token_requests(found: &mut ErrorList, requests: &[Tree], path: &Path) {
    const MIN_SECONDS: i64 = 600;
    const MAX_SECONDS: i64 = 1 << 32;
    let mut audiences = Seen::default();
    for (index, request) in requests.iter().enumerate() {
        let (audience, path) = (request.text("audience"), path.index(index));
        if !audiences.first(audience) {
            found.push(Error::duplicate(path.child("audience"), audience));
            continue;
        }
        let Some(seconds) = request.int("expirationSeconds") else { continue };
        let why = match seconds {
            i64::MIN..MIN_SECONDS => "may not specify a duration less than 10 minutes",
            MIN_SECONDS..=MAX_SECONDS => continue,
            _ => "may not specify a duration larger than 2^32 seconds",
        };
        found.push(Error::invalid(path.child("expirationSeconds"), seconds, why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::assert_problems;

    fn driver() -> Value {
        json!({"spec": {
            "attachRequired": true, "podInfoOnMount": false, "storageCapacity": false, "seLinuxMount": false,
            "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent"], "preventPodSchedulingIfMissing": false,
            "tokenRequests": [{"audience": "a", "expirationSeconds": 600}], "serviceAccountTokenInSecrets": true,
        }})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/spec/attachRequired", json!(null), vec!["spec.attachedRequired: Required value"]),
            ("/spec/podInfoOnMount", json!(null), vec!["spec.podInfoOnMount: Required value"]),
            ("/spec/storageCapacity", json!(null), vec!["spec.storageCapacity: Required value"]),
            ("/spec/seLinuxMount", json!(null), vec!["spec.seLinuxMount: Required value"]),
            (
                "/spec/preventPodSchedulingIfMissing",
                json!(null),
                vec!["spec.preventPodSchedulingIfMissing: Required value"],
            ),
            (
                "/spec/fsGroupPolicy",
                json!("All"),
                vec![
                    "spec.fsGroupPolicy: Unsupported value: \"All\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
                ],
            ),
            (
                "/spec/volumeLifecycleModes/0",
                json!("Eternal"),
                vec![
                    "spec.volumeLifecycleModes: Unsupported value: \"Eternal\": supported values: \"Persistent\", \"Ephemeral\"",
                ],
            ),
            (
                "/spec/nodeAllocatableUpdatePeriodSeconds",
                json!(9),
                vec![
                    "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
                ],
            ),
            (
                "/spec/tokenRequests/1",
                json!({"audience": "a"}),
                vec!["spec.tokenRequests[1].audience: Duplicate value: \"a\""],
            ),
            (
                "/spec/tokenRequests/0/expirationSeconds",
                json!(599),
                vec![
                    "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
                ],
            ),
            (
                "/spec/tokenRequests/0/expirationSeconds",
                json!(4294967297_i64),
                vec![
                    "spec.tokenRequests[0].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
                ],
            ),
            (
                "/spec/tokenRequests",
                json!([]),
                vec![
                    "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
                ],
            ),
        ];
        assert_problems(&driver(), create, cases);
    }

    #[test]
    fn how_volumes_are_served_stays() {
        let old = driver();
        let cases = [
            (
                "/spec/attachRequired",
                json!(false),
                vec!["spec.attachedRequired: Invalid value: false: field is immutable"],
            ),
            (
                "/spec/volumeLifecycleModes",
                json!(["Ephemeral"]),
                vec!["spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\"]: field is immutable"],
            ),
            ("/spec/podInfoOnMount", json!(true), vec![]),
        ];
        assert_problems(&old, |new| update(new, &old), cases);
    }
}
