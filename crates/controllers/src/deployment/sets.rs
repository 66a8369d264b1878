//! A deployment with its replica sets: which one is new, which revision it has, what it is annotated with. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use super::plan::{Limits, Size};
use super::status::{PROGRESSING, condition_of, has_deadline, new_condition, set_condition};

/// The label that tells the replica sets of a deployment apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// The longest revision history, in bytes.
const MAX_HISTORY: usize = 2000;
/// Annotations of a deployment that its replica sets do not get.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

type Annotations = BTreeMap<String, String>;

/// A deployment in work: what it will be after this reconcile, and its replica sets as they are.
#[derive(Clone, Debug)]
pub(super) struct Rollout {
    pub deployment: Deployment,
    /// The set of the current template, if there is one.
    pub new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
}

impl Rollout {
    /// Finds the new set: the oldest one whose template equals the deployment's.
    pub(super) fn new(deployment: &Deployment, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        let key = |set: &Arc<ReplicaSet>| {
            (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.clone())
        };
        sets.sort_by_key(key);
        let template = comparable(Some(&template(deployment)));
        let is_new = |set: &Arc<ReplicaSet>| comparable(template_of(set)) == template;
        let new = sets.iter().position(is_new).map(|index| sets.remove(index));
        Self { deployment: deployment.clone(), new, old: sets }
    }

    /// Every set, the new one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// The set of this name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<ReplicaSet>> {
        self.all().find(|set| set.metadata.name.as_deref() == Some(name)).cloned()
    }

    /// Puts a newer version of one of the sets in.
    pub(super) fn put(&mut self, set: ReplicaSet) {
        let same = |other: &&mut Arc<ReplicaSet>| other.metadata.name == set.metadata.name;
        if let Some(place) = self.old.iter_mut().chain(&mut self.new).find(same) {
            *place = Arc::new(set);
        }
    }

    pub(super) fn new_size(&self) -> Option<Size> {
        self.new.as_deref().map(size)
    }

    pub(super) fn old_sizes(&self) -> Vec<Size> {
        self.old.iter().map(|set| size(set)).collect()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.deployment.spec.paused == Some(true)
    }

    /// The replicas that the status told last.
    pub(super) fn status_replicas(&self) -> i32 {
        self.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)
    }

    pub(super) fn set_status(&mut self, status: DeploymentStatus) {
        self.deployment.status = Some(status);
    }

    /// Whether the status, or the revision beside it, is to be written.
    pub(super) fn differs_from(&self, before: &Deployment) -> bool {
        self.deployment.status != before.status
            || self.deployment.metadata.annotations != before.metadata.annotations
    }

    /// The revision of the new set: one more than the highest of the old ones.
    pub(super) fn next_revision(&self) -> i64 {
        self.old.iter().filter_map(|set| revision(set)).max().unwrap_or(0) + 1
    }

    /// Writes the new set's revision on the deployment.
    pub(super) fn set_revision(&mut self, revision: String) {
        self.deployment.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
    }

    /// A pause stops the clock of the progress deadline; its end starts it again.
    pub(super) fn note_pause(&mut self, now: Timestamp) {
        if !has_deadline(&self.deployment) {
            return;
        }
        let paused = self.is_paused();
        let reason =
            condition_of(&self.deployment, PROGRESSING).and_then(|c| c.reason.clone()).unwrap_or_default();
        let (reason, message) = match (paused, reason.as_str()) {
            (_, "ProgressDeadlineExceeded") | (true, "DeploymentPaused") => return,
            (true, _) => ("DeploymentPaused", "Deployment is paused"),
            (false, "DeploymentPaused") => ("DeploymentResumed", "Deployment is resumed"),
            (false, _) => return,
        };
        let condition = new_condition(PROGRESSING, "Unknown", reason, message.to_owned(), now);
        set_condition(self.deployment.status.get_or_insert_default(), condition);
    }
}

/// The replicas that the set is asked for.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

fn size(set: &ReplicaSet) -> Size {
    Size {
        name: set.metadata.name.clone().unwrap_or_default(),
        replicas: replicas(set),
        available: set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0),
        desired: number(set, DESIRED),
        max: number(set, MAX),
    }
}

fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// The revision of the set, if it has a readable one.
pub(super) fn revision(set: &ReplicaSet) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()
}

/// Whether the deployment was scaled since its active sets were last sized.
pub(super) fn wants_rescaling(rollout: &Rollout, limits: &Limits) -> bool {
    let active = rollout.all().filter(|set| replicas(set) > 0);
    active.filter_map(|set| number(set, DESIRED)).any(|desired| desired != limits.replicas)
}

/// The deployment's pod template.
pub(super) fn template(deployment: &Deployment) -> PodTemplateSpec {
    deployment.spec.template.clone()
}

