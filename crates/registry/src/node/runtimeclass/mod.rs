//! Runtime classes.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::validate_labels;
use steersman_apimachinery::names::dns1123_label_problems;

use crate::checks::{Seen, immutable, required_name};
use crate::core::podspec::validation::{resource_requirements, tolerations};
use crate::core::podspec::warnings::old_label;
use crate::print;
use crate::resource::{Resource, Scope};
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "node.k8s.io",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    scope: Scope::Cluster,
    definition: "io.k8s.api.node.v1.RuntimeClass",
    storage: "runtimeclasses",
    strategy: &RuntimeClass,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Handler", 0, "What runs the pods.", |class, _| class.text("handler").into()),
    print::AGE,
];

struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        if tree.has("overhead") {
            let limits = json!({"limits": tree.at("overhead.podFixed")});
            resource_requirements(&mut found, &limits, &Path::new("overhead"));
        }
        scheduling(&mut found, tree.at("scheduling"), &Path::new("scheduling"));
        required_name(&mut found, Path::new("handler"), tree.text("handler"), dns1123_label_problems);
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, context: &Context) -> ErrorList {
        let mut found = self.validate(new, context);
        immutable(&mut found, Path::new("handler"), new.at("handler"), old.at("handler"));
        found
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let labels = new.entries("scheduling.nodeSelector").filter_map(|(label, _)| old_label(label));
        labels.map(|why| format!("scheduling.nodeSelector: {why}")).collect()
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn scheduling(found: &mut ErrorList, scheduling: &Tree, path: &Path) {
    found.extend(validate_labels(scheduling.get("nodeSelector"), &path.child("nodeSelector")));
    let (list, path) = (scheduling.items("tolerations"), path.child("tolerations"));
    tolerations(found, list, &path);
    let mut seen = Seen::default();
    for (index, toleration) in list.iter().enumerate() {
        let parts = ["key", "operator", "value", "effect"].map(|field| toleration.text(field));
        if !seen.first(parts.join("\n")) {
            let [key, operator, value, effect] = parts;
            let shown = json!({
                "Key": key, "Operator": operator, "Value": value, "Effect": effect,
                "TolerationSeconds": toleration.at("tolerationSeconds"),
            });
            found.push(Error::duplicate(path.index(index), shown));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checks::tests::{assert_problems, texts};
    use crate::print::tests::row;

    fn class() -> Value {
        json!({
            "metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}, "handler": "kata",
            "overhead": {"podFixed": {"memory": "120Mi"}},
            "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]},
        })
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/handler", json!(""), vec!["handler: Required value"]),
            (
                "/overhead/podFixed/memory",
                json!("-1"),
                vec!["overhead.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (
                "/scheduling/tolerations/1",
                json!({"key": "k", "operator": "Exists"}),
                vec![
                    "scheduling.tolerations[1]: Duplicate value: {\"Effect\":\"\",\"Key\":\"k\",\"Operator\":\"Exists\",\"TolerationSeconds\":null,\"Value\":\"\"}",
                ],
            ),
        ];
        let check = |class: &Tree| RuntimeClass.validate(class, &Context::default());
        assert_problems(&class(), check, cases);
        let got = texts(&check(&json!({"handler": "a.b", "scheduling": {"nodeSelector": {"-": ""}}})));
        assert!(
            got[0].starts_with("scheduling.nodeSelector: Invalid value: \"-\": name part must consist of")
        );
        assert_eq!(got[1], "handler: Invalid value: \"a.b\": must not contain dots");
    }

    #[test]
    fn the_handler_stays_and_old_labels_are_warned_of() {
        let old = class();
        let cases =
            [("/handler", json!("runc"), vec!["handler: Invalid value: \"runc\": field is immutable"])];
        assert_problems(&old, |new| RuntimeClass.validate_update(new, &old, &Context::default()), cases);
        let labelled = json!({"scheduling": {"nodeSelector": {"node-role.kubernetes.io/master": ""}}});
        let want = ["scheduling.nodeSelector: use \"node-role.kubernetes.io/control-plane\" instead"];
        assert_eq!(RuntimeClass.warnings(&labelled, None, &Context::default()), want);
        assert_eq!(row(COLUMNS, &old, "2026-01-01T00:00:10Z"), "c|kata|10s");
    }
}
