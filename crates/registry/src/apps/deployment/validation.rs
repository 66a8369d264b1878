//! Validation of deployments.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::apps::{not_greater, selector_and_template};
use crate::checks::{
    at_most_all, capitalized, count_or_percent, immutable, not_decremented, not_negative, number_or_percent,
};
use crate::tree::Read;

/// Checks a new deployment.
pub(super) fn create(deployment: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (deployment.at("spec"), Path::new("spec"));
    not_negative(&mut found, spec, &path, &["replicas"]);
    selector_and_template(&mut found, spec, &path);
    strategy(&mut found, spec.at("strategy"), &path.child("strategy"));
    not_negative(
        &mut found,
        spec,
        &path,
        &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
    );
    if let Some(deadline) = spec.int("progressDeadlineSeconds")
        && deadline <= spec.int("minReadySeconds").unwrap_or(0)
    {
        let why = "must be greater than minReadySeconds";
        found.push(Error::invalid(path.child("progressDeadlineSeconds"), deadline, why));
    }
    found
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = create(new);
    let path = Path::new("spec").child("selector");
    immutable(&mut found, path, new.at("spec.selector"), old.at("spec.selector"));
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    not_negative(&mut found, status, &path, &counts);
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    not_greater(&mut found, status, &parts, "status.replicas", &path);
    not_greater(&mut found, status, &["availableReplicas"], "readyReplicas", &path);
    not_decremented(&mut found, status, old.at("status"), &path, "collisionCount");
    found
}

fn strategy(found: &mut ErrorList, strategy: &Tree, path: &Path) {
    let (rolling, at) = (strategy.at("rollingUpdate"), path.child("rollingUpdate"));
    match strategy.text("type") {
        "Recreate" => {
            if !rolling.is_null() {
                let why = "may not be specified when strategy `type` is 'Recreate'";
                found.push(Error::forbidden(at, why));
            }
        }
        "RollingUpdate" if rolling.is_null() => {
            found.push(Error::required(at, "this should be defaulted and never be nil"));
        }
        "RollingUpdate" => rolling_update(found, rolling, &at),
        // The whole strategy is shown, not its type, as upstream does.
        kind => {
            let shown = json!({"Type": kind, "RollingUpdate": capitalized(rolling)});
            found.push(Error::not_supported_in_order(path.clone(), shown, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn rolling_update(found: &mut ErrorList, rolling: &Tree, path: &Path) {
    let (unavailable, surge) = (rolling.at("maxUnavailable"), rolling.at("maxSurge"));
    count_or_percent(found, &path.child("maxUnavailable"), unavailable);
    count_or_percent(found, &path.child("maxSurge"), surge);
    if number_or_percent(unavailable) == 0 && number_or_percent(surge) == 0 {
        let why = "may not be 0 when `maxSurge` is 0";
        found.push(Error::invalid(path.child("maxUnavailable"), unavailable.clone(), why));
    }
    at_most_all(found, &path.child("maxUnavailable"), unavailable);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::apps::deployment::defaults;
    use crate::checks::tests::texts;

    fn deployment() -> Value {
        let mut tree = json!({"spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}},
        }});
        defaults::deployment(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/template/metadata/labels",
                json!({"app": "b"}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (
                "/spec/template/spec/containers/0/image",
                json!(""),
                "spec.template.spec.containers[0].image: Required value",
            ),
            (
                "/spec/strategy/rollingUpdate",
                json!({"maxSurge": 0, "maxUnavailable": "0%"}),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ),
            (
                "/spec/strategy/rollingUpdate/maxUnavailable",
                json!("101%"),
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                "/spec/strategy/type",
                json!("Recreate"),
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ),
            (
                "/spec/strategy",
                json!({"type": "Odd"}),
                "spec.strategy: Unsupported value: {\"RollingUpdate\":null,\"Type\":\"Odd\"}: supported values: \
                 \"Recreate\", \"RollingUpdate\"",
            ),
            (
                "/spec/progressDeadlineSeconds",
                json!(0),
                "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds",
            ),
            ("/spec/selector", json!(null), "spec.selector: Required value"),
        ];
        for (pointer, value, want) in cases {
            let mut tree = deployment();
            *tree.pointer_mut(pointer).expect("a field") = value;
            let got = texts(&create(&tree));
            assert!(got.contains(&want.to_owned()), "{pointer}: {got:?}");
        }
        assert_eq!(texts(&create(&deployment())), Vec::<String>::new());
    }

    #[test]
    fn the_selector_stays() {
        let (old, mut new) = (deployment(), deployment());
        new["spec"]["selector"] = json!({"matchLabels": {"app": "b"}});
        new["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
        let want = "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable";
        assert_eq!(texts(&update(&new, &old)), [want]);
    }

    #[test]
    fn counts_of_a_status_agree() {
        let report = json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": -1}});
        let before = json!({"status": {"collisionCount": 1}});
        let want = [
            "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.collisionCount: Invalid value: 0: cannot be decremented",
        ];
        assert_eq!(texts(&status(&report, &before)), want);
    }
}
