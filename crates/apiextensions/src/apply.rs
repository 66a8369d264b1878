//! The schema as server-side apply and managed fields see it.

use std::sync::Arc;

use steersman_api::schema_of_type;
use steersman_apimachinery::schema::{self, FieldSchema, ListKind, ListSchema, StructSchema};

use crate::Schema;
use crate::coerce::object_meta;
use crate::schema::{ListType, MapType, Node, Type};

impl Schema {
    /// The structure of objects: which maps are granular, which lists have keys. Metadata is that of built-in kinds.
    /// Cheap: it shares the schema.
    pub fn for_apply(&self) -> schema::Schema {
        schema::Schema::Struct(Arc::new(View { node: self.root.clone(), is_object: true }))
    }
}

/// Fields of one position.
struct View {
    node: Arc<Node>,
    /// Whether it is a whole object.
    is_object: bool,
}

impl StructSchema for View {
    fn field(&self, name: &str) -> Option<FieldSchema> {
        let of_object = match name {
            "metadata" if self.is_object => Some(schema_of_type(object_meta())),
            "apiVersion" | "kind" if self.is_object => Some(schema::Schema::Atomic),
            _ => None,
        };
        if let Some(schema) = of_object {
            return Some(FieldSchema { schema, patch_strategy: None, patch_merge_key: None, default: None });
        }
        let node = self.node.property(name)?;
        Some(FieldSchema {
            schema: view(node),
            patch_strategy: None,
            patch_merge_key: None,
            default: node.default.clone(),
        })
    }

    fn preserves_unknown(&self) -> bool {
        self.node.preserve_unknown
    }
}

fn view(node: &Arc<Node>) -> schema::Schema {
    let plain = node.properties.is_empty() && !node.embedded;
    match node.kind {
        _ if node.int_or_string => schema::Schema::Atomic,
        Some(Type::Array) => {
            let items = node.items.as_ref().map_or(schema::Schema::Untyped, view);
            schema::Schema::List(Arc::new(ListSchema { items, kind: list_kind(&node.list) }))
        }
        Some(Type::String | Type::Integer | Type::Number | Type::Boolean) => schema::Schema::Atomic,
        _ if node.map == MapType::Atomic => schema::Schema::Atomic,
        Some(Type::Object) | None => match node.values() {
            Some(values) if plain => schema::Schema::Map(Arc::new(view(values))),
            _ if plain && (node.preserve_unknown || node.kind.is_none()) => schema::Schema::Untyped,
            _ => schema::Schema::Struct(Arc::new(View { node: node.clone(), is_object: node.embedded })),
        },
    }
}

/// What is not stated is atomic.
fn list_kind(list: &ListType) -> ListKind {
    match list {
        ListType::Unstated | ListType::Atomic => ListKind::Atomic,
        ListType::Set => ListKind::Set,
        ListType::Map(keys) => ListKind::Map(keys.clone()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use steersman_apimachinery::Tree;
    use steersman_apimachinery::gvk::GroupVersionKind;
    use steersman_apimachinery::managed_fields::FieldManager;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"}, "v": {"type": "string"}}}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "plain": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "port": {"x-kubernetes-int-or-string": true},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true},
        }}}}))
        .unwrap()
    }

    fn name(schema: &schema::Schema) -> String {
        match schema {
            schema::Schema::Atomic => "atomic".into(),
            schema::Schema::Untyped => "untyped".into(),
            schema::Schema::Struct(_) => "struct".into(),
            schema::Schema::Map(values) => format!("map of {}", name(values)),
            schema::Schema::List(list) => format!("{:?} list of {}", list.kind, name(&list.items)),
        }
    }

    #[test]
    fn structure_follows_the_schema() {
        let schema::Schema::Struct(root) = schema().for_apply() else { panic!() };
        let schema::Schema::Struct(spec) = root.field("spec").unwrap().schema else { panic!() };
        let cases = [
            ("list", "Map([\"port\", \"protocol\"]) list of struct"),
            ("set", "Set list of atomic"),
            ("plain", "Atomic list of atomic"),
            ("map", "map of atomic"),
            ("atomic", "atomic"),
            ("free", "untyped"),
            ("port", "atomic"),
            ("template", "struct"),
        ];
        for (field, want) in cases {
            assert_eq!(name(&spec.field(field).unwrap().schema), want, "{field}");
        }
        assert!(spec.field("odd").is_none());
        let schema::Schema::Struct(template) = spec.field("template").unwrap().schema else { panic!() };
        assert!(template.preserves_unknown() && template.field("metadata").is_some());
    }

    fn apply(live: Option<&Tree>, spec: Tree, manager: &str) -> Tree {
        let kind = GroupVersionKind::new("g", "v1", "K");
        let schema = schema().for_apply();
        let fields = FieldManager {
            schema: &schema,
            kind: &kind,
            subresource: "",
            reset_fields: &["status"],
            versions: None,
            now: Timestamp::UNIX_EPOCH,
        };
        let config = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n", "namespace": "x"}, "spec": spec});
        fields.apply(live, &config, manager, false).unwrap()
    }

    #[test]
    fn two_managers_share_an_object() {
        let one =
            apply(None, json!({"list": [{"port": 1, "v": "a"}], "set": ["x"], "free": {"a": 1}}), "one");
        let both = apply(Some(&one), json!({"list": [{"port": 2}], "set": ["y"], "free": {"b": 2}}), "two");
        let want = json!({"list": [{"port": 1, "v": "a"}, {"port": 2}], "set": ["x", "y"], "free": {"a": 1, "b": 2}});
        assert_eq!(both["spec"], want);
        let left = apply(Some(&both), json!({"set": ["x"]}), "one");
        assert_eq!(left["spec"], json!({"list": [{"port": 2}], "set": ["x", "y"], "free": {"b": 2}}));
    }
}
