//! Structural schemas: the type of every value is said outside of `allOf`, `anyOf`, `oneOf` and `not`, which only
//! restrict values (KEP-1979).

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{any, pattern};
use crate::tree::{Read, Write, same};

/// What keeps a schema from being read as a structural one at all.
pub fn unreadable(schema: &Tree) -> Option<String> {
    let mut why = None;
    any(schema, &mut |schema| {
        why = unsupported(schema);
        why.is_some()
    });
    why
}

fn unsupported(schema: &Tree) -> Option<String> {
    let fields =
        ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    let empty = |value: &Tree| same(value, &Tree::Null) && !value.is_boolean();
    if let Some(field) = fields.into_iter().find(|field| !empty(schema.at(field))) {
        let field = if field == "$schema" { "schema" } else { field };
        return Some(format!("OpenAPIV3Schema '{field}' is not supported"));
    }
    if schema.at("x-kubernetes-preserve-unknown-fields") == &Tree::Bool(false) {
        let why = "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
        return Some(why.to_owned());
    }
    let list = !schema.items("items").is_empty();
    list.then(|| "OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned())
}

/// The problems of a readable schema, sorted by their text.
pub fn problems(schema: &Tree, path: &Path) -> ErrorList {
    let mut found = ErrorList::new();
    invariants(&mut found, schema, Level::Root, path);
    junctors(schema, path, &mut |clause, at| complete_clause(&mut found, clause, schema, path, &at));
    found.sort_by_cached_key(ToString::to_string);
    found
}

/// Whether a schema is read and has no problem.
pub fn is_structural(schema: &Tree) -> bool {
    unreadable(schema).is_none() && problems(schema, &Path::root()).is_empty()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

fn invariants(found: &mut ErrorList, schema: &Tree, level: Level, path: &Path) {
    let (kind, items) = (schema.text("type"), schema.at("items"));
    if kind == "array" && items.is_null() {
        found.push(Error::required(path.child("items"), "must be specified"));
    }
    if items.is_object() {
        invariants(found, items, Level::Item, &path.child("items"));
    }
    for (name, property) in schema.entries("properties") {
        invariants(found, property, Level::Field, &path.child("properties").key(name));
    }
    let (more, at) = (schema.at("additionalProperties"), path.child("additionalProperties"));
    if !more.is_null() && level == Level::Root {
        found.push(Error::forbidden(at.clone(), "must not be used at the root"));
    }
    if more.is_object() {
        invariants(found, more, Level::Field, &at);
    }
    extensions(found, schema, path);
    let int_or_string = json!([{"type": "integer"}, {"type": "string"}]);
    let is_pattern =
        |list: &Tree| list.as_array().is_some_and(|l| l.len() == 2) && same(list, &int_or_string);
    let skip_any = is_pattern(schema.at("anyOf"));
    let skip_first = schema.items("allOf").first().is_some_and(|first| is_pattern(first.at("anyOf")));
    values(found, schema, skip_any, skip_first, path);
    types(found, schema, level, path);
    metadata(found, schema, level, path);
    if schema.flag(EMBEDDED) && !schema.flag(PRESERVE) && schema.entries("properties").next().is_none() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        found.push(Error::required(path.child("properties"), why));
    }
}

fn extensions(found: &mut ErrorList, schema: &Tree, path: &Path) {
    for field in [PRESERVE, EMBEDDED] {
        if schema.flag(INT_OR_STRING) && schema.flag(field) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            found.push(Error::invalid(path.child(field), true, why));
        }
    }
}

fn types(found: &mut ErrorList, schema: &Tree, level: Level, path: &Path) {
    let (kind, at) = (schema.text("type"), path.child("type"));
    let embedded = schema.flag(EMBEDDED);
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        found.push(match kind {
            "" => Error::required(at.clone(), why),
            kind => Error::invalid(at.clone(), kind, why),
        });
    } else if kind.is_empty() && !schema.flag(INT_OR_STRING) && !schema.flag(PRESERVE) {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        found.push(Error::required(at.clone(), why));
    }
    if embedded && schema.has("additionalProperties") {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        found.push(Error::forbidden(path.child("additionalProperties"), why));
    }
    if level == Level::Root && !matches!(kind, "" | "object") {
        found.push(Error::invalid(at, kind, "must be object at the root"));
    }
}

/// What a schema says of `kind`, `apiVersion` and `metadata`, which every object has anyway.
fn metadata(found: &mut ErrorList, schema: &Tree, level: Level, path: &Path) {
    let (properties, path) = (schema.at("properties"), path.child("properties"));
    let checked = level == Level::Root || schema.flag(EMBEDDED);
    for name in ["kind", "apiVersion"] {
        if let Some(property) = properties.get(name).filter(|_| checked)
            && property.text("type") != "string"
        {
            let at = path.key(name).child("type");
            found.push(Error::invalid(at, property.text("type"), "must be string"));
        }
    }
    let Some(metadata) = properties.get("metadata") else { return };
    let path = path.key("metadata");
    if checked && metadata.text("type") != "object" {
        found.push(Error::invalid(path.child("type"), metadata.text("type"), "must be object"));
    }
    if level == Level::Root && says_anything(&beyond_names(metadata)) {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        found.push(Error::forbidden(path, why));
    }
}

