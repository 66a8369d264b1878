//! Volume attachments: a volume that is to be, or is, attached to a node.

mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use super::GROUP;
use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::rules::{keep_apart, keep_metadata_for_status};
use crate::tree::{Read, Write};
use crate::{Column, ColumnKind, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "VolumeAttachment",
    plural: "volumeattachments",
    singular: "volumeattachment",
    scope: Scope::Cluster,
    subresources: &[table::part("status", "storage.k8s.io", "VolumeAttachment", Verb::READ_WRITE)],
    definition: "io.k8s.api.storage.v1.VolumeAttachment",
    storage: "volumeattachments",
    strategy: &VolumeAttachment,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    Column {
        name: "Attacher",
        kind: ColumnKind::Name,
        priority: 0,
        description: "Driver that attaches it.",
        cell: |object, _| object.text("spec.attacher").into(),
    },
    print::text("PV", 0, "Volume that is attached.", |object, _| {
        object.text("spec.source.persistentVolumeName").into()
    }),
    print::text("Node", 0, "Node that it is attached to.", |object, _| object.text("spec.nodeName").into()),
    print::boolean("Attached", 0, "Whether it is attached.", |object, _| {
        object.flag("status.attached").into()
    }),
    print::AGE,
];

struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(status) = tree.part_mut("status") {
            status.default_value("attached", false);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        tree.set("status", json!({"attached": false}));
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        if keep_apart(new, old, context) {
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
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn attachments_print_as_upstream_and_keep_spec_and_status_apart() {
        let mut old = json!({
            "metadata": {"name": "a", "labels": {"x": "y"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
            "status": {"attached": true},
        });
        VolumeAttachment.prepare_for_create(&mut old, &Context::default());
        assert_eq!(row(COLUMNS, &old, "2026-01-01T00:00:10Z"), "a|d|v|n|false|10s");
        let mut new = json!({"metadata": {"name": "a"}, "spec": {}, "status": {"attached": true}});
        let context = Context { subresource: Some("status"), ..Context::default() };
        VolumeAttachment.prepare_for_update(&mut new, &old, &context);
        let mut want = old.clone();
        want["status"]["attached"] = json!(true);
        want["metadata"].remove("creationTimestamp");
        assert_eq!(new, want, "a write of the status changes the status alone");
        let mut new = want.clone();
        VolumeAttachment.prepare_for_update(&mut new, &old, &Context::default());
        assert_eq!(new["status"], old["status"]);
    }
}
