//! Nodes.

mod columns;

use crate::resource::{Resource, Scope, Verb};
use crate::tree::Read;
use crate::{Strategy, table};

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

impl Strategy for Node {}
