//! Storage classes.

mod validation;

use serde_json::Value;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::GROUP;
use crate::core::podspec::warnings::old_label;
use crate::print::{self, or};
use crate::resource::{Resource, Scope};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "StorageClass",
    plural: "storageclasses",
    singular: "storageclass",
    short_names: &["sc"],
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.StorageClass",
    storage: "storageclasses",
    strategy: &StorageClass,
    columns: COLUMNS,
    ..GROUP
};

/// Annotations of the class that claims without a class get.
const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

const DELETE: &str = "Delete";
const IMMEDIATE: &str = "Immediate";

const COLUMNS: &[Column] = &[
    Column { cell: |class, _| name(class), ..print::NAME },
    print::text("Provisioner", 0, "Who makes the volumes.", |class, _| class.text("provisioner").into()),
    print::text("ReclaimPolicy", 0, "What becomes of a released volume.", |class, _| {
        or(class.text("reclaimPolicy"), DELETE).into()
    }),
    print::text("VolumeBindingMode", 0, "When claims are bound.", |class, _| {
        or(class.text("volumeBindingMode"), IMMEDIATE).into()
    }),
    print::text("AllowVolumeExpansion", 0, "Whether claims may grow.", |class, _| {
        class.flag("allowVolumeExpansion").into()
    }),
    print::AGE,
];

fn name(class: &Tree) -> Value {
    let annotations = class.at("metadata.annotations");
    let is_default = IS_DEFAULT.iter().any(|key| annotations.get(*key) == Some(&Tree::from("true")));
    let mark = if is_default { " (default)" } else { "" };
    format!("{}{mark}", class.text("metadata.name")).into()
}

struct StorageClass;

impl Strategy for StorageClass {
    fn apply_defaults(&self, tree: &mut Tree) {
        tree.default_value("reclaimPolicy", DELETE);
        tree.default_value("volumeBindingMode", IMMEDIATE);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }

    fn warnings(&self, new: &Tree, _old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, term) in new.items("allowedTopologies").iter().enumerate() {
            let path = Path::new("allowedTopologies").index(index).child("matchLabelExpressions");
            for (index, rule) in term.items("matchLabelExpressions").iter().enumerate() {
                if let Some(why) = old_label(rule.text("key")) {
                    warnings.push(format!("{}: {why}", path.index(index).child("key")));
                }
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn classes_print_as_upstream() {
        let mut class = json!({
            "metadata": {"name": "fast", "creationTimestamp": "2026-01-01T00:00:00Z"}, "provisioner": "a.b/c",
        });
        let now = "2026-01-01T00:00:10Z";
        assert_eq!(row(COLUMNS, &class, now), "fast|a.b/c|Delete|Immediate|false|10s");
        class["metadata"]["annotations"] = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        class["allowVolumeExpansion"] = json!(true);
        class["volumeBindingMode"] = json!("WaitForFirstConsumer");
        assert_eq!(row(COLUMNS, &class, now), "fast (default)|a.b/c|Delete|WaitForFirstConsumer|true|10s");
    }

    #[test]
    fn old_labels_are_warned_of() {
        let class = json!({"allowedTopologies": [{"matchLabelExpressions": [
            {"key": "zone"}, {"key": "failure-domain.beta.kubernetes.io/zone"}]}]});
        let want = "allowedTopologies[0].matchLabelExpressions[1].key: deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead";
        assert_eq!(StorageClass.warnings(&class, None, &Context::default()), [want]);
    }
}
