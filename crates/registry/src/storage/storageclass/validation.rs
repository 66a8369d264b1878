//! Validation of storage classes.

use std::collections::{BTreeMap, BTreeSet};

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{Seen, immutable, known_word, qualified, required_word};
use crate::storage::{parameters, provisioner};
use crate::tree::Read;

/// The labels of a topology term with the values that each may have.
type Term<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Checks a new class.
pub(super) fn create(class: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    provisioner(&mut found, Path::new("provisioner"), class.text("provisioner"));
    parameters(&mut found, class, true);
    let policy = class.text("reclaimPolicy");
    if !policy.is_empty() {
        known_word(&mut found, Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
    }
    let modes = ["Immediate", "WaitForFirstConsumer"];
    required_word(&mut found, Path::new("volumeBindingMode"), class.text("volumeBindingMode"), &modes);
    topologies(&mut found, class.items("allowedTopologies"), &Path::new("allowedTopologies"));
    found
}

/// Checks a change: nothing of what a volume was made by may change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    for field in ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"] {
        immutable(&mut found, Path::new(field), new.at(field), old.at(field));
    }
    found
}

fn topologies(found: &mut ErrorList, terms: &[Tree], path: &Path) {
    let mut before: Vec<Term<'_>> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index).child("matchLabelExpressions");
        let term = topology(found, term, &path);
        // Upstream's list of earlier terms starts with an empty one for each term.
        let blanks = if term.is_empty() { terms.len() } else { 0 };
        let repeated = before.iter().filter(|earlier| **earlier == term).count() + blanks;
        for _ in 0..repeated {
            found.push(Error::duplicate(path.clone(), ""));
        }
        before.push(term);
    }
}

fn topology<'a>(found: &mut ErrorList, term: &'a Tree, path: &Path) -> Term<'a> {
    let mut labels = Term::new();
    for (index, rule) in term.items("matchLabelExpressions").iter().enumerate() {
        let (key, values, path) = (rule.text("key"), rule.texts("values"), path.index(index));
        if values.is_empty() {
            found.push(Error::required(path.child("values"), ""));
        }
        let mut seen = Seen::default();
        for (index, value) in values.iter().copied().enumerate() {
            seen.unique(found, path.child("values").index(index), value);
        }
        qualified(found, &path.child("key"), key);
        if labels.insert(key, values.into_iter().collect()).is_some() {
            found.push(Error::duplicate(path.child("key"), key));
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    fn class() -> Value {
        json!({
            "provisioner": "Example.com/nfs", "parameters": {"a": "b"}, "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}],
        })
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let many: serde_json::Map<String, Value> = (0..513).map(|n| (n.to_string(), json!(""))).collect();
        let cases = [
            ("/provisioner", json!(""), vec!["provisioner: Required value"]),
            ("/parameters/", json!("x"), vec!["parameters: Invalid value: \"\": field can not be empty."]),
            ("/parameters", many.into(), vec!["parameters: Too long: may not be more than 512 bytes"]),
            (
                "/parameters/a",
                json!("x".repeat(256 * 1024)),
                vec!["parameters: Too long: may not be more than 262144 bytes"],
            ),
            (
                "/reclaimPolicy",
                json!("Recycle"),
                vec![
                    "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
                ],
            ),
            ("/volumeBindingMode", json!(null), vec!["volumeBindingMode: Required value"]),
            (
                "/volumeBindingMode",
                json!("Later"),
                vec![
                    "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
                ],
            ),
            (
                "/allowedTopologies/0/matchLabelExpressions/0/values",
                json!([]),
                vec!["allowedTopologies[0].matchLabelExpressions[0].values: Required value"],
            ),
            (
                "/allowedTopologies/0/matchLabelExpressions/0/values/2",
                json!("a"),
                vec!["allowedTopologies[0].matchLabelExpressions[0].values[2]: Duplicate value: \"a\""],
            ),
            (
                "/allowedTopologies/0/matchLabelExpressions/1",
                json!({"key": "zone", "values": ["c"]}),
                vec!["allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"zone\""],
            ),
            (
                "/allowedTopologies/1",
                json!({"matchLabelExpressions": [{"key": "zone", "values": ["b", "a"]}]}),
                vec!["allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\""],
            ),
            (
                "/allowedTopologies/0",
                json!({}),
                vec!["allowedTopologies[0].matchLabelExpressions: Duplicate value: \"\""],
            ),
        ];
        assert_problems(&class(), create, cases);
        let mut class = class();
        class["provisioner"] = json!("-");
        let got = texts(&create(&class));
        assert!(
            got[0].starts_with("provisioner: Invalid value: \"-\": name part must consist of"),
            "{got:?}"
        );
    }

    #[test]
    fn what_volumes_were_made_by_stays() {
        let old = class();
        let cases = [
            (
                "/provisioner",
                json!("a.b/c"),
                vec!["provisioner: Invalid value: \"a.b/c\": field is immutable"],
            ),
            ("/parameters", json!({}), vec!["parameters: Invalid value: {}: field is immutable"]),
            (
                "/reclaimPolicy",
                json!("Retain"),
                vec!["reclaimPolicy: Invalid value: \"Retain\": field is immutable"],
            ),
            (
                "/volumeBindingMode",
                json!("WaitForFirstConsumer"),
                vec!["volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable"],
            ),
        ];
        assert_problems(&old, |new| update(new, &old), cases);
    }
}
