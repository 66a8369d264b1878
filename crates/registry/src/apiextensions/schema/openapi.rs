//! What a schema of a custom resource may say, beside being structural: types, list and map semantics, and the texts
//! around the rules of `x-kubernetes-validations`.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::{any, paths, structural};
use crate::checks::{Seen, known_word};
use crate::tree::{Read, same};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What is checked though definitions of before the check may lack it.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// Types are those of OpenAPI.
    pub types: bool,
    /// The items of a set are atomic.
    pub atomic_sets: bool,
    /// Keys of a map list are required or have a default, and neither they nor items are nullable.
    pub map_keys: bool,
}

impl Demands {
    /// Everything.
    pub const ALL: Self = Self { types: true, atomic_sets: true, map_keys: true };

    /// What all of these schemas meet.
    pub fn met_by<'a>(schemas: impl Iterator<Item = &'a Tree> + Clone) -> Self {
        let none = |test: fn(&Tree) -> bool| !schemas.clone().any(|schema| any(schema, &mut |s| test(s)));
        Self {
            types: none(|schema| !matches!(schema.text("type"), "") && !TYPES.contains(&schema.text("type"))),
            atomic_sets: none(|schema| {
                schema.text("x-kubernetes-list-type") == "set" && set_items_problem(schema).is_some()
            }),
            map_keys: none(|schema| {
                let mut found = ErrorList::new();
                map_keys(&mut found, schema, &Path::root());
                !found.is_empty()
            }),
        }
    }
}

/// Where in a resource a schema is.
#[derive(Clone, Default)]
struct Place {
    /// Inside `metadata`, `kind` or `apiVersion`, of the resource or of an embedded one.
    meta: bool,
    /// Why there can be no default, if there can be none.
    no_default: Option<String>,
}

/// The problems of the schema of a whole resource.
pub fn problems(schema: &Tree, path: &Path, demands: Demands) -> ErrorList {
    let mut found = ErrorList::new();
    walk(&mut found, schema, path, &Place::default(), true, demands);
    found
}

fn walk(found: &mut ErrorList, schema: &Tree, path: &Path, place: &Place, root: bool, demands: Demands) {
    if !schema.is_object() {
        return;
    }
    unsupported(found, schema, path, place, demands);
    let inside = |found: &mut ErrorList, schema: &Tree, path: Path, place: &Place| {
        walk(found, schema, &path, place, false, demands);
    };
    additional(found, schema, path);
    let mut of_values = place.clone();
    if place.meta {
        of_values.no_default = Some("inside additionalProperties applying to object metadata".to_owned());
    }
    inside(found, schema.at("additionalProperties"), path.child("additionalProperties"), &of_values);
    let embedded = schema.flag("x-kubernetes-embedded-resource");
    for (name, property) in schema.entries("properties") {
        let mut of_property = place.clone();
        if (root || embedded) && matches!(name, "metadata" | "kind" | "apiVersion") {
            of_property.meta = true;
            if root {
                of_property.no_default = Some(format!("in top-level {name}"));
            }
        }
        inside(found, property, path.child("properties").key(name), &of_property);
    }
    inside(found, schema.at("not"), path.child("not"), place);
    for field in ["allOf", "oneOf", "anyOf", "items"] {
        for (index, clause) in schema.items(field).iter().enumerate() {
            inside(found, clause, path.child(field).index(index), place);
        }
    }
    for field in ["definitions", "dependencies"] {
        for (name, inner) in schema.entries(field) {
            inside(found, inner, path.child(field).key(name), place);
        }
    }
    inside(found, schema.at("items"), path.child("items"), place);
    if schema.at("x-kubernetes-preserve-unknown-fields") == &Tree::Bool(false) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        found.push(Error::invalid(at, false, "must be true or undefined"));
    }
    map_type(found, schema, path);
    list_type(found, schema, path, demands);
    map_list(found, schema, path);
    if demands.map_keys {
        map_keys(found, schema, path);
    }
    rules(found, schema, path);
}

