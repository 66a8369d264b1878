//! Validating webhook configurations.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;

use super::{GROUP, static_name, static_name_warnings, webhooks};
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::{Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ValidatingWebhookConfiguration",
    plural: "validatingwebhookconfigurations",
    singular: "validatingwebhookconfiguration",
    definition: "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    storage: "validatingwebhookconfigurations",
    strategy: &ValidatingWebhooks,
    columns: webhooks::COLUMNS,
    ..GROUP
};

struct ValidatingWebhooks;

impl Strategy for ValidatingWebhooks {
    fn apply_defaults(&self, tree: &mut Tree) {
        webhooks::defaults(tree, false);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "webhooks");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = webhooks::create(tree);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        webhooks::update(new, old)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn configurations_print_as_upstream() {
        let object = json!({"metadata": {"name": "c", "creationTimestamp": "2026-01-01T00:00:00Z"}, "webhooks": [{}, {}]});
        assert_eq!(row(RESOURCE.columns, &object, "2026-01-01T00:05:00Z"), "c|2|5m");
    }

    #[test]
    fn the_generation_counts_webhooks() {
        let old = json!({"metadata": {"generation": 3}, "webhooks": [{"name": "a"}]});
        let mut new = json!({"metadata": {}, "webhooks": [{"name": "b"}]});
        ValidatingWebhooks.prepare_for_update(&mut new, &old, &Context::default());
        assert_eq!(new["metadata"]["generation"], 4);
        let mut new = json!({"metadata": {"labels": {"a": "b"}}, "webhooks": [{"name": "a"}]});
        ValidatingWebhooks.prepare_for_update(&mut new, &old, &Context::default());
        assert_eq!(new["metadata"]["generation"], 3);
    }
}
