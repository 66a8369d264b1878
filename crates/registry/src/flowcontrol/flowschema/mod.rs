//! Flow schemas: which priority level a request belongs to.

mod validation;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "flowcontrol.apiserver.k8s.io",
    kind: "FlowSchema",
    plural: "flowschemas",
    singular: "flowschema",
    scope: Scope::Cluster,
    subresources: &[table::part("status", "flowcontrol.apiserver.k8s.io", "FlowSchema", Verb::READ_WRITE)],
    definition: "io.k8s.api.flowcontrol.v1.FlowSchema",
    storage: "flowschemas",
    strategy: &FlowSchema,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("PriorityLevel", 0, "Level of the requests that match.", |schema, _| {
        schema.text("spec.priorityLevelConfiguration.name").into()
    }),
    print::text("MatchingPrecedence", 0, "The lowest number of those that match wins.", |schema, _| {
        print::integer_of(schema, "spec.matchingPrecedence")
    }),
    print::text("DistinguisherMethod", 0, "What makes a flow: users, namespaces or nothing.", |schema, _| {
        let method = schema.at("spec.distinguisherMethod");
        (if method.is_null() { "<none>" } else { method.text("type") }).into()
    }),
    print::AGE,
    print::text("MissingPL", 0, "Whether its level does not exist.", |schema, _| {
        let mut conditions = schema.items("status.conditions").iter();
        let dangling = conditions.find(|condition| condition.text("type") == "Dangling");
        dangling.map_or("?", |condition| condition.text("status")).into()
    }),
];

struct FlowSchema;

impl Strategy for FlowSchema {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.object_mut("spec") {
            spec.default_number("matchingPrecedence", 1000);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        super::prepare_for_create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        super::prepare_for_update(new, old, context.subresource);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = validation::flow_schema(tree);
        found.extend(super::status(tree));
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, context: &Context) -> ErrorList {
        match context.subresource {
            Some(_) => super::status(new),
            None => self.validate(new, context),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn schemas_print_as_upstream() {
        let mut schema = json!({"metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"priorityLevelConfiguration": {"name": "p"}}});
        FlowSchema.apply_defaults(&mut schema);
        assert_eq!(row(COLUMNS, &schema, "2026-01-01T00:05:00Z"), "s|p|1000|<none>|5m|?");
        schema["spec"]["distinguisherMethod"] = json!({"type": "ByUser"});
        schema["status"] = json!({"conditions": [{"type": "Dangling", "status": "False"}]});
        assert_eq!(row(COLUMNS, &schema, "2026-01-01T00:05:00Z"), "s|p|1000|ByUser|5m|False");
    }
}