/// What no schema may say.
fn unsupported(found: &mut ErrorList, schema: &Tree, path: &Path, place: &Place, demands: Demands) {
    let kind = schema.text("type");
    if demands.types && !kind.is_empty() {
        known_word(found, path.child("type"), kind, &TYPES);
    }
    if schema.has("default")
        && let Some(why) = &place.no_default
    {
        found.push(Error::forbidden(path.child("default"), format!("must not be set {why}")));
    }
    for field in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        let value = schema.at(field);
        if !same(value, &Tree::Null) || value.is_boolean() {
            found.push(Error::forbidden(path.child(field), format!("{field} is not supported")));
        }
    }
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        found.push(Error::forbidden(path.child("type"), why));
    }
    if !schema.items("items").is_empty() {
        let why = "items must be a schema object and not an array";
        found.push(Error::forbidden(path.child("items"), why));
    }
    if place.meta && schema.flag("x-kubernetes-embedded-resource") {
        let at = path.child("x-kubernetes-embedded-resource");
        found.push(Error::forbidden(at, "must not be used inside of resource meta"));
    }
    if schema.flag("uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        found.push(Error::forbidden(path.child("uniqueItems"), why));
    }
}

fn additional(found: &mut ErrorList, schema: &Tree, path: &Path) {
    let more = schema.at("additionalProperties");
    let closed = more.is_object() || more == &Tree::Bool(false);
    if closed && schema.entries("properties").next().is_some() {
        let why = "additionalProperties and properties are mutual exclusive";
        found.push(Error::forbidden(path.child("additionalProperties"), why));
    }
}

/// A type that goes with an extension.
fn needs_type(found: &mut ErrorList, schema: &Tree, path: &Path, wanted: &str, extension: &str) -> bool {
    let (kind, at) = (schema.text("type"), path.child("type"));
    let why = format!("must be {wanted} if {extension} is specified");
    match kind {
        _ if kind == wanted => return true,
        "" => found.push(Error::required(at, why)),
        _ => found.push(Error::invalid(at, kind, why)),
    }
    false
}

fn map_type(found: &mut ErrorList, schema: &Tree, path: &Path) {
    const FIELD: &str = "x-kubernetes-map-type";
    if schema.has(FIELD) {
        needs_type(found, schema, path, "object", FIELD);
        known_word(found, path.child(FIELD), schema.text(FIELD), &["atomic", "granular"]);
    }
}

fn list_type(found: &mut ErrorList, schema: &Tree, path: &Path, demands: Demands) {
    const FIELD: &str = "x-kubernetes-list-type";
    if !schema.has(FIELD) {
        return;
    }
    let kind = schema.text(FIELD);
    if needs_type(found, schema, path, "array", FIELD)
        && demands.atomic_sets
        && kind == "set"
        && let Some(field) = set_items_problem(schema)
    {
        // The list type is shown in both cases, as upstream does.
        let shown = schema.at("items").at(FIELD).clone();
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        found.push(Error::invalid(path.child("items").child(field), shown, why));
    }
    known_word(found, path.child(FIELD), kind, &["atomic", "set", "map"]);
}

/// The field that keeps the items of a set from being compared as wholes.
fn set_items_problem(schema: &Tree) -> Option<&'static str> {
    let items = schema.at("items");
    let (list, map) = ("x-kubernetes-list-type", "x-kubernetes-map-type");
    match items.text("type") {
        "array" => (items.has(list) && items.text(list) != "atomic").then_some(list),
        "object" => (items.text(map) != "atomic").then_some(map),
        _ => None,
    }
}

