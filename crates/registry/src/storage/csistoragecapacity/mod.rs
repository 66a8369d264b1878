//! Capacities that drivers report for a storage class in a part of the cluster.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};
use steersman_apimachinery::labels::validate_label_selector;

use super::GROUP;
use crate::checks::{immutable, label_selector, not_negative_quantity, subdomain};
use crate::core::podspec::warnings::old_label;
use crate::print;
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "CSIStorageCapacity",
    plural: "csistoragecapacities",
    singular: "csistoragecapacity",
    definition: "io.k8s.api.storage.v1.CSIStorageCapacity",
    storage: "csistoragecapacities",
    strategy: &CsiStorageCapacity,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("StorageClassName", 0, "Class whose volumes fit.", |object, _| {
        object.text("storageClassName").into()
    }),
    print::text("Capacity", 0, "How much is left.", |object, _| match object.has("capacity") {
        true => print::quantity(object.get("capacity")).into(),
        false => "<unset>".into(),
    }),
];

struct CsiStorageCapacity;

impl CsiStorageCapacity {
    /// A topology that was accepted once may have label values that would be refused today.
    fn check(tree: &Tree, old: Option<&Tree>) -> ErrorList {
        let (mut found, path) = (ErrorList::new(), Path::new("nodeTopology"));
        let was_bad =
            old.is_some_and(|old| !validate_label_selector(old.at("nodeTopology"), &path).is_empty());
        label_selector(&mut found, tree.at("nodeTopology"), &path, was_bad);
        subdomain(&mut found, &Path::new("storageClassName"), tree.text("storageClassName"));
        not_negative_quantity(&mut found, Path::new("capacity"), tree.at("capacity"));
        found
    }
}

impl Strategy for CsiStorageCapacity {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        Self::check(tree, None)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        let mut found = Self::check(new, Some(old));
        for field in ["nodeTopology", "storageClassName"] {
            immutable(&mut found, Path::new(field), new.at(field), old.at(field));
        }
        found
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let (topology, path) = (new.at("nodeTopology"), Path::new("nodeTopology"));
        let mut warnings = Vec::new();
        for (index, rule) in topology.items("matchExpressions").iter().enumerate() {
            let key = rule.text("key");
            if let Some(why) = old_label(key) {
                let path = path.child("matchExpressions").index(index).child("key");
                warnings.push(format!("{path}: {key} is {why}"));
            }
        }
        for (label, _) in topology.entries("matchLabels") {
            if let Some(why) = old_label(label) {
                warnings.push(format!("{}: {why}", path.child("matchLabels").child(label)));
            }
        }
        warnings
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::{assert_problems, texts};
    use crate::print::tests::row;

    fn capacity() -> Value {
        json!({
            "metadata": {"name": "c"}, "storageClassName": "fast", "capacity": "1024Mi",
            "nodeTopology": {"matchLabels": {"zone": "a"}},
        })
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            (
                "/nodeTopology/matchExpressions/0",
                json!({"key": "a", "operator": "Near"}),
                vec![
                    "nodeTopology.matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator",
                ],
            ),
            (
                "/capacity",
                json!("-1"),
                vec!["capacity: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
        ];
        let check = |new: &Tree| CsiStorageCapacity.validate(new, &Context::default());
        assert_problems(&capacity(), check, cases);
        let unnamed = texts(&check(&json!({})));
        assert!(
            unnamed[0].starts_with("storageClassName: Invalid value: \"\": a lowercase RFC 1123 subdomain")
        );
    }

    #[test]
    fn what_was_asked_stays() {
        let old = capacity();
        let cases = [
            (
                "/nodeTopology/matchLabels/zone",
                json!("b"),
                vec!["nodeTopology: Invalid value: {\"matchLabels\":{\"zone\":\"b\"}}: field is immutable"],
            ),
            (
                "/storageClassName",
                json!("slow"),
                vec!["storageClassName: Invalid value: \"slow\": field is immutable"],
            ),
            ("/capacity", json!("5Gi"), vec![]),
        ];
        let check = |new: &Tree| CsiStorageCapacity.validate_update(new, &old, &Context::default());
        assert_problems(&old, check, cases);
    }

    #[test]
    fn capacities_print_and_warn_as_upstream() {
        let mut object = capacity();
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "c|fast|1Gi");
        object["capacity"] = json!(null);
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "c|fast|<unset>");
        object["nodeTopology"] = json!({
            "matchLabels": {"beta.kubernetes.io/os": "linux"},
            "matchExpressions": [{"key": "beta.kubernetes.io/arch", "operator": "Exists"}],
        });
        let want = [
            "nodeTopology.matchExpressions[0].key: beta.kubernetes.io/arch is deprecated since v1.14; use \"kubernetes.io/arch\" instead",
            "nodeTopology.matchLabels.beta.kubernetes.io/os: deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ];
        assert_eq!(CsiStorageCapacity.warnings(&object, None, &Context::default()), want);
    }
}
