//! The defaults in a schema: they follow the schema themselves and have no field that would be pruned.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{any, prune, structural, value};
use crate::tree::Read;

/// The problems of every default in a structural schema. `pruned` says whether unknown fields are one.
///
/// A default that breaks a rule of `x-kubernetes-validations` is found by running the rules (see the module above).
pub fn problems(schema: &Tree, path: &Path, pruned: bool) -> ErrorList {
    let mut found = ErrorList::new();
    walk(&mut found, schema, path, true, false, pruned);
    found
}

/// Whether there is any default.
pub fn has_any(schema: &Tree) -> bool {
    any(schema, &mut |schema| schema.has("default"))
}

/// Whether no default of a structural schema has an unknown field.
pub fn are_pruned(schema: &Tree) -> bool {
    !has_any(schema)
        || !structural::is_structural(schema)
        || problems(schema, &Path::root(), true).len() == problems(schema, &Path::root(), false).len()
}

fn walk(found: &mut ErrorList, schema: &Tree, path: &Path, root: bool, in_meta: bool, pruned: bool) {
    let embedded = root || schema.flag("x-kubernetes-embedded-resource");
    let in_meta = in_meta && !embedded;
    let default = schema.at("default");
    if !default.is_null() {
        let at = path.child("default");
        if pruned && !in_meta && is_cut(default, schema, embedded) {
            found.push(Error::invalid(at.clone(), default.clone(), "must not have unknown fields"));
        }
        let mut problems = if embedded { resource(default, &at) } else { ErrorList::new() };
        if problems.is_empty() {
            problems = value::default_problems(default, schema, &at);
        }
        found.append(&mut problems);
    }
    if schema.at("items").is_object() {
        walk(found, schema.at("items"), &path.child("items"), false, in_meta, pruned);
    }
    for (name, property) in schema.entries("properties") {
        let meta = in_meta || (embedded && matches!(name, "metadata" | "apiVersion" | "kind"));
        walk(found, property, &path.child("properties").key(name), false, meta, pruned);
    }
}

fn is_cut(default: &Tree, schema: &Tree, embedded: bool) -> bool {
    let mut cut = default.clone();
    prune::prune(&mut cut, schema, embedded);
    cut != *default
}

/// A whole resource as a default says what it is.
fn resource(default: &Tree, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    for field in ["apiVersion", "kind"] {
        if default.is_object() && default.text(field).is_empty() {
            found.push(Error::required(path.child(field), ""));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::tests::texts;

    #[test]
    fn defaults_follow_their_schema() {
        let field = |schema: Tree| json!({"type": "object", "properties": {"f": schema}});
        let cases: Vec<(Tree, Vec<&str>)> = vec![
            (json!({"type": "string", "default": "x"}), vec![]),
            (
                json!({"type": "object", "default": {"a": 1}, "properties": {"a": {"type": "integer"}}}),
                vec![],
            ),
            (
                json!({"type": "string", "default": 1}),
                vec![
                    "s.properties[f].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
                ],
            ),
            (
                json!({"type": "object", "default": {"a": 1}}),
                vec!["s.properties[f].default: Invalid value: {\"a\":1}: must not have unknown fields"],
            ),
            (
                json!({"type": "array", "items": {"type": "integer", "minimum": 2, "default": 1}}),
                vec![
                    "s.properties[f].items.default: Invalid value: 1:  in body should be greater than or equal to 2",
                ],
            ),
            (
                json!({"type": "object", "x-kubernetes-embedded-resource": true, "default": {"kind": "K"},
                    "x-kubernetes-preserve-unknown-fields": true}),
                vec!["s.properties[f].default.apiVersion: Required value"],
            ),
        ];
        for (schema, want) in cases {
            assert_eq!(texts(&problems(&field(schema.clone()), &Path::new("s"), true)), want, "{schema}");
        }
        let cut = field(json!({"type": "object", "default": {"a": 1}}));
        assert!(!are_pruned(&cut) && problems(&cut, &Path::new("s"), false).is_empty());
        assert!(are_pruned(&field(json!({"type": "string"}))));
    }
}
