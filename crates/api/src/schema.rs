//! The catalogue as patches and apply see it: [`Schema`]s made on demand.

use std::sync::Arc;

use steersman_apimachinery::schema::{FieldSchema, ListKind, ListSchema, Schema, StructSchema};

use crate::catalog::{Field, ListType, MapType, Shape, TypeId, ValueType, catalog};
use crate::decode::always_written;

/// The schema of an OpenAPI definition; `None` if there is no such definition.
pub fn schema_of(definition: &str) -> Option<Schema> {
    catalog().definition(definition).map(schema_of_type)
}

/// The schema of a type.
pub fn schema_of_type(id: TypeId) -> Schema {
    let found = catalog().get(id);
    type_schema(id, found.map_type)
}

fn type_schema(id: TypeId, map_type: MapType) -> Schema {
    match catalog().get(id).shape {
        Shape::Struct if map_type == MapType::Atomic => Schema::Atomic,
        Shape::Struct => Schema::Struct(Arc::new(CatalogStruct(id))),
        Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::IntOrString => Schema::Atomic,
        Shape::Raw
        | Shape::Fields
        | Shape::Patch
        | Shape::Json
        | Shape::SchemaOrArray
        | Shape::SchemaOrBool
        | Shape::SchemaOrStrings => Schema::Untyped,
    }
}

/// A struct of the catalogue.
struct CatalogStruct(TypeId);

impl StructSchema for CatalogStruct {
    fn field(&self, name: &str) -> Option<FieldSchema> {
        let field = catalog().field(self.0, name)?;
        let default = field.default_json().and_then(|text| serde_json::from_str(text).ok());
        Some(FieldSchema {
            schema: field_schema(field),
            patch_strategy: field.patch_strategy().map(Arc::from),
            patch_merge_key: field.patch_merge_key().map(Arc::from),
            default: default.map(Arc::new),
        })
    }

    fn zero_value(&self, name: &str) -> Option<serde_json::Value> {
        let field = catalog().field(self.0, name)?;
        let null = || (!field.omits_empty()).then_some(serde_json::Value::Null);
        match (field.is_pointer(), field.value) {
            _ if field.omits_zero() => None,
            (true, _) => null(),
            (false, ValueType::List(_) | ValueType::WrappedList(_) | ValueType::Map(_)) => null(),
            (false, _) => always_written(field),
        }
    }
}

fn field_schema(field: &Field) -> Schema {
    match (field.value, field.map_type()) {
        (ValueType::Ref(id), MapType::Unstated) => schema_of_type(id),
        (ValueType::Ref(id), stated) => type_schema(id, stated),
        (ValueType::Map(_), MapType::Atomic) => Schema::Atomic,
        (ValueType::List(item), _) => list_schema(catalog().element(item), list_kind(field.list_type())),
        (value, _) => value_schema(value),
    }
}

fn value_schema(value: ValueType) -> Schema {
    match value {
        ValueType::Scalar(_) => Schema::Atomic,
        ValueType::Ref(id) => schema_of_type(id),
        ValueType::List(item) | ValueType::WrappedList(item) => {
            list_schema(catalog().element(item), ListKind::Atomic)
        }
        ValueType::Map(item) => Schema::Map(Arc::new(value_schema(catalog().element(item)))),
    }
}

fn list_schema(items: ValueType, kind: ListKind) -> Schema {
    Schema::List(Arc::new(ListSchema { items: value_schema(items), kind }))
}

fn list_kind(list_type: ListType) -> ListKind {
    match list_type {
        ListType::Atomic => ListKind::Atomic,
        ListType::Set => ListKind::Set,
        ListType::Map(keys) => ListKind::Map(keys.split(',').map(Arc::from).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema at a path of fields; `[]` stands for the items of a list.
    fn at(definition: &str, path: &[&str]) -> Schema {
        path.iter().fold(schema_of(definition).expect(definition), |schema, step| match schema {
            Schema::Struct(s) => s.field(step).expect(step).schema,
            Schema::List(list) => list.items.clone(),
            Schema::Map(values) => (*values).clone(),
            Schema::Atomic | Schema::Untyped => panic!("nothing below {step}"),
        })
    }

    fn name(schema: &Schema) -> String {
        match schema {
            Schema::Atomic => "atomic".into(),
            Schema::Untyped => "untyped".into(),
            Schema::Struct(_) => "struct".into(),
            Schema::Map(values) => format!("map of {}", name(values)),
            Schema::List(list) => format!("{:?} list of {}", list.kind, name(&list.items)),
        }
    }

    #[test]
    fn schemas_of_positions() {
        let cases: [(&str, &[&str], &str); 12] = [
            ("io.k8s.api.core.v1.Pod", &["metadata", "managedFields"], "Atomic list of struct"),
            ("io.k8s.api.core.v1.Pod", &["metadata", "managedFields", "[]", "fieldsV1"], "untyped"),
            ("io.k8s.api.core.v1.Pod", &["metadata", "finalizers"], "Set list of atomic"),
            ("io.k8s.api.core.v1.Pod", &["metadata", "labels"], "map of atomic"),
            ("io.k8s.api.core.v1.Pod", &["metadata", "creationTimestamp"], "atomic"),
            ("io.k8s.api.core.v1.Pod", &["spec", "nodeSelector"], "atomic"),
            ("io.k8s.api.core.v1.Pod", &["spec", "containers"], "Map([\"name\"]) list of struct"),
            (
                "io.k8s.api.core.v1.Pod",
                &["spec", "containers", "[]", "ports"],
                "Map([\"containerPort\", \"protocol\"]) list of struct",
            ),
            ("io.k8s.api.core.v1.Container", &["resources", "limits"], "map of atomic"),
            ("io.k8s.api.apps.v1.DeploymentSpec", &["selector"], "atomic"),
            ("io.k8s.api.core.v1.PersistentVolumeSpec", &["claimRef"], "struct"),
            ("io.k8s.api.apps.v1.ControllerRevision", &["data"], "untyped"),
        ];
        for (definition, path, want) in cases {
            assert_eq!(name(&at(definition, path)), want, "{definition} {path:?}");
        }
    }

    #[test]
    fn markers_of_fields() {
        let Some(Schema::Struct(container)) = schema_of("io.k8s.api.core.v1.Container") else { panic!() };
        let ports = container.field("ports").unwrap();
        assert_eq!(ports.patch_merge_key.as_deref(), Some("containerPort"));
        let Some(Schema::Struct(port)) = schema_of("io.k8s.api.core.v1.ContainerPort") else { panic!() };
        assert_eq!(port.field("protocol").unwrap().default.as_deref(), Some(&"TCP".into()));
        assert!(port.field("Protocol").is_none());
    }
}
