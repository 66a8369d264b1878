//! Validation of replication controllers.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::Selector;

use crate::apps::not_greater;
use crate::checks::not_negative;
use crate::core::podspec::validation::running_template;
use crate::tree::Read;

/// Checks a new or changed one: nothing is immutable.
pub(super) fn spec(controller: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (controller.at("spec"), Path::new("spec"));
    not_negative(&mut found, spec, &path, &["minReadySeconds"]);
    let selector = Selector::from_map(Some(spec.at("selector")));
    if selector.is_everything() {
        found.push(Error::required(path.child("selector"), ""));
    }
    if !spec.has("replicas") {
        found.push(Error::required(path.child("replicas"), ""));
    }
    not_negative(&mut found, spec, &path, &["replicas"]);
    let at = path.child("template");
    match spec.at("template") {
        Tree::Null => found.push(Error::required(at, "")),
        template => running_template(&mut found, template, &selector, &at, "ReplicationController"),
    }
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    let counts =
        ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
    not_negative(&mut found, status, &path, &counts);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    not_greater(&mut found, status, &parts, "status.replicas", &path);
    not_greater(&mut found, status, &["availableReplicas"], "readyReplicas", &path);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;
    use crate::core::replicationcontroller::defaults;

    fn controller() -> Value {
        let mut tree = json!({"spec": {"template": {"metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "a", "image": "x"}]}}}});
        defaults::replication_controller(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/spec/selector", json!({}), "spec.selector: Required value"),
            (
                "/spec/selector",
                json!({"app": "b"}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template \
                 `labels`",
            ),
            ("/spec/replicas", json!(null), "spec.replicas: Required value"),
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            ("/spec/template", json!(null), "spec.template: Required value"),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
        ];
        for (pointer, value, want) in cases {
            let mut tree = controller();
            *tree.pointer_mut(pointer).expect("a field") = value;
            let got = texts(&spec(&tree));
            assert!(got.contains(&want.to_owned()), "{pointer}: {got:?}");
        }
        let mut tree = controller();
        tree["spec"]["minReadySeconds"] = json!(-1);
        tree["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(1);
        let want = [
            "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is \
             not Supported",
        ];
        assert_eq!(texts(&spec(&tree)), want);
        assert_eq!(texts(&spec(&controller())), Vec::<String>::new());
    }

    #[test]
    fn counts_of_a_status_agree() {
        let report = json!({"status": {"replicas": 1, "fullyLabeledReplicas": 2, "availableReplicas": 1}});
        let want = [
            "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
        ];
        assert_eq!(texts(&status(&report)), want);
    }
}
