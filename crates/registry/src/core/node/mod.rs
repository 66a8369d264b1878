//! Nodes.

mod columns;
mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::resource::{Resource, Scope, Verb};
use crate::rules::count_generation;
use crate::tree::{Read, Write};
use crate::{Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    scope: Scope::Cluster,
    subresources: &[
        table::part("proxy", "", "NodeProxyOptions", &[]),
        table::part("status", "", "Node", Verb::READ_WRITE),
    ],
    definition: "io.k8s.api.core.v1.Node",
    storage: "minions",
    strategy: &Node,
    columns: columns::COLUMNS,
    selectable_fields: &[("spec.unschedulable", |object| object.flag("spec.unschedulable").to_string())],
    ..table::BASE
};

struct Node;

impl Strategy for Node {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.object_mut("spec") {
            first_range(spec);
        }
        if let Some(status) = tree.part_mut("status")
            && status.has("capacity")
        {
            let capacity = status.at("capacity").clone();
            status.default_value("allocatable", capacity);
        }
    }

    // A new node keeps its status: the kubelet registers itself with it.

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        let kept = if context.subresource == Some("status") { "spec" } else { "status" };
        new.copy(old, kept);
        count_generation(new, old, false);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }
}

/// `podCIDR` is the first of `podCIDRs`; each completes the other.
fn first_range(spec: &mut Tree) {
    let first = spec.texts("podCIDRs").first().map(|&first| first.to_owned());
    match (spec.text("podCIDR"), first) {
        ("", Some(first)) => spec.set("podCIDR", first),
        (range, None) if !range.is_empty() => {
            let ranges = vec![range.to_owned()];
            spec.set("podCIDRs", ranges);
        }
        _ => {}
    }
}
