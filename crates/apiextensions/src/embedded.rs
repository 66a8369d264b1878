//! The rules for whole objects inside of objects (`x-kubernetes-embedded-resource`).

use serde_json::{Map, Value};
use steersman_api::decode::decode_tree;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::gvk::GroupVersion;
use steersman_apimachinery::meta::{self, Object, ObjectMut};
use steersman_apimachinery::names::{dns1035_label_problems, path_segment_problems};

use crate::Schema;
use crate::coerce::object_meta;
use crate::place::Place;
use crate::schema::Node;

impl Schema {
    /// What is wrong with the `apiVersion`, `kind` and `metadata` of embedded resources, on create and on update alike.
    pub fn validate_embedded(&self, object: &Tree) -> ErrorList {
        let mut found = ErrorList::new();
        walk(object, &self.root, &Place::ROOT, &mut found);
        found
    }
}

fn walk(value: &Tree, node: &Node, place: &Place<'_>, found: &mut ErrorList) {
    match value {
        Value::Object(fields) => {
            if node.embedded {
                check_resource(fields, &place.path(), found);
            }
            for (name, value) in fields {
                if let Some(below) = node.property(name) {
                    walk(value, below, &place.field(name), found);
                } else if let Some(below) = node.values() {
                    walk(value, below, &place.key(name), found);
                }
            }
        }
        Value::Array(items) => {
            let Some(below) = &node.items else { return };
            for (i, item) in items.iter().enumerate() {
                walk(item, below, &place.index(i), found);
            }
        }
        _ => {}
    }
}

fn check_resource(fields: &Map<String, Value>, path: &Path, found: &mut ErrorList) {
    let checks: [(&str, fn(&str) -> Option<String>); 2] =
        [("apiVersion", api_version_problem), ("kind", kind_problem)];
    for (name, problem) in checks {
        let at = path.child(name);
        match fields.get(name) {
            None => found.push(Error::required(at, "")),
            Some(Value::String(text)) if text.is_empty() => {
                found.push(Error::invalid(at, "", "must not be empty"));
            }
            Some(Value::String(text)) => {
                found.extend(problem(text).map(|why| Error::invalid(at, text.as_str(), why)));
            }
            Some(other) => found.push(Error::invalid(at, other.clone(), "must be a string")),
        }
    }
    if let Some(metadata) = fields.get("metadata") {
        check_metadata(metadata, path, found);
    }
}

fn api_version_problem(text: &str) -> Option<String> {
    text.parse::<GroupVersion>().err().map(|error| error.to_string())
}

fn kind_problem(text: &str) -> Option<String> {
    let problems = dns1035_label_problems(&text.to_lowercase(), false);
    let why = || format!("may have mixed case, but should otherwise match: {}", problems.join(","));
    (!problems.is_empty()).then(why)
}

/// Metadata is checked as that of a new object. It need not have a name, and is in a namespace if it says so.
fn check_metadata(metadata: &Tree, path: &Path, found: &mut ErrorList) {
    let decoded = match decode_tree(metadata.clone(), object_meta()) {
        Ok(decoded) => decoded.tree,
        Err(error) => {
            found.push(Error::invalid(path.child("metadata"), metadata.clone(), error.to_string()));
            return;
        }
    };
    let mut object = Tree::Object(Map::from_iter([("metadata".to_owned(), decoded)]));
    if object.name().is_empty() {
        object.set("metadata.name", "fakename");
    }
    let namespaced = !object.namespace().is_empty();
    let errors = meta::validate_create(&object, namespaced, &path_segment_problems);
    found
        .extend(errors.into_iter().map(|error| Error { path: path.child(&error.path.to_string()), ..error }));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn embedded_resources_are_objects() {
        let schema =
            Schema::parse(&json!({"type": "object", "properties": {"list": {"type": "array", "items": {
            "type": "object", "x-kubernetes-embedded-resource": true}}}}))
            .unwrap();
        let cases = [
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}}), &[][..]),
            (json!({}), &["list[0].apiVersion: Required value", "list[0].kind: Required value"]),
            (
                json!({"apiVersion": "a/b/c", "kind": "K_"}),
                &[
                    "list[0].apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                    "list[0].kind: Invalid value: \"K_\": may have mixed case, but should otherwise match: a DNS-1035 \
                     label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
                ],
            ),
            (
                json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "a/b"}}),
                &["list[0].metadata.name: Invalid value: \"a/b\": may not contain '/'"],
            ),
        ];
        for (item, want) in cases {
            let errors = schema.validate_embedded(&json!({"list": [item]}));
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(texts, want, "{item}");
        }
    }
}
