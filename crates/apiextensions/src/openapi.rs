//! A custom resource's kind as OpenAPI publishes it, in the form of v3. What v2 cannot express is left out where the
//! document of v2 is written.

use serde_json::{Map, Value, json};
use steersman_apimachinery::Tree;

use crate::texts::texts;

const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";
const OBJECT_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// Keywords that are published with any value but null.
const VALUES: [&str; 2] = ["default", "example"];
/// Keywords that are published unless their value is empty or false.
const KEPT: [&str; 28] = [
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "nullable",
    "pattern",
    "required",
    "title",
    "type",
    "uniqueItems",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

/// A version of a custom resource, as far as its definitions say it.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Kind of one object.
    pub kind: &'a str,
    /// Kind of a list.
    pub list_kind: &'a str,
    /// The URL's segment.
    pub plural: &'a str,
    /// `selectableFields`.
    pub selectable_fields: &'a [Tree],
}

impl Published<'_> {
    /// The definition's name: `com.example.v1.Foo`.
    pub fn name(&self) -> String {
        self.named(self.kind)
    }

    /// The name of the list's definition.
    pub fn list_name(&self) -> String {
        self.named(self.list_kind)
    }

    fn named(&self, kind: &str) -> String {
        let labels: Vec<&str> = self.group.rsplit('.').collect();
        format!("{}.{}.{kind}", labels.join("."), self.version)
    }

    /// The definition of one object. Without a schema nothing is said about it.
    pub fn definition(&self, open_api_v3_schema: Option<&Value>) -> Value {
        let mut out = match open_api_v3_schema.and_then(Value::as_object) {
            Some(schema) => {
                let mut out = publish(schema, true);
                let known = texts();
                add_properties(
                    &mut out,
                    [
                        ("apiVersion", json!({"type": "string", "description": known.api_version})),
                        ("kind", json!({"type": "string", "description": known.kind})),
                        ("metadata", reference(OBJECT_META, &known.metadata)),
                    ],
                );
                out
            }
            None => Map::from_iter([("type".to_owned(), "object".into())]),
        };
        self.mark(&mut out, self.kind);
        out.into()
    }

    /// The definition of a list.
    pub fn list(&self) -> Value {
        let known = texts();
        let item = format!("#/components/schemas/{}", self.name());
        let items = format!("List of {}. More info: {CONVENTIONS}", self.plural);
        let mut out = json!({
            "type": "object", "description": format!("{} is a list of {}", self.list_kind, self.kind),
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string", "description": known.api_version},
                "kind": {"type": "string", "description": known.kind},
                "metadata": reference(LIST_META, &known.list_metadata),
                "items": {"type": "array", "items": {"$ref": item}, "description": items},
            },
        });
        if let Some(out) = out.as_object_mut() {
            self.mark(out, self.list_kind);
        }
        out
    }

    fn mark(&self, out: &mut Map<String, Value>, kind: &str) {
        let gvk = json!([{"group": self.group, "version": self.version, "kind": kind}]);
        out.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        let paths = self.selectable_fields.iter().filter_map(|field| field.get("jsonPath")?.as_str());
        let fields: Vec<Value> =
            paths.map(|path| json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)})).collect();
        if !fields.is_empty() {
            out.insert("x-kubernetes-selectable-fields".to_owned(), fields.into());
        }
    }
}

/// A reference of v3 may have nothing beside it.
fn reference(to: &str, description: &str) -> Value {
    json!({"allOf": [{"$ref": to}], "description": description})
}

