//! CSI drivers.

mod validation;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use super::GROUP;
use crate::print::{self, or};
use crate::resource::{Resource, Scope};
use crate::rules::{count_generation, differs};
use crate::tree::{Read, Write};
use crate::{Column, Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    scope: Scope::Cluster,
    definition: "io.k8s.api.storage.v1.CSIDriver",
    storage: "csidrivers",
    strategy: &CsiDriver,
    columns: COLUMNS,
    ..GROUP
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::boolean("AttachRequired", 0, "Whether volumes are attached first.", |driver, _| {
        driver.at("spec.attachRequired").as_bool().unwrap_or(true).into()
    }),
    print::boolean("PodInfoOnMount", 0, "Whether mounts get the pod's names.", |driver, _| {
        driver.flag("spec.podInfoOnMount").into()
    }),
    print::boolean("StorageCapacity", 0, "Whether capacities are reported.", |driver, _| {
        driver.flag("spec.storageCapacity").into()
    }),
    print::text("TokenRequests", 0, "Audiences of the tokens it gets.", |driver, _| {
        let audiences = driver.items("spec.tokenRequests").iter().map(|request| request.text("audience"));
        match driver.has("spec.tokenRequests") {
            true => audiences.collect::<Vec<_>>().join(",").into(),
            false => "<unset>".into(),
        }
    }),
    print::boolean("RequiresRepublish", 0, "Whether mounts are renewed.", |driver, _| {
        driver.flag("spec.requiresRepublish").into()
    }),
    print::text("Modes", 0, "Kinds of volumes it serves.", |driver, _| {
        or(&driver.texts("spec.volumeLifecycleModes").join(","), "<none>").into()
    }),
    print::AGE,
];

const TOKENS_MAY_LEAK: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true \
to prevent possible logging of tokens in volume attributes";

struct CsiDriver;

impl Strategy for CsiDriver {
    fn apply_defaults(&self, tree: &mut Tree) {
        let Some(spec) = tree.object_mut("spec") else { return };
        spec.default_value("attachRequired", true);
        for field in [
            "podInfoOnMount",
            "storageCapacity",
            "requiresRepublish",
            "seLinuxMount",
            "preventPodSchedulingIfMissing",
        ] {
            spec.default_value(field, false);
        }
        spec.default_value("fsGroupPolicy", "ReadWriteOnceWithFSType");
        if spec.items("volumeLifecycleModes").is_empty() {
            spec.set("volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        validation::create(tree)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        validation::update(new, old)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        let asks = !new.items("spec.tokenRequests").is_empty();
        let asks_anew = asks && old.is_none_or(|old| differs(new, old, "spec.tokenRequests"));
        match asks_anew && !new.has("spec.serviceAccountTokenInSecrets") {
            true => vec![TOKENS_MAY_LEAK.to_owned()],
            false => Vec::new(),
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::tests::row;

    #[test]
    fn drivers_print_as_upstream() {
        let mut driver = json!({"metadata": {"name": "d", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        let now = "2026-01-01T00:00:10Z";
        assert_eq!(row(COLUMNS, &driver, now), "d|true|false|false|<unset>|false|<none>|10s");
        CsiDriver.apply_defaults(&mut driver);
        driver["spec"]["tokenRequests"] = json!([{"audience": "a"}, {"audience": "b"}]);
        driver["spec"]["attachRequired"] = json!(false);
        assert_eq!(row(COLUMNS, &driver, now), "d|false|false|false|a,b|false|Persistent|10s");
    }

    #[test]
    fn a_changed_spec_is_a_new_generation_and_open_tokens_are_warned_of() {
        let mut old = json!({"metadata": {}});
        CsiDriver.apply_defaults(&mut old);
        let mut new = old.clone();
        new["spec"]["tokenRequests"] = json!([{"audience": "a"}]);
        let context = Context::default();
        CsiDriver.prepare_for_update(&mut new, &old, &context);
        assert_eq!(new["metadata"]["generation"], 1);
        assert_eq!(CsiDriver.warnings(&new, Some(&old), &context), [TOKENS_MAY_LEAK]);
        assert_eq!(CsiDriver.warnings(&new, None, &context), [TOKENS_MAY_LEAK]);
        assert!(CsiDriver.warnings(&new, Some(&new), &context).is_empty());
        new["spec"]["serviceAccountTokenInSecrets"] = json!(false);
        assert!(CsiDriver.warnings(&new, None, &context).is_empty());
    }
}
