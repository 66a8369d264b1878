//! Bindings of validating admission policies.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::GROUP;
use super::bindings::{self, Binding};
use crate::checks::{Seen, known_word};
use crate::resource::Resource;
use crate::tree::Read;

pub(crate) const RESOURCE: Resource = Resource {
    kind: "ValidatingAdmissionPolicyBinding",
    plural: "validatingadmissionpolicybindings",
    singular: "validatingadmissionpolicybinding",
    definition: "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    storage: "validatingadmissionpolicybindings",
    strategy: &BINDING,
    columns: bindings::COLUMNS,
    ..GROUP
};

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

const BINDING: Binding =
    Binding { own: |found, spec, path| actions(found, spec, &path.child("validationActions")) };

fn actions(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let actions = spec.texts("validationActions");
    let mut seen = Seen::default();
    for (index, action) in actions.iter().enumerate() {
        known_word(found, path.index(index), action, &ACTIONS);
        seen.unique(found, path.index(index), action);
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
            response and headers serves no purpose)";
        found.push(Error::invalid(path.clone(), spec.at("validationActions").clone(), why));
    }
    if actions.is_empty() {
        found.push(Error::required(path.clone(), ""));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn actions_go_together() {
        let path = "spec.validationActions";
        let cases: [(Tree, Vec<String>); 5] = [
            (json!(["Deny", "Audit"]), vec![]),
            (json!([]), vec![format!("{path}: Required value")]),
            (json!(["Warn", "Warn"]), vec![format!("{path}[1]: Duplicate value: \"Warn\"")]),
            (
                json!(["Shout"]),
                vec![format!(
                    "{path}[0]: Unsupported value: \"Shout\": supported values: \"Audit\", \"Deny\", \"Warn\""
                )],
            ),
            (
                json!(["Deny", "Warn"]),
                vec![format!(
                    "{path}: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"
                )],
            ),
        ];
        for (actions, want) in cases {
            let object = json!({"spec": {"policyName": "p", "validationActions": actions}});
            assert_eq!(texts(&BINDING.problems(&object)), want);
        }
    }
}
