//! Horizontal pod autoscalers, in two versions. They are stored as `v2`; `v1`, which knows of one metric only, keeps the
//! rest in annotations. All rules are those of `v2`: what arrives as `v1` is converted, treated, and converted back.

mod columns;
mod convert;
mod defaults;
mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::resource::{Conversion, Resource, Subresource, Verb};
use crate::rules::{count_generation, keep_spec};
use crate::tree::Write;
use crate::{Context, Strategy, table};

pub(crate) const V2: Resource = Resource {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[status("v2")],
    definition: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    storage: "horizontalpodautoscalers",
    strategy: &Autoscaler,
    columns: columns::V2,
    ..table::BASE
};

pub(crate) const V1: Resource = Resource {
    version: "v1",
    subresources: &[status("v1")],
    definition: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    strategy: &OldAutoscaler,
    columns: columns::V1,
    conversion: Some(Conversion { to_storage: convert::to_v2, from_storage }),
    ..V2
};

const fn status(version: &'static str) -> Subresource {
    Subresource {
        version,
        ..table::part("status", "autoscaling", "HorizontalPodAutoscaler", Verb::READ_WRITE)
    }
}

/// What is stored gets its own version's defaults before it becomes `v1`.
fn from_storage(tree: &mut Tree) {
    defaults::v2(tree);
    convert::to_v1(tree);
}

/// The autoscaler as `v2`.
fn as_v2(tree: &Tree) -> Tree {
    let mut new = tree.clone();
    convert::to_v2(&mut new);
    new
}

struct Autoscaler;

impl Strategy for Autoscaler {
    fn apply_defaults(&self, tree: &mut Tree) {
        convert::drop_annotations(tree);
        defaults::v2(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"desiredReplicas": 0, "currentMetrics": null}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource == Some("status") {
            return keep_spec(new, old);
        }
        new.copy(old, "status");
        count_generation(new, old, false);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some("status") => validation::status(new),
            _ => validation::update(new, old),
        }
    }
}

/// `v1`: the rules of [`Autoscaler`] on the converted object.
struct OldAutoscaler;

impl Strategy for OldAutoscaler {
    fn apply_defaults(&self, tree: &mut Tree) {
        defaults::v1(tree);
        convert::to_v2(tree);
        convert::to_v1(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        convert::to_v2(tree);
        Autoscaler.prepare_for_create(tree, context);
        convert::to_v1(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        convert::to_v2(new);
        Autoscaler.prepare_for_update(new, &as_v2(old), context);
        convert::to_v1(new);
    }

    fn validate(&self, tree: &Tree, context: &Context) -> ErrorList {
        Autoscaler.validate(&as_v2(tree), context)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        Autoscaler.validate_update(&as_v2(new), &as_v2(old), context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_controllers_in_both_versions() {
        let status = Context { subresource: Some("status"), ..Context::default() };
        let stored = json!({"spec": {"maxReplicas": 3, "minReplicas": 1, "targetCPUUtilizationPercentage": 80},
            "status": {"currentReplicas": 2, "desiredReplicas": 2}});
        let mut wanted = stored.clone();
        wanted["spec"]["maxReplicas"] = json!(9);
        wanted["status"]["currentReplicas"] = json!(9);
        for rules in [&Autoscaler as &dyn Strategy, &OldAutoscaler] {
            let (mut of_spec, mut of_status, mut created) = (wanted.clone(), wanted.clone(), wanted.clone());
            rules.prepare_for_update(&mut of_spec, &stored, &Context::default());
            assert_eq!(
                (&of_spec["spec"]["maxReplicas"], &of_spec["status"]["currentReplicas"]),
                (&json!(9), &json!(2))
            );
            rules.prepare_for_update(&mut of_status, &stored, &status);
            assert_eq!(
                (&of_status["spec"]["maxReplicas"], &of_status["status"]["currentReplicas"]),
                (&json!(3), &json!(9))
            );
            rules.prepare_for_create(&mut created, &Context::default());
            assert_eq!(created["status"]["desiredReplicas"], 0);
        }
    }

    #[test]
    fn the_old_version_shows_the_default_metric() {
        let mut tree = json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3}});
        OldAutoscaler.apply_defaults(&mut tree);
        assert_eq!(
            tree["spec"],
            json!({"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80})
        );
        assert_eq!(tree["apiVersion"], "autoscaling/v1");
    }
}
