//! The rules of a custom resource: defaults and validation by its schema; `status` and `scale` as its definition has
//! them.

use serde_json::Value;
use steersman_apiextensions::ScalePaths;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_apimachinery::names::qualified_name_problems;
use steersman_registry::{Context, Strategy};

use super::kind::CustomType;

/// Finalizers without a domain that everybody knows.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// The rules of one version.
pub struct CustomRules {
    /// The version.
    pub kind: CustomType,
    /// Whether `status` is a subresource.
    pub has_status: bool,
    /// Where `scale` reads and writes, if it is a subresource.
    pub scale: Option<ScalePaths>,
}

impl Strategy for CustomRules {
    fn apply_defaults(&self, tree: &mut Tree) {
        self.kind.version().schema.apply_defaults(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        if self.has_status {
            tree.remove("status");
        }
        tree.set_generation(1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if context.subresource == Some("status") {
            let (status, owners) = (new.remove("status"), new.remove("metadata.managedFields"));
            let version = new.remove("metadata.resourceVersion");
            *new = old.clone();
            replace(new, "status", status);
            replace(new, "metadata.managedFields", owners);
            replace(new, "metadata.resourceVersion", version);
            return;
        }
        if self.has_status {
            replace(new, "status", old.get("status").cloned());
        }
        let changed = is_changed(new, old);
        new.set_generation(old.generation() + i64::from(changed));
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let version = self.kind.version();
        let mut found = version.validate(tree, None);
        if let Some(scale) = &self.scale {
            found.extend(scale.validate(tree));
        }
        found.extend(version.validate_parts(tree, None));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let status_only = context.subresource == Some("status");
        let version = self.kind.version();
        let mut found =
            if status_only { version.validate_status(new, old) } else { version.validate(new, Some(old)) };
        if let Some(scale) = &self.scale {
            found.extend(if status_only { scale.validate_status(new) } else { scale.validate(new) });
        }
        found.extend(if status_only {
            version.validate_status_parts(new, old)
        } else {
            version.validate_parts(new, Some(old))
        });
        found
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let had: Vec<&str> = old.map(|old| old.finalizers().collect()).unwrap_or_default();
        let mut added: Vec<&str> = new.finalizers().filter(|name| !had.contains(name)).collect();
        added.sort_unstable();
        added.dedup();
        added.into_iter().flat_map(finalizer_warnings).collect()
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Puts back what was taken out, or leaves it out.
fn replace(tree: &mut Tree, path: &str, value: Option<Value>) {
    match value {
        Some(value) => tree.set(path, value),
        None => drop(tree.remove(path)),
    }
}

/// Whether anything but the metadata differs.
fn is_changed(new: &Tree, old: &Tree) -> bool {
    let fields = |tree: &Tree| {
        let mut fields = tree.as_object().cloned().unwrap_or_default();
        fields.remove("metadata");
        fields
    };
    fields(new) != fields(old)
}

fn finalizer_warnings(name: &str) -> Vec<String> {
    let at = |why: String| format!("metadata.finalizers: {name:?}: {why}");
    let mut found: Vec<String> = qualified_name_problems(name).into_iter().map(at).collect();
    if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
        let path = if name.contains('.') { " including a path (/)" } else { "" };
        found.push(at(format!(
            "prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
        )));
    }
    found
}
