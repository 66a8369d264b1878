//! The group `admissionregistration.k8s.io`: webhooks and policies that decide about requests.

pub(crate) mod mutatingadmissionpolicy;
pub(crate) mod mutatingadmissionpolicybinding;
pub(crate) mod mutatingwebhookconfiguration;
pub(crate) mod validatingadmissionpolicy;
pub(crate) mod validatingadmissionpolicybinding;
pub(crate) mod validatingwebhookconfiguration;

mod bindings;
mod expressions;
mod matching;
mod policies;
mod rules;
mod webhooks;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, Path};

use crate::resource::{Resource, Scope};
use crate::table;
use crate::tree::Read;

const GROUP: Resource = Resource {
    group: "admissionregistration.k8s.io",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    ..table::BASE
};

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const REINVOCATION_POLICIES: [&str; 2] = ["IfNeeded", "Never"];

/// The end of the names that configuration files of the server have for themselves.
const STATIC_SUFFIX: &str = ".static.k8s.io";
const STATIC_NAME: &str = "names ending with \".static.k8s.io\" are reserved for static manifest-based configurations \
and cannot be managed via the API";

/// The problem of a new object's name.
fn static_name(object: &Tree) -> Option<Error> {
    let name = object.text("metadata.name");
    let path = Path::new("metadata").child("name");
    name.ends_with(STATIC_SUFFIX).then(|| Error::invalid(path, name, STATIC_NAME))
}

/// The same, for an object that has such a name already.
fn static_name_warnings(object: &Tree, old: Option<&Tree>) -> Vec<String> {
    let warned = old.is_some() && object.text("metadata.name").ends_with(STATIC_SUFFIX);
    if warned { vec![format!("metadata.name: {STATIC_NAME}")] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn static_names_are_reserved() {
        let object = json!({"metadata": {"name": "a.static.k8s.io"}});
        let want = format!("metadata.name: Invalid value: \"a.static.k8s.io\": {STATIC_NAME}");
        assert_eq!(static_name(&object).map(|error| error.to_string()), Some(want));
        assert!(static_name_warnings(&object, None).is_empty());
        assert_eq!(static_name_warnings(&object, Some(&object)), [format!("metadata.name: {STATIC_NAME}")]);
        assert!(static_name(&json!({"metadata": {"name": "a"}})).is_none());
    }
}
