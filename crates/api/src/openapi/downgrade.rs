//! A custom resource's definition in v2. What v2 cannot say is left out, and what clients of v2 would then
//! misunderstand is said more loosely.

use serde_json::{Map, Value};

const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// A custom resource's definition of v3 in the form of v2. Of an object that keeps unknown fields nothing is said but
/// what it is.
pub fn to_v2(schema: Value) -> Value {
    let Value::Object(map) = schema else { return schema };
    if !is(&map, PRESERVES) {
        return Value::Object(downgrade(map));
    }
    let marks = map.into_iter().filter(|(name, _)| {
        matches!(name.as_str(), "x-kubernetes-group-version-kind" | "x-kubernetes-selectable-fields")
    });
    let mut out: Map<String, Value> = marks.collect();
    out.insert("type".to_owned(), "object".into());
    out.into()
}

fn is(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name) == Some(&Value::Bool(true))
}

fn is_nullable(schema: &Value) -> bool {
    schema.get("nullable") == Some(&Value::Bool(true))
}

fn downgrade(mut map: Map<String, Value>) -> Map<String, Value> {
    inline_reference(&mut map);
    ["allOf", "anyOf", "oneOf", "not"].into_iter().for_each(|name| drop(map.remove(name)));
    let preserves = is(&map, PRESERVES);
    if map.remove("nullable") == Some(Value::Bool(true)) {
        // A client of v2 would refuse null where the server takes it.
        map.remove("type");
        close(&mut map);
    }
    if preserves {
        close(&mut map);
        map.remove("properties");
    }
    loosen_required(&mut map, preserves);
    // Clients do not cope with a list without items, nor with an object that has more than is said.
    let kind = map.get("type").and_then(Value::as_str);
    if kind == Some("array") && !map.contains_key("items") || preserves && kind == Some("object") {
        map.remove("type");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(below);
    }
    for name in ["items", "additionalProperties"] {
        map.get_mut(name).into_iter().for_each(below);
    }
    map
}

fn below(schema: &mut Value) {
    if let Value::Object(map) = schema {
        *map = downgrade(std::mem::take(map));
    }
}

/// Takes away what is below; an embedded resource keeps what every object has.
fn close(map: &mut Map<String, Value>) {
    map.remove("items");
    let embedded = is(map, EMBEDDED);
    match map.get_mut("properties") {
        Some(Value::Object(properties)) if embedded => {
            properties.retain(|name, _| OF_OBJECTS.contains(&name.as_str()));
        }
        _ => drop(map.remove("properties")),
    }
}

/// v2 can have a description beside a reference.
fn inline_reference(map: &mut Map<String, Value>) {
    let wrapped = map.get("allOf").and_then(|all| all.as_array()?.first()?.get("$ref"));
    let to = wrapped.or_else(|| map.get("$ref")).and_then(Value::as_str);
    if let Some(to) = to.map(|to| to.replace("#/components/schemas/", "#/definitions/")) {
        map.insert("$ref".to_owned(), to.into());
    }
}

/// A field that may be null may as well be missing.
fn loosen_required(map: &mut Map<String, Value>, preserves: bool) {
    let Some(Value::Array(mut required)) = map.remove("required") else { return };
    if map.get("additionalProperties").is_some_and(is_nullable) {
        return;
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let nullable = |name: &str| properties.and_then(|all| all.get(name)).is_some_and(is_nullable);
    let unsaid = |name: &str| preserves && is(map, EMBEDDED) && OF_OBJECTS.contains(&name);
    required.retain(|name| name.as_str().is_some_and(|name| !nullable(name) && !unsaid(name)));
    if !required.is_empty() {
        map.insert("required".to_owned(), required.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_v2_cannot_say_is_left_out() {
        let cases = [
            (
                json!({"type": "object", "oneOf": [{}], "required": ["a", "b"], "properties": {
                    "a": {"type": "object", "nullable": true, "properties": {"x": {}}, "description": "d", "default": {}},
                    "b": {"type": "string", "anyOf": [{}], "maxLength": 5}}}),
                json!({"type": "object", "required": ["b"], "properties": {
                    "a": {"description": "d", "default": {}}, "b": {"type": "string", "maxLength": 5}}}),
            ),
            (
                json!({"type": "object", "properties": {
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"x": {}}},
                    "list": {"type": "array", "items": {"type": "string", "nullable": true}},
                    "lost": {"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": {}},
                    "map": {"type": "object", "additionalProperties": {"type": "integer", "not": {}}}}}),
                json!({"type": "object", "properties": {
                    "free": {"x-kubernetes-preserve-unknown-fields": true},
                    "list": {"type": "array", "items": {}},
                    "lost": {"x-kubernetes-preserve-unknown-fields": true},
                    "map": {"type": "object", "additionalProperties": {"type": "integer"}}}}),
            ),
            (
                json!({"type": "object", "properties": {"metadata": {
                    "allOf": [{"$ref": "#/components/schemas/Meta"}], "description": "d"}}}),
                json!({"type": "object", "properties": {"metadata": {"$ref": "#/definitions/Meta", "description": "d"}}}),
            ),
            (
                json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {}},
                    "x-kubernetes-group-version-kind": []}),
                json!({"type": "object", "x-kubernetes-group-version-kind": []}),
            ),
        ];
        for (v3, want) in cases {
            assert_eq!(to_v2(v3), want);
        }
    }
}
