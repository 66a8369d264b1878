//! The schemas of custom resources (`JSONSchemaProps`): what a schema may say, and what values follow it. All of it is
//! pure; serving custom resources uses the same functions that check a definition.
//!
//! Compiling the rules of `x-kubernetes-validations` and running them needs a CEL compiler, which this crate does not
//! have: [`openapi::problems`] checks what surrounds a rule, and [`rules`] lists those that a compiler must see.

pub mod defaults;
pub mod openapi;
pub mod paths;
pub mod prune;
pub mod structural;
pub mod value;

mod formats;
mod pattern;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::Path;

pub use formats::is_known_format;

use crate::tree::Read;

/// Whether a schema or any that is in it fulfils `test`; does not look further then.
pub fn any(schema: &Tree, test: &mut dyn FnMut(&Tree) -> bool) -> bool {
    if !schema.is_object() {
        return false;
    }
    if test(schema) {
        return true;
    }
    let items = schema.at("items");
    let single = [items, schema.at("not"), schema.at("additionalProperties"), schema.at("additionalItems")];
    let lists = [items.as_array(), schema.at("allOf").as_array(), schema.at("anyOf").as_array()];
    let lists = lists.into_iter().chain([schema.at("oneOf").as_array()]).flatten().flatten();
    let maps = ["properties", "patternProperties", "definitions", "dependencies"];
    let maps = maps.into_iter().flat_map(|map| schema.entries(map).map(|(_, inner)| inner));
    single.into_iter().chain(lists).chain(maps).any(|inner| any(inner, test))
}

/// The values (`properties`, `items`, `additionalProperties`) of a schema, each with its path.
fn parts<'a>(schema: &'a Tree, path: &Path) -> Vec<(&'a Tree, Path)> {
    let mut parts = Vec::new();
    for field in ["items", "additionalProperties"] {
        if schema.at(field).is_object() {
            parts.push((schema.at(field), path.child(field)));
        }
    }
    for (name, property) in schema.entries("properties") {
        parts.push((property, path.child("properties").key(name)));
    }
    parts
}

/// Every rule of `x-kubernetes-validations` that applies to values, with its path and the schema that it is in.
pub fn rules<'a>(schema: &'a Tree, path: &Path) -> Vec<(&'a Tree, Path, &'a Tree)> {
    let own = schema.items("x-kubernetes-validations").iter().enumerate();
    let at = path.child("x-kubernetes-validations");
    let mut all: Vec<_> = own.map(|(index, rule)| (rule, at.index(index), schema)).collect();
    for (part, path) in parts(schema, path) {
        all.extend(rules(part, &path));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_schema_inside_is_visited() {
        let schema = json!({
            "items": {"title": "1"}, "not": {"title": "2"}, "additionalProperties": {"title": "3"},
            "allOf": [{"title": "4"}], "anyOf": [{"title": "5"}], "oneOf": [{"title": "6"}],
            "properties": {"a": {"items": [{"title": "7"}]}}, "definitions": {"d": {"title": "8"}},
        });
        let mut seen = Vec::new();
        any(&schema, &mut |schema| {
            seen.extend(schema.get("title").cloned());
            false
        });
        assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(any(&schema, &mut |schema| schema.text("title") == "7"));
    }

    #[test]
    fn rules_are_found_at_their_places() {
        let schema = json!({"x-kubernetes-validations": [{"rule": "a"}],
            "properties": {"p": {"items": {"x-kubernetes-validations": [{"rule": "b"}, {"rule": "c"}]}}}});
        let all: Vec<String> = rules(&schema, &Path::new("s"))
            .into_iter()
            .map(|(rule, path, _)| format!("{path}={}", rule.text("rule")))
            .collect();
        let want = [
            "s.x-kubernetes-validations[0]=a",
            "s.properties[p].items.x-kubernetes-validations[0]=b",
            "s.properties[p].items.x-kubernetes-validations[1]=c",
        ];
        assert_eq!(all, want);
    }
}
