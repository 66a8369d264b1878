//! Everything there is to do at start to have the default policy.

use serde_json::json;
use steersman_apimachinery::Tree;

use super::{GROUP, Step, Wanted, step, wanted};
use crate::request::ObjectReader;
use crate::view::text;

/// One object to write, with its plural resource (of `rbac.authorization.k8s.io`).
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// `clusterroles`, `roles`, `clusterrolebindings` or `rolebindings`.
    pub resource: &'static str,
    /// What to do; never [`Step::Leave`].
    pub step: Step,
}

/// Compares what is stored with what every cluster has and says what to write, in order.
pub async fn plan(objects: &dyn ObjectReader) -> Vec<Planned> {
    let mut planned = Vec::new();
    for Wanted { resource, object } in wanted() {
        let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        let step = match objects.get(GROUP, resource, namespace, name).await {
            Some(stored) => step(Some(&stored), &object),
            None => Step::Create(first_version(objects, resource, object).await),
        };
        planned.push(Planned { resource, step });
    }
    planned.retain(|planned| planned.step != Step::Leave);
    planned
}

/// Objects that have taken over a part of another one: resource, the new one, the old one. Where only the old one is
/// there, the new one starts with what administrators made of the old one.
const HEIRS: &[(&str, &str, &str)] = &[
    ("clusterroles", "system:aggregate-to-admin", "admin"),
    ("clusterroles", "system:aggregate-to-edit", "edit"),
    ("clusterroles", "system:aggregate-to-view", "view"),
    ("clusterrolebindings", "system:public-info-viewer", "system:discovery"),
];

/// What an object that does not exist is made as.
async fn first_version(objects: &dyn ObjectReader, resource: &str, wanted: Tree) -> Tree {
    let name = text(&wanted, "/metadata/name");
    let Some((_, _, old)) = HEIRS.iter().find(|heir| (heir.0, heir.1) == (resource, name)) else {
        return wanted;
    };
    let old = objects.get(GROUP, resource, "", old).await;
    // A sum has no rules of its own to pass on.
    let Some(old) = old.filter(|old| old.get("aggregationRule").is_none_or(Tree::is_null)) else {
        return wanted;
    };
    let mut heir = wanted.clone();
    for field in ["labels", "annotations"] {
        heir["metadata"][field] = old["metadata"].get(field).cloned().unwrap_or_else(|| json!({}));
    }
    let passed_on = if resource == "clusterroles" { "rules" } else { "subjects" };
    heir[passed_on] = old.get(passed_on).cloned().unwrap_or_else(|| json!([]));
    match step(Some(&heir), &wanted) {
        Step::Update(merged) => merged,
        Step::Leave | Step::Create(_) | Step::Recreate { .. } => heir,
    }
}