fn add_properties<const N: usize>(schema: &mut Map<String, Value>, added: [(&str, Value); N]) {
    let properties = schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(properties) = properties {
        properties.extend(added.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// `structural`: not within a junctor.
fn publish(schema: &Map<String, Value>, structural: bool) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in schema {
        let below = |value: &Value, structural: bool| match value {
            Value::Object(schema) => Value::Object(publish(schema, structural)),
            other => other.clone(),
        };
        let value = match (name.as_str(), value) {
            (name, value) if VALUES.contains(&name) && !value.is_null() => value.clone(),
            (name, value) if KEPT.contains(&name) && !is_empty(value) => value.clone(),
            ("items" | "additionalProperties", Value::Object(_) | Value::Bool(_)) => below(value, structural),
            ("not", Value::Object(_)) => below(value, false),
            ("properties", Value::Object(all)) if !all.is_empty() => {
                all.iter().map(|(name, value)| (name.clone(), below(value, structural))).collect()
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) if !all.is_empty() => {
                all.iter().map(|value| below(value, false)).collect()
            }
            _ => continue,
        };
        out.insert(name.clone(), value);
    }
    let is = |out: &Map<String, Value>, name: &str| out.get(name) == Some(&Value::Bool(true));
    if structural && is(&out, "x-kubernetes-int-or-string") {
        say_int_or_string(&mut out);
    }
    if is(&out, "x-kubernetes-embedded-resource") {
        say_embedded(&mut out);
    }
    out
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// States in OpenAPI's own words that a value is an integer or a string, unless the schema does so itself.
fn say_int_or_string(out: &mut Map<String, Value>) {
    let either = json!([{"type": "integer"}, {"type": "string"}]);
    let said_in_all_of = out.get("allOf").and_then(|all| all.get(0)?.get("anyOf")) == Some(&either);
    match out.get("anyOf") {
        Some(own) if *own == either => {}
        _ if said_in_all_of => {}
        None => drop(out.insert("anyOf".to_owned(), either)),
        Some(_) => {
            let all = out.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.insert(0, json!({"anyOf": either}));
            }
        }
    }
}

fn say_embedded(out: &mut Map<String, Value>) {
    let api_version = format!(
        "apiVersion defines the versioned schema of this representation of an object. More info: {CONVENTIONS}#resources"
    );
    let kind = format!(
        "kind is a string value representing the type of this object. In CamelCase. More info: {CONVENTIONS}#types-kinds"
    );
    add_properties(
        out,
        [
            ("apiVersion", json!({"type": "string", "description": api_version})),
            ("kind", json!({"type": "string", "description": kind})),
            ("metadata", reference(OBJECT_META, &texts().metadata)),
        ],
    );
    let required = out.entry("required").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(required) = required {
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|own| own == name) {
                required.push(name.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foo() -> Published<'static> {
        Published {
            group: "stable.example.com",
            version: "v1",
            kind: "Foo",
            list_kind: "FooList",
            plural: "foos",
            selectable_fields: &[],
        }
    }

    #[test]
    fn an_object_is_published_with_what_every_object_has() {
        let schema = json!({"type": "object", "description": "A foo.", "nullable": false, "$schema": "x", "properties": {
            "spec": {"type": "object", "default": {}, "required": [], "properties": {
                "on": {"type": "boolean", "default": false},
                "port": {"x-kubernetes-int-or-string": true},
                "size": {"x-kubernetes-int-or-string": true, "anyOf": [{"minimum": 1}]},
                "template": {"type": "object", "x-kubernetes-embedded-resource": true}}}}});
        let out = foo().definition(Some(&schema));
        assert_eq!(foo().name(), "com.example.stable.v1.Foo");
        assert_eq!(out["description"], "A foo.");
        assert!(out.get("nullable").is_none() && out.get("$schema").is_none());
        let gvk = json!([{"group": "stable.example.com", "version": "v1", "kind": "Foo"}]);
        assert_eq!(out["x-kubernetes-group-version-kind"], gvk);
        assert_eq!(out["properties"]["metadata"]["allOf"][0]["$ref"], OBJECT_META);
        let kind = out["properties"]["kind"]["description"].as_str().unwrap();
        assert!(kind.starts_with("Kind is a string value representing the REST resource"));
        let spec = &out["properties"]["spec"];
        assert_eq!((&spec["default"], spec.get("required")), (&json!({}), None));
        let fields = &spec["properties"];
        assert_eq!(fields["on"], json!({"type": "boolean", "default": false}));
        let either = json!([{"type": "integer"}, {"type": "string"}]);
        assert_eq!(fields["port"], json!({"x-kubernetes-int-or-string": true, "anyOf": either}));
        assert_eq!(fields["size"]["allOf"], json!([{"anyOf": either}]));
        assert_eq!(fields["template"]["required"], json!(["kind", "apiVersion"]));
        assert!(fields["template"]["properties"]["metadata"].is_object());
    }

    #[test]
    fn a_list_and_a_kind_without_a_schema() {
        let fields = [json!({"jsonPath": ".spec.color"})];
        let foo = Published { selectable_fields: &fields, ..foo() };
        let list = foo.list();
        assert_eq!(list["description"], "FooList is a list of Foo");
        assert_eq!(
            list["properties"]["items"]["items"]["$ref"],
            "#/components/schemas/com.example.stable.v1.Foo"
        );
        let selectable = json!([{"fieldPath": "spec.color"}]);
        assert_eq!(list["x-kubernetes-selectable-fields"], selectable);
        let bare = foo.definition(None);
        assert_eq!((&bare["type"], bare.get("properties")), (&json!("object"), None));
    }
}
