//! Namespaces.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::dns1123_label_problems;

use crate::checks::qualified;
use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::count_generation;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

/// Keeps a deleted namespace until the namespace controller has emptied it.
const FINALIZER: &str = "kubernetes";

const STANDARD_FINALIZERS: [&str; 3] = [FINALIZER, "orphan", "foregroundDeletion"];

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    // One by one only: there is no delete of a collection of namespaces.
    verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    subresources: &[
        table::part("finalize", "", "Namespace", &[Verb::Update]),
        table::part("status", "", "Namespace", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.core.v1.Namespace",
    storage: "namespaces",
    strategy: &Namespace,
    columns: COLUMNS,
    selectable_fields: &[("status.phase", |object| object.text("status.phase").to_owned())],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Status", 0, "Phase of the namespace.", |object, _| object.text("status.phase").into()),
    print::AGE,
];

struct Namespace;

impl Strategy for Namespace {
    fn apply_defaults(&self, tree: &mut Tree) {
        label_with_name(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        // The name may have been generated since the defaults were applied.
        label_with_name(tree);
        tree.set("status", json!({"phase": "Active"}));
        if let Some(spec) = tree.object_mut("spec") {
            let mut finalizers = spec.items("finalizers").to_vec();
            if !finalizers.iter().any(|f| f == FINALIZER) {
                finalizers.push(FINALIZER.into());
            }
            spec.set("finalizers", finalizers);
        }
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        match context.subresource {
            Some("status") => new.copy(old, "spec"),
            Some("finalize") => new.copy(old, "status"),
            _ => {
                new.copy(old, "spec");
                new.copy(old, "status");
            }
        }
        count_generation(new, old, false);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        for (index, name) in tree.texts("spec.finalizers").into_iter().enumerate() {
            let path = Path::new("spec").child("finalizers").index(index);
            qualified(&mut found, &path, name);
            if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
                let why = "name is neither a standard finalizer name nor is it fully qualified";
                found.push(Error::invalid(path, name, why));
            }
        }
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        let mut found = self.validate(new, context);
        if context.subresource == Some("status") {
            let (phase, path) = (new.text("status.phase"), Path::new("status").child("Phase"));
            let deleted = new.has("metadata.deletionTimestamp");
            let why = match (deleted, phase) {
                (true, "Terminating") | (false, "Active") => return found,
                (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
                (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
            };
            found.push(Error::invalid(path, phase, why));
        }
        found
    }

    fn name_problems(&self, name: &str, prefix: bool) -> Vec<String> {
        dns1123_label_problems(name, prefix)
    }

    fn mark_deleted(&self, tree: &mut Tree) {
        if let Some(status) = tree.object_mut("status") {
            status.set("phase", "Terminating");
        }
    }

    fn holds_deletion(&self, tree: &Tree) -> bool {
        !tree.items("spec.finalizers").is_empty()
    }
}

/// Lets selectors pick a namespace by its name.
fn label_with_name(tree: &mut Tree) {
    let name = tree.text("metadata.name").to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = tree.object_mut("metadata").and_then(|metadata| metadata.object_mut("labels")) {
        labels.set("kubernetes.io/metadata.name", name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(subresource: Option<&'static str>) -> Context {
        Context { subresource, ..Context::default() }
    }

    #[test]
    fn a_namespace_lives_and_ends() {
        let mut tree = json!({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}});
        Namespace.apply_defaults(&mut tree);
        Namespace.prepare_for_create(&mut tree, &context(None));
        let want = json!({
            "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        assert_eq!(tree, want);
        let old = tree.clone();
        Namespace.mark_deleted(&mut tree);
        assert_eq!(tree["status"]["phase"], "Terminating");
        assert!(Namespace.holds_deletion(&tree));
        tree["spec"]["finalizers"] = json!([]);
        let mut updated = tree.clone();
        Namespace.prepare_for_update(&mut updated, &old, &context(None));
        assert_eq!(updated, old, "an ordinary update changes neither spec nor status");
        Namespace.prepare_for_update(&mut tree, &old, &context(Some("finalize")));
        assert!(!Namespace.holds_deletion(&tree));
    }
}
