//! Validation of daemon sets.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{Selector, validate_label_selector};

use crate::apps::some_selector;
use crate::checks::{
    at_most_all, capitalized, count_or_percent, immutable, not_decremented, not_negative, number_or_percent,
};
use crate::core::podspec::validation::{always_restarted, selected, template};
use crate::tree::Read;

/// Checks a new daemon set.
pub(super) fn create(set: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (set.at("spec"), Path::new("spec"));
    let (selector, pods) = (spec.at("selector"), spec.at("template"));
    let (selector_path, pods_path) = (path.child("selector"), path.child("template"));
    found.extend(validate_label_selector(selector, &selector_path));
    if let Ok(selector) = Selector::from_label_selector(Some(selector)) {
        selected(&mut found, pods, &selector, &pods_path);
    }
    some_selector(&mut found, selector, &selector_path, "daemonset");
    template(&mut found, pods, &pods_path);
    always_restarted(&mut found, pods, &pods_path, "DaemonSet");
    not_negative(&mut found, spec, &path, &["minReadySeconds"]);
    update_strategy(&mut found, spec.at("updateStrategy"), &path.child("updateStrategy"));
    not_negative(&mut found, spec, &path, &["revisionHistoryLimit"]);
    found
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec").child("selector");
    immutable(&mut found, path, new.at("spec.selector"), old.at("spec.selector"));
    found.extend(create(new));
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    let counts = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    not_negative(&mut found, status, &path, &counts);
    not_decremented(&mut found, status, old.at("status"), &path, "collisionCount");
    found
}

fn update_strategy(found: &mut ErrorList, strategy: &Tree, path: &Path) {
    let (rolling, at) = (strategy.at("rollingUpdate"), path.child("rollingUpdate"));
    match strategy.text("type") {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_null() => found.push(Error::required(at, "")),
        "RollingUpdate" => rolling_update(found, rolling, &at),
        kind => {
            let shown = json!({"Type": kind, "RollingUpdate": capitalized(rolling)});
            found.push(Error::not_supported_in_order(path.clone(), shown, &["RollingUpdate", "OnDelete"]));
        }
    }
}

/// Pods are either taken away first or added first, never both.
fn rolling_update(found: &mut ErrorList, rolling: &Tree, path: &Path) {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    count_or_percent(found, &unavailable_path, unavailable);
    count_or_percent(found, &surge_path, surge);
    at_most_all(found, &unavailable_path, unavailable);
    at_most_all(found, &surge_path, surge);
    match (number_or_percent(unavailable) != 0, number_or_percent(surge) != 0) {
        (true, true) => {
            let why = "may not be set when maxUnavailable is non-zero";
            found.push(Error::invalid(surge_path, surge.clone(), why));
        }
        (false, false) => found.push(Error::required(unavailable_path, "cannot be 0 when maxSurge is 0")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::apps::daemonset::defaults;
    use crate::checks::tests::texts;

    fn set() -> Value {
        let mut tree = json!({"spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}},
        }});
        defaults::daemon_set(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let rolling = "/spec/updateStrategy/rollingUpdate";
        let cases = [
            (
                "/spec/template/metadata/labels",
                json!({"app": "b"}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template \
                 `labels`",
            ),
            (
                "/spec/selector",
                json!(null),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template \
                 `labels`",
            ),
            (
                "/spec/selector",
                json!({}),
                "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
            ),
            (
                "/spec/selector",
                json!({"matchLabels": {"a": "b c"}}),
                "spec.selector.matchLabels: Invalid value: \"b c\": a valid label must be an empty string or consist of \
                 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("OnFailure"),
                "spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\"",
            ),
            (
                "/spec/revisionHistoryLimit",
                json!(-1),
                "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/updateStrategy",
                json!({"type": "Odd"}),
                "spec.updateStrategy: Unsupported value: {\"RollingUpdate\":null,\"Type\":\"Odd\"}: supported values: \
                 \"RollingUpdate\", \"OnDelete\"",
            ),
            (rolling, json!(null), "spec.updateStrategy.rollingUpdate: Required value"),
            (
                rolling,
                json!({"maxUnavailable": 1, "maxSurge": "10%"}),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"10%\": may not be set when \
                 maxUnavailable is non-zero",
            ),
            (
                rolling,
                json!({"maxUnavailable": 0, "maxSurge": 0}),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ),
            (
                rolling,
                json!({"maxUnavailable": 0, "maxSurge": "200%"}),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"200%\": must not be greater than 100%",
            ),
        ];
        for (pointer, value, want) in cases {
            let mut tree = set();
            *tree.pointer_mut(pointer).expect("a field") = value;
            let got = texts(&create(&tree));
            assert!(got.contains(&want.to_owned()), "{pointer}: {got:?}");
        }
        let mut tree = set();
        tree["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(5);
        let want = "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not \
                    Supported";
        assert_eq!(texts(&create(&tree)), [want]);
        assert_eq!(texts(&create(&set())), Vec::<String>::new());
    }

    #[test]
    fn the_selector_stays() {
        let (old, mut new) = (set(), set());
        new["spec"]["selector"] = json!({"matchLabels": {"app": "b"}});
        new["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
        let want = "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable";
        assert_eq!(texts(&update(&new, &old)), [want]);
    }

    #[test]
    fn counts_are_not_negative_and_collisions_never_fewer() {
        let new = json!({"status": {"numberReady": -1, "collisionCount": 1}});
        let old = json!({"status": {"collisionCount": 2}});
        let want = [
            "status.numberReady: Invalid value: -1: must be greater than or equal to 0",
            "status.collisionCount: Invalid value: 1: cannot be decremented",
        ];
        assert_eq!(texts(&status(&new, &old)), want);
    }
}
