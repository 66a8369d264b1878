//! Stateful sets.

mod defaults;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};
use steersman_apimachinery::names::dns1123_label_problems;

use crate::core::claimspec;
use crate::core::podspec::warnings;
use crate::print;
use crate::resource::{Resource, Verb};
use crate::rules::{keep_parts_apart, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "StatefulSet",
    plural: "statefulsets",
    singular: "statefulset",
    short_names: &["sts"],
    categories: &["all"],
    subresources: &[table::SCALE, table::part("status", "apps", "StatefulSet", Verb::READ_WRITE)],
    definition: "io.k8s.api.apps.v1.StatefulSet",
    storage: "statefulsets",
    strategy: &StatefulSet,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Ready", 0, "Ready pods, of those wanted.", |object, _| {
        let (ready, wanted) = (object.int("status.readyReplicas"), object.int("spec.replicas"));
        format!("{}/{}", ready.unwrap_or(0), wanted.unwrap_or(0)).into()
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
];

struct StatefulSet;

impl Strategy for StatefulSet {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::stateful_set(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"replicas": 0, "availableReplicas": 0}));
        set_generation(tree, 1);
        drop_disabled(tree, None);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        drop_disabled(new, Some(old));
        keep_parts_apart(new, old, context);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new, old),
            _ => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        if context.subresource.is_some() {
            return Vec::new();
        }
        let template = |new: &Tree| warnings::template(new, "spec.template");
        let mut found = warnings::of_changed(new, old, context, template);
        found.extend(claim_warnings(new, old.is_none()));
        if new.int("spec.revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            let why = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is \
                       recommended";
            found.push(why.to_owned());
        }
        found
    }

    /// Pods and their host names are named after the set.
    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        dns1123_label_problems(name, prefix)
    }
}

fn claim_warnings(set: &Tree, is_new: bool) -> Vec<String> {
    let path = Path::new("spec").child("volumeClaimTemplates");
    let of_claim = |(index, claim): (usize, &Tree)| {
        let path = path.index(index);
        // Upstream names the field so on an update.
        let path = if is_new { path } else { path.child("Spec") };
        claimspec::warnings(claim.at("spec"), &path)
    };
    set.items("spec.volumeClaimTemplates").iter().enumerate().flat_map(of_claim).collect()
}

/// `maxUnavailable` is beta and off by default; where it was in use before, it stays.
fn drop_disabled(set: &mut Tree, old: Option<&Tree>) {
    const FIELD: &str = "spec.updateStrategy.rollingUpdate.maxUnavailable";
    if old.is_some_and(|old| old.has(FIELD)) {
        return;
    }
    let strategy = set.part_mut("spec").and_then(|spec| spec.part_mut("updateStrategy"));
    if let Some(rolling) = strategy.and_then(|strategy| strategy.part_mut("rollingUpdate")) {
        rolling.remove("maxUnavailable");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    fn context() -> Context {
        Context::default()
    }

    #[test]
    fn stateful_sets_print_as_upstream() {
        let object = json!({
            "metadata": {"name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "nginx"}]}}},
            "status": {"replicas": 3, "readyReplicas": 2},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "web|2/3|10s|a|nginx");
    }

    #[test]
    fn max_unavailable_stays_only_where_it_was() {
        let with = || json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}});
        let mut new = with();
        StatefulSet.prepare_for_create(&mut new, &context());
        assert!(!new.has("spec.updateStrategy.rollingUpdate.maxUnavailable"));
        let mut kept = with();
        StatefulSet.prepare_for_update(&mut kept, &with(), &context());
        assert!(kept.has("spec.updateStrategy.rollingUpdate.maxUnavailable"));
    }

    #[test]
    fn odd_limits_and_sizes_are_warned_of() {
        let set = json!({"spec": {"revisionHistoryLimit": -1, "volumeClaimTemplates": [
            {"spec": {"resources": {"requests": {"storage": "1m"}}}}]}});
        let fraction = "fractional byte value \"1m\" is invalid, must be an integer";
        let limit = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is \
                     recommended";
        let created = StatefulSet.warnings(&set, None, &context());
        let want = format!("spec.volumeClaimTemplates[0].resources.requests[storage]: {fraction}");
        assert_eq!(created, [want.as_str(), limit]);
        let updated = StatefulSet.warnings(&set, Some(&set), &context());
        let want = format!("spec.volumeClaimTemplates[0].Spec.resources.requests[storage]: {fraction}");
        assert_eq!(updated, [want.as_str(), limit]);
    }
}
