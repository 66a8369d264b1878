//! Priority classes.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{immutable, required_word};
use crate::print;
use crate::resource::{Resource, Scope};
use crate::rules::set_generation;
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.scheduling.v1.PriorityClass",
    storage: "priorityclasses",
    strategy: &PriorityClass,
    columns: COLUMNS,
    ..table::BASE
};

/// A class that every cluster has.
struct System {
    name: &'static str,
    value: i64,
    description: &'static str,
}

const SYSTEM: [System; 2] = [
    System {
        name: "system-node-critical",
        value: 2_000_001_000,
        description: "Used for system critical pods that must not be moved from their current node.",
    },
    System {
        name: "system-cluster-critical",
        value: 2_000_000_000,
        description: "Used for system critical pods that must run in the cluster, but can be moved to another node if \
                      necessary.",
    },
];
const SYSTEM_PREFIX: &str = "system-";
const HIGHEST_OF_USERS: i64 = 1_000_000_000;

const COLUMNS: &[Column] = &[
    print::NAME,
    print::integer("Value", 0, "Priority of the class's pods.", |class, _| print::integer_of(class, "value")),
    print::boolean("Global-Default", 0, "Whether pods without a class get it.", |class, _| {
        class.flag("globalDefault").into()
    }),
    print::AGE,
    print::text("PreemptionPolicy", 0, "Whether its pods push others out.", |class, _| {
        class.text("preemptionPolicy").into()
    }),
];

/// The classes that the server makes when it starts: pods that the cluster cannot do without have them.
pub fn system_priority_classes() -> Vec<Tree> {
    let class = |system: &System| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": system.name}, "value": system.value, "description": system.description,
        })
    };
    SYSTEM.iter().map(class).collect()
}

struct PriorityClass;

impl Strategy for PriorityClass {
    fn apply_defaults(&self, tree: &mut Tree) {
        tree.default_value("value", 0);
        tree.default_value("preemptionPolicy", "PreemptLowerPriority");
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        let value = tree.int("value").unwrap_or(0);
        if tree.text("metadata.name").starts_with(SYSTEM_PREFIX) {
            if let Some(why) = difference_from_system(tree, value) {
                let why = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
                );
                found.push(Error::forbidden(Path::new("metadata").child("name"), why));
            }
        } else if value > HIGHEST_OF_USERS {
            let why = format!("maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}");
            found.push(Error::forbidden(Path::new("value"), why));
        }
        if tree.has("preemptionPolicy") {
            let known = ["PreemptLowerPriority", "Never"];
            required_word(&mut found, Path::new("preemptionPolicy"), tree.text("preemptionPolicy"), &known);
        }
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        if new.int("value") != old.int("value") {
            found.push(Error::forbidden(Path::new("value"), "may not be changed in an update."));
        }
        let field = "preemptionPolicy";
        immutable(&mut found, Path::new(field), new.at(field), old.at(field));
        found
    }
}

fn difference_from_system(class: &Tree, value: i64) -> Option<String> {
    let name = class.text("metadata.name");
    let Some(system) = SYSTEM.iter().find(|system| system.name == name) else {
        return Some(format!("{name} is not a known system priority class"));
    };
    if value != system.value {
        return Some(format!("value of {name} PriorityClass must be {}", system.value));
    }
    class.flag("globalDefault").then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::{assert_problems, texts};
    use crate::print::tests::row;

    #[test]
    fn classes_are_below_those_of_the_system() {
        let check = |class: &Tree| PriorityClass.validate(class, &Context::default());
        let good = json!({"metadata": {"name": "high"}, "value": 1_000_000_000, "preemptionPolicy": "Never"});
        let cases = [
            (
                "/value",
                json!(1_000_000_001),
                vec!["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
            ),
            (
                "/metadata/name",
                json!("system-x"),
                vec![
                    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class",
                ],
            ),
            ("/preemptionPolicy", json!(""), vec!["preemptionPolicy: Required value"]),
            (
                "/preemptionPolicy",
                json!("Maybe"),
                vec![
                    "preemptionPolicy: Unsupported value: \"Maybe\": supported values: \"PreemptLowerPriority\", \"Never\"",
                ],
            ),
        ];
        assert_problems(&good, check, cases);
        let reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: ";
        for mut class in system_priority_classes() {
            assert!(texts(&check(&class)).is_empty());
            class["globalDefault"] = json!(true);
            let name = class.text("metadata.name").to_owned();
            let want = format!("{reserved}globalDefault of {name} PriorityClass must be false");
            assert_eq!(texts(&check(&class)), [want]);
            let value = class["value"].take();
            let want = format!("{reserved}value of {name} PriorityClass must be {value}");
            assert_eq!(texts(&check(&class)), [want]);
        }
    }

    #[test]
    fn values_stay() {
        let mut old = json!({"metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        PriorityClass.apply_defaults(&mut old);
        assert_eq!(row(COLUMNS, &old, "2026-01-01T00:00:10Z"), "c|0|false|10s|PreemptLowerPriority");
        let cases = [
            ("/value", json!(5), vec!["value: Forbidden: may not be changed in an update."]),
            (
                "/preemptionPolicy",
                json!("Never"),
                vec!["preemptionPolicy: Invalid value: \"Never\": field is immutable"],
            ),
            ("/globalDefault", json!(true), vec![]),
        ];
        let check = |new: &Tree| PriorityClass.validate_update(new, &old, &Context::default());
        assert_problems(&old, check, cases);
    }
}
