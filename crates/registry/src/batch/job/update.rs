//! What may change of a job: little, once its pods may run.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::prepare::{NAME_LABELS, UID_LABELS};
use super::validation::{spec_with_selector, whole};
use super::{is_indexed, is_true};
use crate::checks::immutable;
use crate::tree::{Read, Write, same};

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let labels = old.at("spec.template.metadata.labels");
    // Jobs from before the labels had prefixes.
    let prefixed = [NAME_LABELS[1], UID_LABELS[1]].iter().all(|label| labels.get(label).is_some());
    let mut found = whole(new, prefixed);
    found.extend(spec_with_selector(new.at("spec")));
    let path = Path::new("spec");
    completions(&mut found, new.at("spec"), old.at("spec"), path.child("completions"));
    let field = |found: &mut ErrorList, name: &str| {
        immutable(found, path.child(name), new.at("spec").at(name), old.at("spec").at(name));
    };
    field(&mut found, "selector");
    template(&mut found, new, old, &path);
    let fixed = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];
    fixed.iter().for_each(|name| field(&mut found, name));
    found
}

/// The number of completions changes only together with parallelism, and only where pods have an index.
fn completions(found: &mut ErrorList, new: &Tree, old: &Tree, path: Path) {
    let (now, before) = (new.at("completions"), old.at("completions"));
    if !is_indexed(new) {
        return immutable(found, path, now, before);
    }
    if now != before && !now.is_null() && now != new.at("parallelism") {
        let why = "can only be modified in tandem with spec.parallelism";
        found.push(Error::invalid(path, now.clone(), why));
    }
}

/// The template of a job whose pods run stays. While it is suspended and has none, where they may run and what
/// resources they get can change.
fn template(found: &mut ErrorList, new: &Tree, old: &Tree, path: &Path) {
    let (now, before) = (new.at("spec.template"), old.at("spec.template"));
    if !is_idle(old) {
        return immutable(found, path.child("template"), now, before);
    }
    let mut allowed = before.at("spec").clone();
    take_scheduling(&mut allowed, now.at("spec"));
    ["containers", "initContainers"]
        .iter()
        .for_each(|list| take_resources(&mut allowed, now.at("spec"), list));
    immutable(found, path.child("template").child("spec"), now.at("spec"), &allowed);
}

/// Suspended, and no pod has started or all are gone again.
fn is_idle(job: &Tree) -> bool {
    let stopped = !job.has("status.startTime") || is_true(job, "Suspended");
    job.flag("spec.suspend") && stopped && job.int("status.active").unwrap_or(0) == 0
}

fn take_scheduling(spec: &mut Tree, wanted: &Tree) {
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        spec.copy(wanted, field);
    }
    let Some(affinity) = spec.object_mut("affinity") else { return };
    affinity.copy(wanted.at("affinity"), "nodeAffinity");
    if same(affinity, &Tree::Null) && !wanted.has("affinity") {
        spec.remove("affinity");
    }
}

fn take_resources(spec: &mut Tree, wanted: &Tree, list: &str) {
    let wanted = wanted.items(list);
    let containers = spec.items_mut(list);
    if containers.len() != wanted.len() {
        return;
    }
    for (container, wanted) in containers.iter_mut().zip(wanted) {
        if container.text("name") == wanted.text("name") {
            container.copy(wanted, "resources");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::job::{defaults, prepare};
    use crate::checks::tests::texts;

    fn job(spec: &Value) -> Value {
        let mut tree = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}}}});
        for (field, value) in spec.entries("") {
            tree["spec"][field] = value.clone();
        }
        defaults::job(&mut tree);
        prepare::create(&mut tree);
        tree
    }

    #[test]
    fn most_of_a_running_job_stays() {
        let cases = [
            ("/spec/completions", json!(2), Some("spec.completions: Invalid value: 2: field is immutable")),
            ("/spec/parallelism", json!(2), None),
            (
                "/spec/completionMode",
                json!("Indexed"),
                Some("spec.completionMode: Invalid value: \"Indexed\": field is immutable"),
            ),
            (
                "/spec/managedBy",
                json!("a.io/b"),
                Some("spec.managedBy: Invalid value: \"a.io/b\": field is immutable"),
            ),
            (
                "/spec/backoffLimitPerIndex",
                json!(1),
                Some("spec.backoffLimitPerIndex: Invalid value: 1: field is immutable"),
            ),
            (
                "/spec/podFailurePolicy",
                json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}}]}),
                Some("spec.podFailurePolicy: Invalid value: {\"rules\":"),
            ),
            (
                "/spec/successPolicy",
                json!({"rules": [{"succeededCount": 1}]}),
                Some(
                    "spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: field is immutable",
                ),
            ),
            ("/spec/template/spec/containers/0/image", json!("y"), Some("spec.template: Invalid value: {")),
            (
                "/spec/selector",
                json!({"matchLabels": {"controller-uid": "u"}}),
                Some(
                    "spec.selector: Invalid value: {\"matchLabels\":{\"controller-uid\":\"u\"}}: field is immutable",
                ),
            ),
        ];
        for (pointer, value, want) in cases {
            let old = job(&json!({"managedBy": null, "backoffLimitPerIndex": null}));
            let mut new = old.clone();
            for field in ["managedBy", "backoffLimitPerIndex", "podFailurePolicy", "successPolicy"] {
                new["spec"].default_value(field, Value::Null);
            }
            *new.pointer_mut(pointer).expect("a field") = value;
            let got = texts(&update(&new, &old));
            match want {
                Some(want) => assert!(got.iter().any(|text| text.starts_with(want)), "{pointer}: {got:?}"),
                None => assert!(got.is_empty(), "{pointer}: {got:?}"),
            }
        }
    }

    #[test]
    fn completions_follow_parallelism() {
        let old = job(&json!({"completionMode": "Indexed", "completions": 3, "parallelism": 3}));
        let mut new = old.clone();
        new["spec"]["completions"] = json!(5);
        let want = "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism";
        assert_eq!(texts(&update(&new, &old)), [want]);
        new["spec"]["parallelism"] = json!(5);
        assert!(update(&new, &old).is_empty());
    }

    #[test]
    fn an_idle_job_may_be_placed_anew() {
        let changed = |old: &Value| {
            let mut new = old.clone();
            let pod = &mut new["spec"]["template"]["spec"];
            pod["nodeSelector"] = json!({"disk": "ssd"});
            pod["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}}});
            pod["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
            new
        };
        let never_started = job(&json!({"suspend": true}));
        assert_eq!(texts(&update(&changed(&never_started), &never_started)), Vec::<String>::new());

        let mut stopped = job(&json!({"suspend": true}));
        stopped["status"] = json!({"startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Suspended", "status": "True"}]});
        assert!(update(&changed(&stopped), &stopped).is_empty());
        stopped["status"]["active"] = json!(1);
        let found = texts(&update(&changed(&stopped), &stopped));
        assert!(found.iter().any(|text| text.starts_with("spec.template: Invalid value")), "{found:?}");

        let mut renamed = changed(&never_started);
        renamed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("y");
        let found = texts(&update(&renamed, &never_started));
        assert!(found.iter().any(|text| text.starts_with("spec.template.spec: Invalid value")), "{found:?}");
    }
}