pub(super) fn template_of(set: &ReplicaSet) -> Option<&PodTemplateSpec> {
    set.spec.template.as_ref()
}

/// A template in a form in which equal ones are equal: without the hash label, and with nothing where Go has an empty
/// list or map.
pub(super) fn comparable(template: Option<&PodTemplateSpec>) -> Value {
    let mut tree = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = tree.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH_LABEL);
    }
    drop_empty(&mut tree);
    tree
}

/// Fields that are maps, for which empty and absent are the same. Other empty objects mean something (`emptyDir: {}`).
const MAPS: [&str; 6] = ["labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels"];

fn drop_empty(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            fields.values_mut().for_each(drop_empty);
            fields.retain(|name, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(inner) => !(inner.is_empty() && MAPS.contains(&name.as_str())),
                _ => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// The annotations of a set of this revision; `sized` also tells it what the deployment's size is.
pub(super) fn set_annotations(
    deployment: &Deployment,
    set: Option<&ReplicaSet>,
    next_revision: i64,
    sized: Option<&Limits>,
) -> Annotations {
    let mut annotations = set.and_then(|set| set.metadata.annotations.clone()).unwrap_or_default();
    let own = deployment.metadata.annotations.iter().flatten();
    let copied = own.filter(|(name, _)| !NOT_COPIED.contains(&name.as_str()));
    annotations.extend(copied.map(|(name, value)| (name.clone(), value.clone())));
    let before = annotations.get(REVISION).cloned();
    if before.as_ref().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) < next_revision {
        if let Some(before) = before {
            let history = annotations.get(HISTORY).map(String::as_str).unwrap_or_default();
            annotations.insert(HISTORY.to_owned(), longer_history(history, &before));
        }
        annotations.insert(REVISION.to_owned(), next_revision.to_string());
    }
    if let Some(limits) = sized {
        annotations.extend(size_annotations(limits));
    }
    annotations
}

/// What a set is told about the deployment's size.
pub(super) fn size_annotations(limits: &Limits) -> Annotations {
    [(DESIRED, limits.replicas), (MAX, limits.replicas + limits.surge)]
        .map(|(name, number)| (name.to_owned(), number.to_string()))
        .into()
}

/// The history with one more revision; the oldest ones go when it becomes too long.
fn longer_history(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|part| !part.is_empty()).collect();
    revisions.push(revision);
    while revisions.len() > 1 && revisions.iter().map(|part| part.len() + 1).sum::<usize>() > MAX_HISTORY + 1
    {
        revisions.remove(0);
    }
    revisions.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template_with(labels: Value, extra: Value) -> PodTemplateSpec {
        let mut spec = json!({"containers": [{"name": "a", "image": "nginx"}]});
        spec.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        serde_json::from_value(json!({"metadata": {"labels": labels}, "spec": spec})).expect("a template")
    }

    #[test]
    fn templates_are_compared_as_go_compares_them() {
        let base = template_with(json!({"app": "web"}), json!({}));
        let equal = [
            template_with(json!({"app": "web", "pod-template-hash": "x"}), json!({})),
            template_with(json!({"app": "web"}), json!({"tolerations": [], "nodeSelector": {}})),
        ];
        for other in equal {
            assert_eq!(comparable(Some(&base)), comparable(Some(&other)), "{other:?}");
        }
        let volume = |source: Value| template_with(json!({"app": "web"}), json!({"volumes": [source]}));
        let different =
            [template_with(json!({"app": "db"}), json!({})), volume(json!({"name": "v", "emptyDir": {}}))];
        for other in different {
            assert_ne!(comparable(Some(&base)), comparable(Some(&other)), "{other:?}");
        }
    }

    #[test]
    fn an_old_set_that_becomes_new_gets_the_next_revision_and_a_history() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"annotations": {"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        }))
        .expect("a deployment");
        let set: ReplicaSet = serde_json::from_value(json!({
            "metadata": {"annotations": {(REVISION): "2", (HISTORY): "1"}},
        }))
        .expect("a replica set");
        let annotations = set_annotations(&deployment, Some(&set), 4, None);
        let expected = [("deployment.kubernetes.io/revision", "4"), (HISTORY, "1,2"), ("team", "a")];
        assert_eq!(annotations, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(set_annotations(&deployment, Some(&set), 1, None)[REVISION], "2", "it never goes back");
        let fresh = set_annotations(&deployment, None, 1, None);
        assert_eq!((fresh.get(HISTORY), fresh[REVISION].as_str()), (None, "1"));
    }

    #[test]
    fn the_history_stays_short() {
        let long = (0..700).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let history = longer_history(&long, "700");
        assert!(history.len() <= MAX_HISTORY && history.ends_with(",699,700"), "{}", history.len());
    }
}
