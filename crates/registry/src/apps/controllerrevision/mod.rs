//! Controller revisions: what a stateful or daemon set was, kept for rolling back. They never change.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{IMMUTABLE, not_negative};
use crate::print::{self, integer_of};
use crate::resource::Resource;
use crate::tree::Read;
use crate::{Column, Context, Strategy, table};

pub(crate) const RESOURCE: Resource = Resource {
    group: "apps",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    definition: "io.k8s.api.apps.v1.ControllerRevision",
    storage: "controllerrevisions",
    strategy: &ControllerRevision,
    columns: COLUMNS,
    ..table::BASE
};

const COLUMNS: &[Column] = &[
    print::NAME,
    print::text("Controller", 0, "What it is a revision of.", |object, _| controller(object).into()),
    print::text("Revision", 0, "Its number.", |object, _| integer_of(object, "revision")),
    print::AGE,
];

/// The controller with its kind and group: `statefulset.apps/web`.
fn controller(object: &Tree) -> String {
    let owners = object.items("metadata.ownerReferences");
    let Some(owner) = owners.iter().find(|owner| owner.flag("controller")) else {
        return "<none>".to_owned();
    };
    let kind = owner.text("kind");
    let full = match owner.text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    };
    format!("{}/{}", full.to_lowercase(), owner.text("name"))
}

struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, tree: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        not_negative(&mut found, tree, &Path::root(), &["revision"]);
        match tree.at("data") {
            Tree::Object(_) => {}
            Tree::Null => found.push(Error::required(Path::new("data"), "data is mandatory")),
            _ => found.push(Error::required(Path::new("data"), "data must be a valid JSON object")),
        }
        found
    }

    fn validate_update(&self, new: &Tree, old: &Tree, _context: &Context) -> ErrorList {
        let mut found = ErrorList::new();
        not_negative(&mut found, new, &Path::root(), &["revision"]);
        // Data is opaque: an absent field is not the same as an empty one.
        if new.at("data") != old.at("data") {
            found.push(Error::invalid(Path::new("data"), new.at("data").clone(), IMMUTABLE));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;
    use crate::print::tests::row;

    fn context() -> Context {
        Context::default()
    }

    #[test]
    fn revisions_print_as_upstream() {
        let mut object = json!({
            "metadata": {"name": "web-1", "creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "controller": true}]},
            "revision": 4,
        });
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "web-1|statefulset.apps/web|4|10s");
        object["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(row(COLUMNS, &object, "2026-01-01T00:00:10Z"), "web-1|<none>|4|10s");
    }

    #[test]
    fn data_is_an_object() {
        let cases = [
            (json!({"data": {}}), vec![]),
            (json!({"data": null}), vec!["data: Required value: data is mandatory"]),
            (json!({"data": []}), vec!["data: Required value: data must be a valid JSON object"]),
            (
                json!({"data": {}, "revision": -1}),
                vec!["revision: Invalid value: -1: must be greater than or equal to 0"],
            ),
        ];
        for (tree, want) in cases {
            assert_eq!(texts(&ControllerRevision.validate(&tree, &context())), want);
        }
    }

    #[test]
    fn data_stays() {
        let (old, new) = (json!({"data": {"a": 1}}), json!({"revision": 2, "data": {"a": 1, "b": ""}}));
        let want = ["data: Invalid value: {\"a\":1,\"b\":\"\"}: field is immutable"];
        assert_eq!(texts(&ControllerRevision.validate_update(&new, &old, &context())), want);
        assert!(ControllerRevision.validate_update(&old, &old, &context()).is_empty());
    }
}