/// Whether a schema says anything; a limit of zero is something.
fn says_anything(schema: &Tree) -> bool {
    schema.entries("").any(|(_, value)| value.is_number() || !same(value, &Tree::Null))
}

/// What a schema of metadata says beside its type and the two names.
fn beyond_names(metadata: &Tree) -> Tree {
    let mut rest = metadata.clone();
    for field in ["type", "default"] {
        rest.remove(field);
    }
    if metadata.entries("properties").all(|(name, _)| matches!(name, "name" | "generateName")) {
        rest.remove("properties");
    }
    rest
}

/// Calls `visit` with each clause of `allOf`, `anyOf`, `oneOf` and `not`, and its path.
fn junctors<'a>(schema: &'a Tree, path: &Path, visit: &mut dyn FnMut(&'a Tree, Path)) {
    for field in ["anyOf", "allOf", "oneOf"] {
        for (index, clause) in schema.items(field).iter().enumerate() {
            visit(clause, path.child(field).index(index));
        }
    }
    if schema.at("not").is_object() {
        visit(schema.at("not"), path.child("not"));
    }
}

/// Checks what restricts values. The skipped clauses are those of the two ways to write "integer or string".
fn values(found: &mut ErrorList, schema: &Tree, skip_any: bool, skip_first_all: bool, path: &Path) {
    let (any_of, first) = (path.child("anyOf"), path.child("allOf").index(0));
    let skipped: Vec<Path> = (0..2).map(|index| any_of.index(index)).collect();
    junctors(schema, path, &mut |clause, at| {
        if !(skip_any && skipped.contains(&at)) {
            nested(found, clause, skip_first_all && at == first, &at);
        }
    });
    let text = schema.text("pattern");
    if let Err(why) = pattern::compile(text) {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        found.push(Error::invalid(path.child("pattern"), text, why));
    }
}

