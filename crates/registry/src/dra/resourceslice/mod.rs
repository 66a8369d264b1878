//! Resource slices: the devices that a driver has on a node or elsewhere.

mod device;
mod policy;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::quote::quote;
use steersman_apimachinery::time;

use super::GROUP;
use crate::print;
use crate::resource::{Resource, Scope, SelectableField};
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ResourceSlice",
    plural: "resourceslices",
    singular: "resourceslice",
    scope: Scope::Cluster,
    definition: "io.k8s.api.resource.v1.ResourceSlice",
    storage: "resourceslices",
    strategy: &ResourceSlice,
    columns: COLUMNS,
    selectable_fields: SELECTABLE,
    ..GROUP
};

const SELECTABLE: &[SelectableField] = &[
    ("spec.driver", |slice| slice.text("spec.driver").to_owned()),
    ("spec.nodeName", |slice| slice.text("spec.nodeName").to_owned()),
    ("spec.pool.name", |slice| slice.text("spec.pool.name").to_owned()),
];

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Node", 0, "Node that has the devices.", |slice, _| slice.text("spec.nodeName").into()),
    print::text("Driver", 0, "Driver of the devices.", |slice, _| slice.text("spec.driver").into()),
    print::text("Pool", 0, "Pool that the devices are of.", |slice, _| slice.text("spec.pool.name").into()),
    print::AGE,
];

struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn prepare_for_create(&self, tree: &mut Tree, context: &Context) {
        set_generation(tree, 1);
        drop_disabled(tree, &Tree::Null);
        note_times(tree, context);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        drop_disabled(new, old);
        note_times(new, context);
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let driver = new.text("spec.driver");
        if driver == driver.to_lowercase() {
            return Vec::new();
        }
        let shown = quote(driver);
        vec![format!("spec.driver: driver names should be lowercase; {shown} contains uppercase characters")]
    }
}

/// Taints have the time at which they came.
fn note_times(slice: &mut Tree, context: &Context) {
    let Some(spec) = slice.part_mut("spec") else { return };
    for device in spec.items_mut("devices") {
        for taint in device.items_mut("taints") {
            taint.default_value("timeAdded", time::format(context.now));
        }
    }
}

/// Drops what is alpha and off, unless the stored slice has it.
fn drop_disabled(slice: &mut Tree, old: &Tree) {
    let Some(spec) = slice.part_mut("spec") else { return };
    for field in ["partitionTypeAttribute", "skipNodeOperations"] {
        if !old.at("spec").has(field) {
            spec.remove(field);
        }
    }
    let devices = || old.items("spec.devices").iter();
    let mappings = devices().any(|device| device.has("nodeAllocatableResources"));
    let groups = devices().any(|device| {
        device.items("consumesCounters").iter().any(|counters| counters.has("compatibilityGroups"))
    });
    for device in spec.items_mut("devices") {
        if !mappings {
            device.remove("nodeAllocatableResources");
        }
        if !groups {
            for counters in device.items_mut("consumesCounters") {
                counters.remove("compatibilityGroups");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn slices_print_select_and_warn_as_upstream() {
        let slice = json!({
            "metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "driver": "D", "pool": {"name": "p"}},
        });
        assert_eq!(row(COLUMNS, &slice, "2026-01-01T00:00:10Z"), "s|n|D|p|10s");
        let fields: Vec<String> = SELECTABLE.iter().map(|(_, field)| field(&slice)).collect();
        assert_eq!(fields, ["D", "n", "p"]);
        let want = "spec.driver: driver names should be lowercase; \"D\" contains uppercase characters";
        assert_eq!(ResourceSlice.warnings(&slice, None, &Context::default()), [want]);
    }

    #[test]
    fn what_is_off_is_dropped_and_taints_are_dated() {
        let context = Context::default();
        let full = json!({"metadata": {}, "spec": {
            "partitionTypeAttribute": "a/b", "skipNodeOperations": ["*"],
            "devices": [{"nodeAllocatableResources": {}, "taints": [{"key": "k"}],
                "consumesCounters": [{"compatibilityGroups": ["g"]}]}],
        }});
        let mut new = full.clone();
        ResourceSlice.prepare_for_create(&mut new, &context);
        let want = json!({"metadata": {"generation": 1}, "spec": {
            "devices": [{"taints": [{"key": "k", "timeAdded": "1970-01-01T00:00:00Z"}], "consumesCounters": [{}]}],
        }});
        assert_eq!(new, want);
        let mut kept = full.clone();
        ResourceSlice.prepare_for_update(&mut kept, &full, &context);
        assert_eq!(kept["spec"]["skipNodeOperations"], json!(["*"]));
        let changed = json!({"metadata": {}, "spec": {}});
        let mut new = changed.clone();
        ResourceSlice.prepare_for_update(&mut new, &want, &context);
        assert_eq!(new["metadata"]["generation"], 2);
    }
}