fn map_list(found: &mut ErrorList, schema: &Tree, path: &Path) {
    const KEYS: &str = "x-kubernetes-list-map-keys";
    const TYPE: &str = "x-kubernetes-list-type";
    let (keys, items) = (schema.texts(KEYS), schema.at("items"));
    if schema.text(TYPE) != "map" {
        let (at, why) = (path.child(TYPE), "must be map if x-kubernetes-list-map-keys is non-empty");
        match (keys.is_empty(), schema.has(TYPE)) {
            (true, _) => {}
            (false, false) => found.push(Error::required(at, why)),
            (false, true) => found.push(Error::invalid(at, schema.text(TYPE), why)),
        }
        return;
    }
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        found.push(Error::required(path.child(KEYS), why));
    }
    let at = path.child("items");
    if items.is_null() {
        found.push(Error::required(at, "must have a schema if x-kubernetes-list-type is map"));
        return;
    }
    if !items.is_object() {
        let why = "must only have a single schema if x-kubernetes-list-type is map";
        found.push(Error::invalid(at, items.clone(), why));
        return;
    }
    if items.text("type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        found.push(Error::invalid(at.child("type"), items.text("type"), why));
        return;
    }
    let mut seen = Seen::default();
    for key in keys {
        let shown = || schema.at(KEYS).clone();
        match items.at("properties").get(key) {
            Some(property) if matches!(property.text("type"), "array" | "object") => {
                let at = at.child("properties").key(key).child("type");
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                found.push(Error::invalid(at, items.text("type"), why));
            }
            Some(_) => {}
            None => {
                let why = "entries must all be names of item properties";
                found.push(Error::invalid(path.child(KEYS), shown(), why));
            }
        }
        if !seen.first(key) {
            found.push(Error::invalid(path.child(KEYS), shown(), "must not contain duplicate entries"));
        }
    }
}

fn map_keys(found: &mut ErrorList, schema: &Tree, path: &Path) {
    let (kind, items) = (schema.text("x-kubernetes-list-type"), schema.at("items"));
    if !items.is_object() || !matches!(kind, "set" | "map") {
        return;
    }
    let at = path.child("items");
    if items.flag("nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
        found.push(Error::forbidden(at.child("nullable"), why));
    }
    let required = items.texts("required");
    for key in schema.texts("x-kubernetes-list-map-keys").into_iter().filter(|_| kind == "map") {
        let Some(property) = items.at("properties").get(key) else { continue };
        let at = at.child("properties").key(key);
        if !required.contains(&key) && !property.has("default") {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            found.push(Error::required(at.child("default"), why));
        }
        if property.flag("nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            found.push(Error::forbidden(at.child("nullable"), why));
        }
    }
}

fn rules(found: &mut ErrorList, schema: &Tree, path: &Path) {
    let at = path.child("x-kubernetes-validations");
    for (index, rule) in schema.items("x-kubernetes-validations").iter().enumerate() {
        self::rule(found, rule, schema, &at.index(index));
    }
}

const EMPTY: &str = "must be non-empty if specified";
const BREAKS: &str = "must not contain line breaks";

fn rule(found: &mut ErrorList, rule: &Tree, schema: &Tree, path: &Path) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let blank = |text: &str| !text.is_empty() && text.trim().is_empty();
    let (text, message) = (rule.text("rule").trim(), rule.text("message"));
    let at = path.child("message");
    if text.is_empty() {
        found.push(Error::required(path.child("rule"), "rule is not specified"));
    } else if blank(message) {
        found.push(Error::invalid(at, message, EMPTY));
    } else if breaks(message.trim()) {
        found.push(Error::invalid(at, message, BREAKS));
    } else if breaks(text) && message.is_empty() {
        found.push(Error::required(at, "message must be specified if rule contains line breaks"));
    }
    if blank(rule.text("messageExpression")) {
        let why = "messageExpression must be non-empty if specified";
        found.push(Error::required(path.child("messageExpression"), why));
    }
    if rule.has("reason") {
        known_word(found, path.child("reason"), rule.text("reason"), &REASONS);
    }
    let (field, at) = (rule.text("fieldPath"), path.child("fieldPath"));
    if field.is_empty() {
        return;
    }
    let readable = structural::unreadable(schema).is_none();
    let whys = [
        (blank(field), EMPTY),
        (breaks(field), BREAKS),
        (readable && paths::resolve(field, schema, true).is_err(), "must be a valid path"),
    ];
    for (_, why) in whys.into_iter().filter(|(applies, _)| *applies) {
        found.push(Error::invalid(at.clone(), field, why));
    }
}

#[cfg(test)]
mod tests;
