//! Resource claim templates.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::{GROUP, admin, claimspec};
use crate::checks::immutable;
use crate::core::claimspec::only_labels_and_annotations;
use crate::print;
use crate::resource::Resource;
use crate::tree::{Read, Write};
use crate::{Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ResourceClaimTemplate",
    plural: "resourceclaimtemplates",
    singular: "resourceclaimtemplate",
    definition: "io.k8s.api.resource.v1.ResourceClaimTemplate",
    storage: "resourceclaimtemplates",
    strategy: &ResourceClaimTemplate,
    columns: &[print::NAME, print::AGE],
    ..GROUP
};

struct ResourceClaimTemplate;

impl ResourceClaimTemplate {
    fn drop_disabled(tree: &mut Tree, old: &Tree) {
        if let Some(spec) = tree.part_mut("spec").and_then(|spec| spec.part_mut("spec")) {
            claimspec::drop_disabled(spec, old.at("spec.spec"));
        }
    }
}

impl Strategy for ResourceClaimTemplate {
    fn apply_defaults(&self, tree: &mut Tree) {
        if let Some(spec) = tree.object_mut("spec").and_then(|spec| spec.object_mut("spec")) {
            claimspec::defaults(spec);
        }
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        Self::drop_disabled(tree, &Tree::Null);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        Self::drop_disabled(new, old);
    }

    fn reads_namespace(&self) -> bool {
        true
    }

    fn validate(&self, tree: &Tree, context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        admin::requests(&mut found, tree.at("spec.spec"), context);
        found.extend(check(tree));
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        let mut found = check(new);
        immutable(&mut found, Path::new("spec"), new.at("spec"), old.at("spec"));
        found
    }
}

fn check(template: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let path = Path::new("spec");
    only_labels_and_annotations(&mut found, template.at("spec.metadata"), &path.child("metadata"));
    claimspec::validate(&mut found, template.at("spec.spec"), &path.child("spec"));
    found
}
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::{assert_problems, texts};

    #[test]
    fn templates_are_checked_and_stay() {
        let context = Context::default();
        let mut old = json!({"spec": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}},
        }});
        ResourceClaimTemplate.apply_defaults(&mut old);
        assert_eq!(old["spec"]["spec"]["devices"]["requests"][0]["exactly"]["count"], 1);
        let cases = [
            ("/spec/metadata/name", json!("x"), vec!["spec.metadata.name: Forbidden: cannot be set"]),
            (
                "/spec/spec/devices/requests/0/exactly/deviceClassName",
                json!(""),
                vec!["spec.spec.devices.requests[0].exactly.deviceClassName: Required value"],
            ),
        ];
        assert_problems(&old, |new| ResourceClaimTemplate.validate(new, &context), cases);
        let mut new = old.clone();
        new["spec"]["metadata"]["labels"]["a"] = json!("c");
        let got = texts(&ResourceClaimTemplate.validate_update(&new, &old, &context));
        assert!(got.len() == 1 && got[0].ends_with("}: field is immutable"), "{got:?}");
    }
}