/// What a clause may not say.
const FORBIDDEN: [(&str, &str); 13] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (PRESERVE, "must be false to be structural"),
    (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

fn nested(found: &mut ErrorList, clause: &Tree, skip_any: bool, path: &Path) {
    values(found, clause, skip_any, false, path);
    if clause.at("items").is_object() {
        nested(found, clause.at("items"), false, &path.child("items"));
    }
    for (name, property) in clause.entries("properties") {
        nested(found, property, false, &path.child("properties").key(name));
    }
    for (field, why) in FORBIDDEN {
        let value = clause.at(field);
        let given = match field {
            // A default may be false or nothing; a schema may be empty.
            "default" => !value.is_null(),
            "additionalProperties" => value.is_object() || value == &Tree::Bool(true),
            _ => !same(value, &Tree::Null),
        };
        if given {
            found.push(Error::forbidden(path.child(field), why));
        }
    }
    if clause.at("properties").get("metadata").is_some() {
        let at = path.child("properties").key("metadata");
        found.push(Error::forbidden(at, "must not be specified in a nested context"));
    }
}

/// Reports what a clause restricts though the schema outside does not say that it exists.
fn complete_clause(found: &mut ErrorList, clause: &Tree, schema: &Tree, path: &Path, clause_path: &Path) {
    junctors(clause, clause_path, &mut |inner, at| complete_clause(found, inner, schema, path, &at));
    let mut pair = |inner: &Tree, counterpart: Option<&Tree>, at: Path, inner_at: Path| match counterpart {
        Some(counterpart) => complete_clause(found, inner, counterpart, &at, &inner_at),
        None => found.push(Error::required(at, format!("because it is defined in {inner_at}"))),
    };
    if clause.at("items").is_object() {
        let items = Some(schema.at("items")).filter(|items| items.is_object());
        pair(clause.at("items"), items, path.child("items"), clause_path.child("items"));
    }
    for (name, property) in clause.entries("properties") {
        let at = |path: &Path| path.child("properties").key(name);
        pair(property, schema.at("properties").get(name), at(path), at(clause_path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    fn check(schema: Tree) -> Vec<String> {
        texts(&problems(&schema, &Path::new("s")))
    }

    fn field(schema: Tree) -> Vec<String> {
        check(json!({"type": "object", "properties": {"f": schema}}))
    }

    #[test]
    fn types_are_said_outside() {
        assert!(field(json!({"type": "string", "pattern": "^a+$", "anyOf": [{"minLength": 1}]})).is_empty());
        assert!(
            field(json!({INT_OR_STRING: true, "anyOf": [{"type": "integer"}, {"type": "string"}]}))
                .is_empty()
        );
        assert!(
            field(
                json!({INT_OR_STRING: true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]},
                {"minLength": 1}]})
            )
            .is_empty()
        );
        assert!(field(json!({PRESERVE: true})).is_empty());
        let cases: Vec<(Tree, Vec<&str>)> = vec![
            (json!({}), vec!["s.type: Required value: must not be empty at the root"]),
            (
                json!({"type": "string"}),
                vec!["s.type: Invalid value: \"string\": must be object at the root"],
            ),
            (
                json!({"type": "object", "additionalProperties": {}}),
                vec![
                    "s.additionalProperties.type: Required value: must not be empty for specified object fields",
                    "s.additionalProperties: Forbidden: must not be used at the root",
                ],
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "array", "items": {}}}}),
                vec![
                    "s.properties[a].items: Required value: must be specified",
                    "s.properties[b].items.type: Required value: must not be empty for specified array items",
                ],
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "["}}}),
                vec![
                    "s.properties[a].pattern: Invalid value: \"[\": must be a valid regular expression, but isn't: error parsing regexp: missing closing ]: `[`",
                ],
            ),
            (
                json!({"type": "object", "properties": {"kind": {"type": "integer"}, "metadata": {"type": "object",
                    "properties": {"labels": {"type": "object"}}}}}),
                vec![
                    "s.properties[kind].type: Invalid value: \"integer\": must be string",
                    "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
                ],
            ),
        ];
        for (schema, want) in cases {
            assert_eq!(check(schema.clone()), want, "{schema}");
        }
        let names = json!({"type": "object", "properties": {"name": {"type": "string", "pattern": "a"}}});
        assert!(check(json!({"type": "object", "properties": {"metadata": names}})).is_empty());
    }

    #[test]
    fn extensions_fit_together() {
        let cases: Vec<(Tree, Vec<&str>)> = vec![
            (json!({"type": "object", EMBEDDED: true, PRESERVE: true}), vec![]),
            (
                json!({INT_OR_STRING: true, PRESERVE: true}),
                vec![
                    "s.properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
                ],
            ),
            (
                json!({EMBEDDED: true}),
                vec![
                    "s.properties[f].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
                    "s.properties[f].type: Required value: must be object if x-kubernetes-embedded-resource is true",
                ],
            ),
            (
                json!({"type": "object", EMBEDDED: true, PRESERVE: true, "additionalProperties": true,
                    "properties": {"metadata": {"type": "string"}}}),
                vec![
                    "s.properties[f].additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set",
                    "s.properties[f].properties[metadata].type: Invalid value: \"string\": must be object",
                ],
            ),
        ];
        for (schema, want) in cases {
            assert_eq!(field(schema.clone()), want, "{schema}");
        }
    }

    #[test]
    fn clauses_only_restrict() {
        let clause = json!({"type": "string", "additionalProperties": {}, "default": false, "title": "t",
            "description": "d", "nullable": true, PRESERVE: true, EMBEDDED: true, INT_OR_STRING: true,
            "x-kubernetes-list-map-keys": ["a"], "x-kubernetes-list-type": "map", "x-kubernetes-map-type": "atomic",
            "x-kubernetes-validations": [{"rule": "true"}]});
        let got = check(json!({"type": "object", "allOf": [clause]}));
        let mut want: Vec<String> =
            FORBIDDEN.iter().map(|(field, why)| format!("s.allOf[0].{field}: Forbidden: {why}")).collect();
        want.sort();
        assert_eq!(got, want);
        let got =
            check(json!({"type": "object", "not": {"properties": {"metadata": {}, "a": {"items": {}}}},
            "properties": {"a": {"type": "array"}}}));
        let want = [
            "s.not.properties[metadata]: Forbidden: must not be specified in a nested context",
            "s.properties[a].items: Required value: because it is defined in s.not.properties[a].items",
            "s.properties[a].items: Required value: must be specified",
            "s.properties[metadata]: Required value: because it is defined in s.not.properties[metadata]",
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn some_schemas_cannot_be_read() {
        let read = |schema: Tree| unreadable(&json!({"properties": {"a": schema}})).unwrap_or_default();
        assert_eq!(read(json!({"type": "string"})), "");
        assert_eq!(read(json!({"$schema": "x"})), "OpenAPIV3Schema 'schema' is not supported");
        assert_eq!(
            read(json!({"additionalItems": false})),
            "OpenAPIV3Schema 'additionalItems' is not supported"
        );
        assert_eq!(read(json!({"items": [{}]})), "OpenAPIV3Schema 'items' must be a schema, but is an array");
        assert!(read(json!({PRESERVE: false})).starts_with("internal error: "));
    }
}
