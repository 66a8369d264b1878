//! Definitions as JSON schemas.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::downgrade::to_v2;
use super::{Flavour, Parts};
use crate::catalog::{Field, Gvk, ListType, MapType, Scalar, Shape, TypeId, ValueType, catalog};

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

impl Parts<'_> {
    /// The schema of a definition; `None` if nobody knows it.
    pub(super) fn schema(&self, definition: &str) -> Option<Value> {
        if let Some(custom) = self.source.custom.get(definition) {
            return Some(if self.flavour == Flavour::V2 { to_v2(custom.clone()) } else { custom.clone() });
        }
        let Some(id) = catalog().definition(definition) else { return self.custom_list(definition) };
        let found = catalog().get(id);
        let mut out = Map::new();
        self.describe(&mut out, self.descriptions.of_type(definition));
        match found.shape {
            Shape::Struct => self.write_struct(id, &mut out),
            shape => write_special(shape, self.flavour, &mut out),
        }
        write_map_type(found.map_type, &mut out);
        if let Some(gvk) = found.gvk {
            out.insert("x-kubernetes-group-version-kind".to_owned(), self.kinds(gvk));
        }
        Some(out.into())
    }

    /// The list of a custom definition, which need not be given.
    fn custom_list(&self, definition: &str) -> Option<Value> {
        let item = definition.strip_suffix("List").filter(|item| self.source.custom.contains_key(*item))?;
        let mut out = json!({
            "type": "object", "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": self.flavour.reference(LIST_META),
                "items": {"type": "array", "items": self.flavour.reference(item)},
            },
        });
        if let Some(map) = out.as_object_mut() {
            self.describe(map, self.descriptions.of_type(definition));
        }
        for (name, property) in out["properties"].as_object_mut()? {
            if let (Some(map), true) = (property.as_object_mut(), name != "metadata") {
                self.describe(map, self.descriptions.of_field(definition, name));
            }
        }
        let own = self.source.resources.iter().find(|r| r.definition == item)?;
        let kind = format!("{}List", own.kind);
        out["x-kubernetes-group-version-kind"] =
            json!([{"group": own.group, "version": own.version, "kind": kind}]);
        Some(out)
    }

    fn describe(&self, out: &mut Map<String, Value>, text: Option<String>) {
        if let Some(text) = text {
            out.insert("description".to_owned(), text.into());
        }
    }

    fn kinds(&self, gvk: Gvk) -> Value {
        if gvk.group != Gvk::EVERY {
            return json!([{"group": gvk.group, "version": gvk.version, "kind": gvk.kind}]);
        }
        let all = self.group_versions.iter();
        all.map(|(group, version)| json!({"group": group, "version": version, "kind": gvk.kind})).collect()
    }

    fn write_struct(&self, id: TypeId, out: &mut Map<String, Value>) {
        out.insert("type".to_owned(), "object".into());
        let fields = catalog().fields(id);
        if fields.is_empty() {
            return;
        }
        let definition = catalog().get(id).name;
        let properties = fields.iter().map(|f| (f.name.to_owned(), self.property(definition, f)));
        out.insert("properties".to_owned(), Value::Object(properties.collect()));
        let required: Vec<Value> = fields.iter().filter(|f| f.is_required()).map(|f| f.name.into()).collect();
        if !required.is_empty() {
            out.insert("required".to_owned(), required.into());
        }
    }

    fn property(&self, definition: &str, field: &Field) -> Value {
        let mut out = self.value(field.value);
        let default = self.default_of(field);
        if let Some(map) = out.as_object_mut() {
            self.describe(map, self.descriptions.of_field(definition, field.name));
            map.extend(default.map(|value| ("default".to_owned(), value)));
            write_markers(field, map);
        }
        out
    }

    fn value(&self, value: ValueType) -> Value {
        match value {
            ValueType::Scalar(scalar) => scalar_schema(scalar),
            ValueType::Ref(id) => {
                let reference = self.flavour.reference(catalog().get(id).name);
                // A reference of v3 may have nothing beside it.
                if self.flavour == Flavour::V3 { json!({"allOf": [reference]}) } else { reference }
            }
            ValueType::List(item) | ValueType::WrappedList(item) => {
                json!({"type": "array", "items": self.element(catalog().element(item))})
            }
            ValueType::Map(item) => {
                json!({"type": "object", "additionalProperties": self.element(catalog().element(item))})
            }
        }
    }

    fn element(&self, value: ValueType) -> Value {
        let mut out = self.value(value);
        if self.flavour == Flavour::V3
            && let Some(default) = zero(value)
        {
            out["default"] = default;
        }
        out
    }

    /// v3 states what Go has for a value that was not given.
    fn default_of(&self, field: &Field) -> Option<Value> {
        if let Some(stated) = field.default_json() {
            return serde_json::from_str(stated).ok();
        }
        if self.flavour == Flavour::V2 || field.is_pointer() {
            return None;
        }
        match field.value {
            ValueType::Ref(_) => zero(field.value),
            _ if !field.omits_empty() => zero(field.value),
            _ => None,
        }
    }
}

