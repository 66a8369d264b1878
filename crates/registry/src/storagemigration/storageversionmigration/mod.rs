//! Storage version migrations: a resource whose objects are to be written anew.

mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{keep_apart, keep_metadata_for_status};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "storagemigration.k8s.io",
    kind: "StorageVersionMigration",
    plural: "storageversionmigrations",
    singular: "storageversionmigration",
    scope: Scope::Cluster,
    subresources: &[table::part(
        "status",
        "storagemigration.k8s.io",
        "StorageVersionMigration",
        Verb::READ_WRITE,
    )],
    definition: "io.k8s.api.storagemigration.v1.StorageVersionMigration",
    storage: "storageversionmigrations",
    strategy: &StorageVersionMigration,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    // Upstream does not mark this one as a name.
    print::text("Name", 0, "Name of the object.", print::NAME.cell),
    print::text("Resource", 0, "Resource that is migrated.", |object, _| {
        let (resource, group) = (object.text("spec.resource.resource"), object.text("spec.resource.group"));
        if group.is_empty() { resource.into() } else { format!("{resource}.{group}").into() }
    }),
    print::text("Status", 0, "How far it is.", |object, _| {
        let known = ["Running", "Succeeded", "Failed"];
        let all = object.items("status.conditions").iter();
        let holds = |c: &&Tree| c.text("status") == "True" && known.contains(&c.text("type"));
        all.rev().find(holds).map_or("Unknown", |condition| condition.text("type")).into()
    }),
];

struct StorageVersionMigration;

impl Strategy for StorageVersionMigration {
    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if keep_apart(new, old, context) {
            keep_metadata_for_status(new, old);
        }
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

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn migrations_print_as_upstream() {
        let mut object = json!({
            "metadata": {"name": "m"}, "spec": {"resource": {"group": "apps", "resource": "deployments"}},
        });
        let now = "2026-01-01T00:00:10Z";
        assert_eq!(row(COLUMNS, &object, now), "m|deployments.apps|Unknown");
        object["spec"] = json!({"resource": {"resource": "pods"}});
        object["status"] = json!({"conditions": [
            {"type": "Running", "status": "False"}, {"type": "Succeeded", "status": "True"},
            {"type": "Odd", "status": "True"}]});
        assert_eq!(row(COLUMNS, &object, now), "m|pods|Succeeded");
    }
}
