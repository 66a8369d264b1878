//! Custom resource definitions.

mod conversion;
mod layout;
mod names;
mod validation;
mod versions;
mod warnings;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::conditions::is_true;
use crate::print::{self, CREATED_AT};
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{count_generation, keep_spec, set_generation};
use crate::tree::{Read, Write};
use crate::webhook::default_client_config;
use crate::{Column, ColumnKind, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[table::part(
        "status",
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        Verb::READ_WRITE,
    )],
    definition: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    storage: "apiextensions.k8s.io/customresourcedefinitions",
    strategy: &Definition,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Scope", 0, "Cluster/Namespaced", |crd, _| crd.text("spec.scope").into()),
    print::text("Versions", 0, "Served versions", |crd, _| served_versions(crd).into()),
    CREATED_AT,
    print::text("Group", 1, "API group", |crd, _| crd.text("spec.group").into()),
    print::text("Kind", 1, "CustomResource kind", |crd, _| crd.text("spec.names.kind").into()),
    print::text("ShortNames", 1, "Short names", |crd, _| crd.texts("spec.names.shortNames").join(",").into()),
    Column {
        name: "Established",
        kind: ColumnKind::Boolean,
        priority: 1,
        description: "Established status",
        cell: |crd, _| is_established(crd).into(),
    },
];

fn is_established(crd: &Tree) -> bool {
    is_true(crd.items("status.conditions"), "Established")
}

fn served_versions(crd: &Tree) -> String {
    let served = crd.items("spec.versions").iter().filter(|version| version.flag("served"));
    let mark = |version: &Tree| if version.flag("storage") { "(storage)" } else { "" };
    let mut names: Vec<String> =
        served.map(|version| format!("{}{}", version.text("name"), mark(version))).collect();
    names.sort_unstable();
    names.join(",")
}

fn storage_version(crd: &Tree) -> Option<&str> {
    let mut versions = crd.items("spec.versions").iter();
    versions.find(|version| version.flag("storage")).map(|version| version.text("name"))
}

/// The finalizer that keeps a deleted definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

struct Definition;

impl Strategy for Definition {
    fn apply_defaults(&self, tree: &mut Tree) {
        let Some(spec) = tree.object_mut("spec") else { return };
        if let Some(names) = spec.object_mut("names") {
            let kind = names.text("kind").to_owned();
            if !kind.is_empty() {
                names.default_text("singular", &kind.to_lowercase());
                names.default_text("listKind", &format!("{kind}List"));
            }
        }
        spec.default_value("conversion", json!({"strategy": "None"}));
        let webhook = spec.part_mut("conversion").and_then(|conversion| conversion.part_mut("webhook"));
        if let Some(config) = webhook.and_then(|webhook| webhook.part_mut("clientConfig")) {
            default_client_config(config);
        }
        if tree.items("status.storedVersions").is_empty()
            && let Some(version) = storage_version(tree).map(str::to_owned)
            && let Some(status) = tree.object_mut("status")
        {
            status.set("storedVersions", vec![version]);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        let stored = storage_version(tree).map(|version| [version]);
        let status = json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored});
        tree.set("status", status);
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource.is_some() {
            keep_spec(new, old);
            return;
        }
        new.copy(old, "status");
        // Unlike elsewhere an empty part counts: `status: {}` switches a subresource on.
        let changed = new.at("spec") != old.at("spec");
        count_generation(new, old, changed);
        if let Some(version) = storage_version(new).map(str::to_owned)
            && !new.texts("status.storedVersions").contains(&version.as_str())
            && let Some(status) = new.object_mut("status")
        {
            let mut stored = status.items("storedVersions").to_vec();
            stored.push(version.into());
            status.set("storedVersions", stored);
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some(_) => validation::status(new),
            None => validation::update(new, old),
        }
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, context: &Context) -> Vec<String> {
        if context.subresource.is_some() { Vec::new() } else { warnings::of(new, old) }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    /// A definition stays until its objects are gone, and says so from the moment it is deleted.
    fn mark_deleted(&self, tree: &mut Tree) {
        let since = tree.text("metadata.deletionTimestamp").to_owned();
        let pending = json!({
            "lastTransitionTime": since, "status": "True", "type": "Terminating",
            "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        });
        if let Some(status) = tree.object_mut("status") {
            let mut conditions = status.items("conditions").to_vec();
            conditions.retain(|condition| condition.text("type") != "Terminating");
            conditions.push(pending);
            status.set("conditions", conditions);
        }
        let mut finalizers = tree.items("metadata.finalizers").to_vec();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            finalizers.push(CLEANUP.into());
        }
        if let Some(metadata) = tree.object_mut("metadata") {
            metadata.set("finalizers", finalizers);
        }
    }

    /// The mark of the deletion adds a finalizer, so that no definition goes at once.
    fn holds_deletion(&self, tree: &Tree) -> bool {
        !tree.has("metadata.deletionTimestamp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn names_have_defaults() {
        let mut crd =
            json!({"spec": {"names": {"kind": "CronTab"}, "versions": [{"name": "v1", "storage": true}]}});
        Definition.apply_defaults(&mut crd);
        let want = json!({"spec": {"names": {"kind": "CronTab", "singular": "crontab", "listKind": "CronTabList"},
            "versions": [{"name": "v1", "storage": true}], "conversion": {"strategy": "None"}},
            "status": {"storedVersions": ["v1"]}});
        assert_eq!(crd, want);
    }

    #[test]
    fn stored_versions_are_remembered() {
        let mut crd = json!({"metadata": {}, "spec": {"versions": [{"name": "v1", "storage": true}]}, "status": {"x": 1}});
        Definition.prepare_for_create(&mut crd, &Context::default());
        assert_eq!(crd["metadata"]["generation"], 1);
        assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
        let mut new = crd.clone();
        new["spec"]["versions"] =
            json!([{"name": "v1"}, {"name": "v2", "storage": true, "subresources": {"status": {}}}]);
        Definition.prepare_for_update(&mut new, &crd, &Context::default());
        assert_eq!(new["status"]["storedVersions"], json!(["v1", "v2"]));
        assert_eq!(new["metadata"]["generation"], 2);
        let mut same = new.clone();
        same["spec"]["versions"][1]["subresources"] = json!({});
        Definition.prepare_for_update(&mut same, &new, &Context::default());
        assert_eq!(same["metadata"]["generation"], 3);
    }

    #[test]
    fn definitions_print_as_upstream() {
        let crd = json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"scope": "Namespaced", "group": "a.b", "names": {"kind": "K", "shortNames": ["k", "kk"]},
                "versions": [{"name": "v2", "served": true}, {"name": "v1", "served": true, "storage": true}, {"name": "v0"}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        });
        let want = "c|Namespaced|v1(storage),v2|2026-01-01T00:00:00Z|a.b|K|k,kk|true";
        assert_eq!(row(COLUMNS, &crd, "2026-01-01T00:05:00Z"), want);
    }
}
