//! Validation of stateful sets.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::Selector;

use crate::apps::{not_greater, required_selector};
use crate::checks::{
    at_most_all, capitalized, count_or_percent, known_word, label, not_decremented, not_negative,
    number_or_percent,
};
use crate::core::claimspec;
use crate::core::podspec::validation::{always_restarted, selected, template};
use crate::tree::{Read, Write, same};

const CHANGEABLE: [&str; 7] = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];
const NOT_CHANGEABLE: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// What is checked of a spec: what cannot change any more is not held against an update.
#[derive(Clone, Copy)]
struct Strictness {
    service_name: bool,
    claims: bool,
    template: bool,
}

/// Checks a new stateful set.
pub(super) fn create(set: &Tree) -> ErrorList {
    let all = Strictness { service_name: true, claims: true, template: true };
    spec(set.at("spec"), &Path::new("spec"), all)
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let path = Path::new("spec");
    let mut strictness = Strictness { service_name: false, claims: false, template: true };
    // A set whose template was bad before, by today's rules, can still be changed.
    strictness.template = spec(old.at("spec"), &path, strictness).is_empty();
    let mut found = spec(new.at("spec"), &path, strictness);
    let mut allowed = new.at("spec").clone();
    CHANGEABLE.iter().for_each(|field| allowed.copy(old.at("spec"), field));
    if !same(&allowed, old.at("spec")) {
        found.push(Error::forbidden(path, NOT_CHANGEABLE));
    }
    found
}

/// Checks a report of the controller.
pub(super) fn status(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (status, path) = (new.at("status"), Path::new("status"));
    let counts = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    not_negative(&mut found, status, &path, &counts);
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    not_greater(&mut found, status, &parts, "status.replicas", &path);
    not_greater(&mut found, status, &["availableReplicas"], "status.readyReplicas", &path);
    not_decremented(&mut found, status, old.at("status"), &path, "collisionCount");
    found
}

fn spec(spec: &Tree, path: &Path, strictness: Strictness) -> ErrorList {
    let mut found = ErrorList::new();
    pod_management(&mut found, spec.text("podManagementPolicy"), path.child("podManagementPolicy"));
    update_strategy(&mut found, spec.at("updateStrategy"), &path.child("updateStrategy"));
    retention(&mut found, spec, &path.child("persistentVolumeClaimRetentionPolicy"));
    if strictness.claims {
        for (index, claim) in spec.items("volumeClaimTemplates").iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(index).child("spec");
            claimspec::validate(&mut found, claim.at("spec"), &path);
        }
    }
    not_negative(&mut found, spec, path, &["replicas", "minReadySeconds"]);
    not_negative(&mut found, spec.at("ordinals"), &path.child("ordinals"), &["start"]);
    if strictness.service_name && !spec.text("serviceName").is_empty() {
        label(&mut found, &path.child("serviceName"), spec.text("serviceName"));
    }
    let at = path.child("selector");
    required_selector(&mut found, spec.at("selector"), &at, "statefulset");
    match Selector::from_label_selector(Some(spec.at("selector"))) {
        Ok(selector) => pods(&mut found, spec, &selector, &path.child("template"), strictness),
        Err(_) => found.push(Error::invalid(at, spec.at("selector").clone(), "")),
    }
    always_restarted(&mut found, spec.at("template"), &path.child("template"), "StatefulSet");
    found
}

fn pod_management(found: &mut ErrorList, policy: &str, path: Path) {
    match policy {
        "OrderedReady" | "Parallel" => {}
        "" => found.push(Error::required(path, "")),
        _ => found.push(Error::invalid(path, policy, "must be 'OrderedReady' or 'Parallel'")),
    }
}

