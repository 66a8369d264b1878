//! Bindings of mutating admission policies.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{ErrorList, Path};

use super::matching::mutable_operations;
use super::{GROUP, bindings, static_name, static_name_warnings};
use crate::resource::Resource;
use crate::rules::{count_generation, differs, set_generation};
use crate::tree::Read;
use crate::{Context, Strategy};

pub(crate) const RESOURCE: Resource = Resource {
    kind: "MutatingAdmissionPolicyBinding",
    plural: "mutatingadmissionpolicybindings",
    singular: "mutatingadmissionpolicybinding",
    definition: "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    storage: "mutatingadmissionpolicybindings",
    strategy: &MutatingBinding,
    columns: bindings::COLUMNS,
    ..GROUP
};

struct MutatingBinding;

impl Strategy for MutatingBinding {
    fn apply_defaults(&self, tree: &mut Tree) {
        bindings::defaults(tree);
    }

    fn prepare_for_create(&self, tree: &mut Tree, _context: &Context) {
        set_generation(tree, 1);
    }

    fn prepare_for_update(&self, new: &mut Tree, old: &Tree, _context: &Context) {
        let changed = differs(new, old, "spec");
        count_generation(new, old, changed);
    }

    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = binding(tree);
        found.extend(static_name(tree));
        found
    }

    fn validate_update(&self, new: &Tree, _old: &Tree, _context: &Context) -> ErrorList {
        binding(new)
    }

    fn warnings(&self, new: &Tree, old: Option<&Tree>, _context: &Context) -> Vec<String> {
        static_name_warnings(new, old)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn binding(binding: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (binding.at("spec"), Path::new("spec"));
    bindings::spec(&mut found, spec, &path);
    mutable_operations(&mut found, spec.at("matchResources"), &path.child("matchResources"));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admissionregistration::policies::tests::constraints;
    use crate::checks::tests::texts;

    #[test]
    fn deletions_cannot_be_changed() {
        let mut object = json!({"spec": {"policyName": "p", "matchResources": constraints()}});
        assert!(binding(&object).is_empty());
        object["spec"]["matchResources"]["resourceRules"][0]["operations"] = json!(["DELETE"]);
        let want = "spec.matchResources.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"";
        assert_eq!(texts(&binding(&object)), [want]);
    }
}
