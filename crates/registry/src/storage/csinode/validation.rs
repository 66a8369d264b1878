//! Validation of what CSI drivers say of a node.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{IMMUTABLE, Seen, driver_name, not_negative, qualified, required};
use crate::tree::{Read, same};

const MAX_NODE_ID_BYTES: usize = 256;

/// Checks a new object.
pub(super) fn create(node: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let mut names = Seen::default();
    for (index, driver) in node.items("spec.drivers").iter().enumerate() {
        let path = Path::new("spec").child("drivers").index(index);
        self::driver(&mut found, driver, &path, &mut names);
    }
    found
}

/// Checks a change: a driver that stays may change no more than how many volumes it takes.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    for before in old.items("spec.drivers") {
        let of_its_name = |driver: &&Tree| driver.text("name") == before.text("name");
        for now in new.items("spec.drivers").iter().filter(of_its_name) {
            let changed =
                ["nodeID", "topologyKeys"].iter().any(|field| !same(now.at(field), before.at(field)));
            if changed {
                let path = Path::new("spec").child("drivers");
                found.push(Error::invalid(path, shown(now), IMMUTABLE));
            }
        }
    }
    found
}

/// A driver as upstream's message shows it.
fn shown(driver: &Tree) -> Tree {
    json!({
        "Name": driver.text("name"), "NodeID": driver.text("nodeID"), "TopologyKeys": driver.at("topologyKeys"),
        "Allocatable": null,
    })
}

fn driver<'a>(found: &mut ErrorList, driver: &'a Tree, path: &Path, names: &mut Seen<'a>) {
    let name = driver.text("name");
    driver_name(found, &path.child("name"), name, Error::too_long);
    let (id, at) = (driver.text("nodeID"), path.child("nodeID"));
    required(found, at.clone(), id);
    if id.len() > MAX_NODE_ID_BYTES {
        let why = format!("must be {MAX_NODE_ID_BYTES} characters or less");
        found.push(Error::invalid(at, id, why));
    }
    not_negative(found, driver.at("allocatable"), &path.child("allocatable"), &["count"]);
    names.unique(found, path.child("name"), name);
    let mut keys = Seen::default();
    for key in driver.texts("topologyKeys") {
        required(found, path.clone(), key);
        keys.unique(found, path.clone(), key);
        qualified(found, path, key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    fn node() -> Value {
        json!({"spec": {"drivers": [
            {"name": "a.example.com", "nodeID": "n1", "topologyKeys": ["zone"], "allocatable": {"count": 5}}]}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let long = "x".repeat(64);
        let cases = [
            ("/spec/drivers/0/name", json!(""), vec!["spec.drivers[0].name: Required value"]),
            (
                "/spec/drivers/0/name",
                json!(long),
                vec!["spec.drivers[0].name: Too long: may not be more than 63 bytes"],
            ),
            ("/spec/drivers/0/nodeID", json!(""), vec!["spec.drivers[0].nodeID: Required value"]),
            (
                "/spec/drivers/0/allocatable/count",
                json!(-1),
                vec![
                    "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
                ],
            ),
            (
                "/spec/drivers/1",
                json!({"name": "a.example.com", "nodeID": "n"}),
                vec!["spec.drivers[1].name: Duplicate value: \"a.example.com\""],
            ),
            (
                "/spec/drivers/0/topologyKeys/1",
                json!("zone"),
                vec!["spec.drivers[0]: Duplicate value: \"zone\""],
            ),
        ];
        assert_problems(&node(), create, cases);
        let mut node = node();
        node["spec"]["drivers"][0]["nodeID"] = json!("x".repeat(257));
        node["spec"]["drivers"][0]["topologyKeys"] = json!([""]);
        let got = texts(&create(&node));
        assert!(got[0].ends_with("must be 256 characters or less"), "{got:?}");
        assert_eq!(got[1], "spec.drivers[0]: Required value");
        assert!(
            got[2].starts_with("spec.drivers[0]: Invalid value: \"\": name part must be non-empty"),
            "{got:?}"
        );
    }

    #[test]
    fn drivers_stay_as_they_are() {
        let old = node();
        let cases = [
            ("/spec/drivers/0/allocatable/count", json!(6), vec![]),
            ("/spec/drivers", json!([]), vec![]),
            (
                "/spec/drivers/0/nodeID",
                json!("n2"),
                vec![
                    "spec.drivers: Invalid value: {\"Allocatable\":null,\"Name\":\"a.example.com\",\"NodeID\":\"n2\",\"TopologyKeys\":[\"zone\"]}: field is immutable",
                ],
            ),
        ];
        assert_problems(&old, |new| update(new, &old), cases);
    }
}