/// The zero value, as far as a schema states it.
fn zero(value: ValueType) -> Option<Value> {
    match value {
        ValueType::Scalar(Scalar::String) => Some("".into()),
        ValueType::Scalar(Scalar::Bool) => Some(false.into()),
        ValueType::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double) => Some(0.into()),
        ValueType::Ref(id) if catalog().get(id).shape == Shape::Struct => Some(json!({})),
        _ => None,
    }
}

fn scalar_schema(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String => json!({"type": "string"}),
        Scalar::Bool => json!({"type": "boolean"}),
        Scalar::Int32 => json!({"type": "integer", "format": "int32"}),
        Scalar::Int64 => json!({"type": "integer", "format": "int64"}),
        Scalar::Double => json!({"type": "number", "format": "double"}),
        Scalar::Bytes => json!({"type": "string", "format": "byte"}),
        Scalar::Any => json!({}),
    }
}

fn write_special(shape: Shape, flavour: Flavour, out: &mut Map<String, Value>) {
    let schema = match (shape, flavour) {
        (Shape::Time | Shape::MicroTime, _) => json!({"type": "string", "format": "date-time"}),
        (Shape::Quantity, Flavour::V2) => json!({"type": "string"}),
        (Shape::Quantity, Flavour::V3) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        (Shape::IntOrString, Flavour::V2) => json!({"type": "string", "format": "int-or-string"}),
        (Shape::IntOrString, Flavour::V3) => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        (Shape::Raw | Shape::Fields | Shape::Patch, _) => json!({"type": "object"}),
        _ => json!({}),
    };
    if let Value::Object(schema) = schema {
        out.extend(schema);
    }
}

fn write_markers(field: &Field, out: &mut Map<String, Value>) {
    if field.states_list_type() {
        let kind = match field.list_type() {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map(keys) => {
                let keys: Vec<Value> = keys.split(',').map(Into::into).collect();
                out.insert("x-kubernetes-list-map-keys".to_owned(), keys.into());
                "map"
            }
        };
        out.insert("x-kubernetes-list-type".to_owned(), kind.into());
    }
    let texts = [
        ("x-kubernetes-patch-strategy", field.patch_strategy()),
        ("x-kubernetes-patch-merge-key", field.patch_merge_key()),
    ];
    out.extend(texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    write_map_type(field.map_type(), out);
}

fn write_map_type(map_type: MapType, out: &mut Map<String, Value>) {
    let text = match map_type {
        MapType::Unstated => return,
        MapType::Granular => "granular",
        MapType::Atomic => "atomic",
    };
    out.insert("x-kubernetes-map-type".to_owned(), text.into());
}

/// Every definition that some definitions refer to, themselves included.
pub(super) fn reachable(parts: &Parts<'_>, roots: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut open: Vec<String> = roots.collect();
    while let Some(definition) = open.pop() {
        if definition.is_empty() || !out.insert(definition.clone()) {
            continue;
        }
        match (parts.source.custom.get(&definition), catalog().definition(&definition)) {
            (Some(custom), _) => references(custom, &mut open),
            (None, Some(id)) => open.extend(catalog().fields(id).iter().filter_map(|f| referred(f.value))),
            (None, None) if parts.custom_list(&definition).is_some() => open.push(LIST_META.to_owned()),
            (None, None) => drop(out.remove(&definition)),
        }
    }
    out
}

fn referred(value: ValueType) -> Option<String> {
    match value {
        ValueType::Scalar(_) => None,
        ValueType::Ref(id) => Some(catalog().get(id).name.to_owned()),
        ValueType::List(item) | ValueType::WrappedList(item) | ValueType::Map(item) => {
            referred(catalog().element(item))
        }
    }
}

fn references(schema: &Value, out: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let to = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
            out.extend(to.map(str::to_owned));
            map.values().for_each(|value| references(value, out));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, out)),
        _ => {}
    }
}