fn update_strategy(found: &mut ErrorList, strategy: &Tree, path: &Path) {
    let (rolling, at) = (strategy.at("rollingUpdate"), path.child("rollingUpdate"));
    match strategy.text("type") {
        "" => found.push(Error::required(path.clone(), "")),
        "OnDelete" if !rolling.is_null() => {
            let why = "only allowed for updateStrategy 'RollingUpdate'";
            found.push(Error::invalid(at, capitalized(rolling), why));
        }
        "RollingUpdate" if !rolling.is_null() => rolling_update(found, rolling, &at),
        "OnDelete" | "RollingUpdate" => {}
        kind => {
            let shown = json!({"Type": kind, "RollingUpdate": capitalized(rolling)});
            found.push(Error::invalid(path.clone(), shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

fn rolling_update(found: &mut ErrorList, rolling: &Tree, path: &Path) {
    not_negative(found, rolling, path, &["partition"]);
    if !rolling.has("maxUnavailable") {
        return;
    }
    let (unavailable, path) = (rolling.at("maxUnavailable"), path.child("maxUnavailable"));
    count_or_percent(found, &path, unavailable);
    if number_or_percent(unavailable) == 0 {
        found.push(Error::invalid(path.clone(), unavailable.clone(), "cannot be 0"));
    }
    at_most_all(found, &path, unavailable);
}

fn retention(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let policy = spec.at("persistentVolumeClaimRetentionPolicy");
    if policy.is_null() {
        return;
    }
    for field in ["whenDeleted", "whenScaled"] {
        known_word(found, path.child(field), policy.text(field), &["Retain", "Delete"]);
    }
}

/// The template as its pods will be: the set names them, and gives each its own claims as volumes.
fn pods(found: &mut ErrorList, spec: &Tree, selector: &Selector, path: &Path, strictness: Strictness) {
    let mut pod_template = spec.at("template").clone();
    if let Some(pod) = pod_template.part_mut("spec") {
        pod.remove("subdomain");
        pod.remove("hostname");
        let claims: Vec<&str> =
            spec.items("volumeClaimTemplates").iter().map(|claim| claim.text("metadata.name")).collect();
        let own = pod.items("volumes").iter().filter(|volume| !claims.contains(&volume.text("name")));
        let of_claim = |name: &&str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        let volumes: Vec<Tree> = claims.iter().map(of_claim).chain(own.cloned()).collect();
        pod.set("volumes", volumes);
    }
    if !selector.is_everything() {
        selected(found, &pod_template, selector, path);
    }
    if strictness.template {
        template(found, &pod_template, path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::apps::statefulset::defaults;
    use crate::checks::tests::texts;

    fn set() -> Value {
        let mut tree = json!({"spec": {
            "selector": {"matchLabels": {"app": "a"}}, "serviceName": "web",
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {
                "hostname": "No_Label", "containers": [{"name": "a", "image": "x",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
        }});
        defaults::stateful_set(&mut tree);
        tree
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (
                "/spec/podManagementPolicy",
                json!("Odd"),
                "spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'",
            ),
            ("/spec/podManagementPolicy", json!(""), "spec.podManagementPolicy: Required value"),
            ("/spec/updateStrategy", json!({}), "spec.updateStrategy: Required value"),
            (
                "/spec/updateStrategy/type",
                json!("OnDelete"),
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"Partition\":0}: only allowed for updateStrategy \
                 'RollingUpdate'",
            ),
            (
                "/spec/updateStrategy",
                json!({"type": "Odd"}),
                "spec.updateStrategy: Invalid value: {\"RollingUpdate\":null,\"Type\":\"Odd\"}: must be \
                 'RollingUpdate' or 'OnDelete'",
            ),
            (
                "/spec/updateStrategy/rollingUpdate",
                json!({"partition": -1}),
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                "/spec/updateStrategy/rollingUpdate",
                json!({"maxUnavailable": "0%"}),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": cannot be 0",
            ),
            (
                "/spec/updateStrategy/rollingUpdate",
                json!({"maxUnavailable": "101%"}),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than \
                 100%",
            ),
            (
                "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
                json!("Keep"),
                "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": supported values: \
                 \"Retain\", \"Delete\"",
            ),
            (
                "/spec/volumeClaimTemplates/0/spec/accessModes",
                json!([]),
                "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            ),
            (
                "/spec/replicas",
                json!(-1),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            ("/spec/selector", json!(null), "spec.selector: Required value"),
            (
                "/spec/selector",
                json!({}),
                "spec.selector: Invalid value: {}: empty selector is invalid for statefulset",
            ),
            (
                "/spec/template/metadata/labels",
                json!({"app": "b"}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template \
                 `labels`",
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
        ];
        for (pointer, value, want) in cases {
            let mut tree = set();
            *tree.pointer_mut(pointer).expect("a field") = value;
            let got = texts(&create(&tree));
            assert!(got.contains(&want.to_owned()), "{pointer}: {got:?}");
        }
        assert_eq!(texts(&create(&set())), Vec::<String>::new());
    }

    #[test]
    fn bad_parts_outside_a_table_are_found_too() {
        let mut tree = set();
        tree["spec"]["serviceName"] = json!("No_Label");
        tree["spec"]["ordinals"] = json!({"start": -1});
        tree["spec"]["selector"] = json!({"matchExpressions": [{"key": "a", "operator": "Odd"}]});
        tree["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(5);
        let got = texts(&create(&tree));
        let want = [
            "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Odd\"}]}",
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not \
             Supported",
        ];
        for want in want {
            assert!(got.contains(&want.to_owned()), "{got:?}");
        }
        assert!(
            got.iter().any(|text| text.starts_with("spec.serviceName: Invalid value: \"No_Label\"")),
            "{got:?}"
        );
    }

    #[test]
    fn only_some_fields_change() {
        let (old, mut new) = (set(), set());
        new["spec"]["replicas"] = json!(7);
        new["spec"]["ordinals"] = json!({"start": 1});
        new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y");
        assert_eq!(texts(&update(&new, &old)), Vec::<String>::new());
        new["spec"]["serviceName"] = json!("other");
        assert_eq!(texts(&update(&new, &old)), [format!("spec: Forbidden: {NOT_CHANGEABLE}")]);
    }

    #[test]
    fn a_template_that_was_bad_before_may_stay() {
        let (mut old, mut new) = (set(), set());
        for tree in [&mut old, &mut new] {
            tree["spec"]["template"]["spec"]["containers"][0]["image"] = json!("");
        }
        new["spec"]["replicas"] = json!(0);
        assert_eq!(texts(&update(&new, &old)), Vec::<String>::new());
    }

    #[test]
    fn counts_of_a_status_agree() {
        let old = json!({"status": {"collisionCount": 3}});
        let new = json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3, "collisionCount": 2}});
        let want = [
            "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 3: cannot be greater than status.readyReplicas",
            "status.collisionCount: Invalid value: 2: cannot be decremented",
        ];
        assert_eq!(texts(&status(&new, &old)), want);
    }
}
