//! Bindings of mutating admission policies.

use super::GROUP;
use super::bindings::{self, Binding};
use super::matching::mutable_operations;
use crate::resource::Resource;
use crate::tree::Read;

pub(crate) const RESOURCE: Resource = Resource {
    kind: "MutatingAdmissionPolicyBinding",
    plural: "mutatingadmissionpolicybindings",
    singular: "mutatingadmissionpolicybinding",
    definition: "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    storage: "mutatingadmissionpolicybindings",
    strategy: &BINDING,
    columns: bindings::COLUMNS,
    ..GROUP
};

const BINDING: Binding = Binding {
    own: |found, spec, path| {
        mutable_operations(found, spec.at("matchResources"), &path.child("matchResources"));
    },
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admissionregistration::policies::tests::constraints;
    use crate::checks::tests::texts;

    #[test]
    fn deletions_cannot_be_changed() {
        let mut object = json!({"spec": {"policyName": "p", "matchResources": constraints()}});
        assert!(BINDING.problems(&object).is_empty());
        object["spec"]["matchResources"]["resourceRules"][0]["operations"] = json!(["DELETE"]);
        let want = "spec.matchResources.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"";
        assert_eq!(texts(&BINDING.problems(&object)), [want]);
    }
}
