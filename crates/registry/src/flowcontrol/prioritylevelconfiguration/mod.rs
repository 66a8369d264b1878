//! Priority level configurations: how many requests of a level run at once, and how the others wait.

mod validation;

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use crate::print;
use crate::resource::{Resource, Scope, Verb};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "flowcontrol.apiserver.k8s.io",
    kind: "PriorityLevelConfiguration",
    plural: "prioritylevelconfigurations",
    singular: "prioritylevelconfiguration",
    scope: Scope::Cluster,
    subresources: &[table::part(
        "status",
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        Verb::READ_WRITE,
    )],
    definition: "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    storage: "prioritylevelconfigurations",
    strategy: &PriorityLevel,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Type", 0, "Whether its requests are limited at all.", |level, _| {
        level.text("spec.type").into()
    }),
    print::text("NominalConcurrencyShares", 0, "Its share of what may run at once.", |level, _| {
        number(level.at("spec.limited"), "nominalConcurrencyShares")
    }),
    print::text("Queues", 0, "Number of queues.", |level, _| number(queuing(level), "queues")),
    print::text("HandSize", 0, "Queues that one flow may use.", |level, _| {
        number(queuing(level), "handSize")
    }),
    print::text("QueueLengthLimit", 0, "Requests that one queue may hold.", |level, _| {
        number(queuing(level), "queueLengthLimit")
    }),
    print::AGE,
];

fn queuing(level: &Tree) -> &Tree {
    level.at("spec.limited.limitResponse.queuing")
}

/// A number of a part; `<none>` without the part.
fn number(part: &Tree, field: &str) -> Value {
    if part.is_null() { "<none>".into() } else { print::integer_of(part, field) }
}

struct PriorityLevel;

impl Strategy for PriorityLevel {
    fn apply_defaults(&self, tree: &mut Tree) {
        let Some(spec) = tree.part_mut("spec") else { return };
        if let Some(exempt) = spec.part_mut("exempt") {
            exempt.default_value("nominalConcurrencyShares", 0);
            exempt.default_value("lendablePercent", 0);
        }
        let Some(limited) = spec.part_mut("limited") else { return };
        limited.default_value("nominalConcurrencyShares", 30);
        limited.default_value("lendablePercent", 0);
        let queuing = limited.part_mut("limitResponse").and_then(|response| response.part_mut("queuing"));
        if let Some(queuing) = queuing {
            queuing.default_number("handSize", 8);
            queuing.default_number("queues", 64);
            queuing.default_number("queueLengthLimit", 50);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        super::prepare_for_create(tree);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, context: &Context) {
        super::prepare_for_update(new, old, context.subresource);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = validation::priority_level(tree);
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
    fn levels_print_as_upstream() {
        let level = |spec: Value| {
            let mut level =
                json!({"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec});
            PriorityLevel.apply_defaults(&mut level);
            row(COLUMNS, &level, "2026-01-01T00:05:00Z")
        };
        let queue =
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {}}}});
        assert_eq!(level(queue), "p|Limited|30|64|8|50|5m");
        let reject = json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 0}});
        assert_eq!(level(reject), "p|Limited|0|<none>|<none>|<none>|5m");
        assert_eq!(level(json!({"type": "Exempt", "exempt": {}})), "p|Exempt|<none>|<none>|<none>|<none>|5m");
    }

    #[test]
    fn shares_have_defaults() {
        let mut level = json!({"spec": {"exempt": {}, "limited": {"lendablePercent": 5}}});
        PriorityLevel.apply_defaults(&mut level);
        let want = json!({"exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0},
            "limited": {"nominalConcurrencyShares": 30, "lendablePercent": 5}});
        assert_eq!(level["spec"], want);
    }
}
