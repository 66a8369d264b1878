//! Replica sets.

use crate::print::{self, integer_of};
use crate::resource::{Resource, Verb};
use crate::tree::Read;
use crate::{Column, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[table::SCALE, table::part("status", "apps", "ReplicaSet", Verb::READ_WRITE)],
    definition: "io.k8s.api.apps.v1.ReplicaSet",
    storage: "replicasets",
    strategy: &ReplicaSet,
    columns: COLUMNS,
    selectable_fields: &[("status.replicas", |object| {
        object.int("status.replicas").unwrap_or(0).to_string()
    })],
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Desired", 0, "Pods wanted.", |object, _| integer_of(object, "spec.replicas")),
    print::integer("Current", 0, "Pods there are.", |object, _| integer_of(object, "status.replicas")),
    print::integer("Ready", 0, "Pods that are ready.", |object, _| {
        integer_of(object, "status.readyReplicas")
    }),
    print::AGE,
    print::text("Containers", 1, "Names of the template's containers.", print::container_names),
    print::text("Images", 1, "Images of the template's containers.", print::container_images),
    print::text("Selector", 1, "Which pods it owns.", |object, _| {
        print::or(&print::selector(object.at("spec.selector")), "<none>").into()
    }),
];

struct ReplicaSet;

impl Strategy for ReplicaSet {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn replica_sets_print_as_upstream() {
        let object = json!({
            "metadata": {"name": "d-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "nginx"}]}}},
            "status": {"replicas": 2},
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "d-1|3|2|0|10s|a|nginx|<none>");
    }
}
