//! What CSI drivers say of a node.

mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use super::GROUP;
use crate::print::{self, integer_cell};
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{keep_metadata_for_status, keep_spec};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "CSINode",
    plural: "csinodes",
    singular: "csinode",
    scope: Scope::Cluster,
    subresources: &[table::part("status", "storage.k8s.io", "CSINode", Verb::READ_WRITE)],
    definition: "io.k8s.api.storage.v1.CSINode",
    storage: "csinodes",
    strategy: &CsiNode,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Drivers", 0, "Number of drivers on the node.", |node, _| {
        integer_cell(node.items("spec.drivers").len())
    }),
    print::AGE,
];

struct CsiNode;

impl Strategy for CsiNode {
    // All that a status can say is `storageHealth`, which is alpha (`CSIVolumeHealth`): as on an upstream server with
    // its default gates, nobody can set it.

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.remove("status");
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        new.copy(old, "status");
        if context.subresource == Some("status") {
            keep_spec(new, old);
            keep_metadata_for_status(new, old);
        }
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn nodes_print_as_upstream() {
        let node = json!({
            "metadata": {"name": "n1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"drivers": [{"name": "a"}, {"name": "b"}]},
        });
        assert_eq!(row(COLUMNS, &node, "2026-01-01T00:00:10Z"), "n1|2|10s");
    }
}
