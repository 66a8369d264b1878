//! Device classes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};
use steersman_apimachinery::names::qualified_name_problems;

use super::GROUP;
use super::checks::{configuration, limited, selectors};
use super::claimspec::MAX_CONFIGS;
use crate::checks::invalid;
use crate::print;
use crate::resource::{Resource, Scope};
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::{Read, Write};
use crate::{Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "DeviceClass",
    plural: "deviceclasses",
    singular: "deviceclass",
    scope: Scope::Cluster,
    definition: "io.k8s.api.resource.v1.DeviceClass",
    storage: "deviceclasses",
    strategy: &DeviceClass,
    columns: &[print::NAME, print::AGE],
    ..GROUP
};

struct DeviceClass;

impl Strategy for DeviceClass {
    fn apply_defaults(&self, tree: &mut Tree) {
        tree.object_mut("spec");
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        check(tree, false)
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        check(new, !differs(new, old, "spec.config"))
    }
}

/// `stored` configurations are as they were before.
fn check(class: &Tree, stored: bool) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (class.at("spec"), Path::new("spec"));
    selectors(&mut found, spec, &path);
    limited(&mut found, spec.items("config"), MAX_CONFIGS, &path.child("config"), |found, config, path| {
        configuration(found, config, path, stored)
    });
    if let Some(name) = spec.at("extendedResourceName").as_str() {
        extended_resource_name(&mut found, name, &path.child("extendedResourceName"));
    }
    found
}

/// The name of a resource that pods can ask for without a claim.
fn extended_resource_name(found: &mut ErrorList, name: &str, path: &Path) {
    let mut wrong = |why: &str| invalid(found, path, name, vec![why.to_owned()]);
    if !name.contains('/') {
        wrong("a name must be a domain-prefixed path, such as 'example.com/my-prop'");
    } else if name.contains("kubernetes.io/") {
        wrong("must not have \"kubernetes.io/\" domain");
    }
    if name.starts_with("requests.") {
        wrong("must not have \"requests.\" prefix");
    }
    invalid(found, path, name, qualified_name_problems(&format!("requests.{name}")));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    fn class() -> Value {
        json!({"metadata": {"name": "gpu"}, "spec": {
            "selectors": [{"cel": {"expression": "device.driver == 'd'"}}],
            "config": [{"opaque": {"driver": "d", "parameters": {"a": "x"}}}],
            "extendedResourceName": "example.com/gpu",
        }})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let cases = [
            ("/spec/selectors/0/cel", json!(null), vec!["spec.selectors[0].cel: Required value"]),
            ("/spec/config/0/opaque", json!(null), vec!["spec.config[0].opaque: Required value"]),
            (
                "/spec/extendedResourceName",
                json!("gpu"),
                vec![
                    "spec.extendedResourceName: Invalid value: \"gpu\": a name must be a domain-prefixed path, such as 'example.com/my-prop'",
                ],
            ),
            (
                "/spec/extendedResourceName",
                json!("kubernetes.io/gpu"),
                vec![
                    "spec.extendedResourceName: Invalid value: \"kubernetes.io/gpu\": must not have \"kubernetes.io/\" domain",
                ],
            ),
            (
                "/spec/extendedResourceName",
                json!("requests.a.io/gpu"),
                vec![
                    "spec.extendedResourceName: Invalid value: \"requests.a.io/gpu\": must not have \"requests.\" prefix",
                ],
            ),
        ];
        assert_problems(&class(), |class| DeviceClass.validate(class, &Context::default()), cases);
    }

    #[test]
    fn a_changed_spec_is_a_new_generation_and_old_parameters_may_be_long() {
        let context = Context::default();
        let mut old = class();
        DeviceClass.prepare_for_create(&mut old, &context);
        old["spec"]["config"][0]["opaque"]["parameters"]["a"] = json!("x".repeat(10 * 1024));
        assert_eq!(texts(&DeviceClass.validate(&old, &context)).len(), 1);
        let mut new = old.clone();
        new["spec"]["extendedResourceName"] = json!(null);
        DeviceClass.prepare_for_update(&mut new, &old, &context);
        assert_eq!(new["metadata"]["generation"], 2);
        assert_eq!(texts(&DeviceClass.validate_update(&new, &old, &context)), Vec::<String>::new());
        new["spec"]["config"][0]["opaque"]["driver"] = json!("e");
        assert_eq!(texts(&DeviceClass.validate_update(&new, &old, &context)).len(), 1);
    }
}
