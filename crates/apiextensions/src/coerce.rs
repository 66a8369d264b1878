//! What is done to every object that comes in, from a client or from the store, before anything else reads it:
//! metadata becomes what `ObjectMeta` holds, unknown fields and meaningless nulls go.

use serde_json::Value;
use steersman_api::catalog;
use steersman_api::catalog::TypeId;
use steersman_api::decode::{DecodeError, Decoded, StrictProblem, decode_tree};
use steersman_apimachinery::field::Error;
use steersman_apimachinery::quote::{go_type, go_value};
use steersman_apimachinery::{Tree, meta::Object, meta::ObjectMut};

use crate::Schema;
use crate::place::Place;
use crate::prune::prune_as;
use crate::schema::Node;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Where an object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, which is told what is wrong with its metadata.
    Client,
    /// The store, or a conversion: what is malformed in the metadata is dropped, and a missing generation is 1.
    Storage,
}

/// Why an object cannot be read: the 400's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CoerceError {
    /// `apiVersion` or `kind` is no string.
    #[error(".{field} accessor error: {value} is of the type {go_type}, expected string")]
    NoString {
        /// Which.
        field: &'static str,
        /// What it is, as Go prints it.
        value: String,
        /// Its type in Go.
        go_type: &'static str,
    },
    /// The metadata is none.
    #[error(transparent)]
    Metadata(#[from] DecodeError),
    /// The same of an embedded resource.
    #[error("{0}")]
    Embedded(Error),
}

impl Schema {
    /// Prepares an object that was just decoded. Gives what `fieldValidation` warns about or refuses: unknown fields,
    /// those of the metadata first.
    pub fn coerce(&self, object: &mut Tree, origin: Origin) -> Result<Vec<StrictProblem>, CoerceError> {
        for field in ["kind", "apiVersion"] {
            must_be_string(object, field)?;
        }
        let mut unknown = coerce_metadata(object, origin, "metadata")?;
        unknown.extend(self.prune(object));
        self.drop_nulls(object);
        let mut embedded = Coercer { origin, unknown: Vec::new() };
        embedded.walk(object, &self.root, self.root.embedded, &Place::ROOT).map_err(CoerceError::Embedded)?;
        embedded.unknown.sort_unstable();
        unknown.append(&mut embedded.unknown);
        if origin == Origin::Storage && object.generation() == 0 && object.at("metadata").is_some() {
            object.set_generation(1);
        }
        Ok(unknown.into_iter().map(StrictProblem::UnknownField).collect())
    }
}

fn must_be_string(object: &Tree, field: &'static str) -> Result<(), CoerceError> {
    match object.get(field) {
        None | Some(Value::String(_)) => Ok(()),
        Some(other) => Err(CoerceError::NoString {
            field,
            value: go_value(other),
            go_type: if other.is_null() { "<nil>" } else { go_type(other) },
        }),
    }
}

/// A default is pruned as an object of a client would be, and its embedded metadata as one of the store.
pub(crate) fn clean_default(default: &mut Tree, node: &Node) {
    let mut coercer = Coercer { origin: Origin::Storage, unknown: Vec::new() };
    // Malformed metadata is dropped, so there is nothing to fail on.
    let _: Result<(), Error> = coercer.walk(default, node, node.embedded, &Place::ROOT);
    prune_as(default, node, false);
}

/// Whether values of a schema are whole objects.
pub(crate) fn is_embedded(node: Option<&Node>) -> bool {
    node.is_some_and(|node| node.embedded)
}

/// The type of every object's metadata.
pub(crate) fn object_meta() -> TypeId {
    catalog().definition(OBJECT_META).expect("the catalogue has ObjectMeta")
}

/// Makes `metadata` what `ObjectMeta` holds; the unknown fields, with `path` before them.
fn coerce_metadata(object: &mut Tree, origin: Origin, path: &str) -> Result<Vec<String>, DecodeError> {
    let Some(given) = object.get("metadata").cloned() else { return Ok(Vec::new()) };
    let decoded = match (decode_tree(given.clone(), object_meta()), origin) {
        (Ok(decoded), _) => decoded,
        (Err(error), Origin::Client) => return Err(error),
        (Err(_), Origin::Storage) => well_formed_part(&given)?,
    };
    object["metadata"] = decoded.tree;
    Ok(decoded.problems.iter().filter_map(|problem| unknown_below(problem, path)).collect())
}

fn unknown_below(problem: &StrictProblem, path: &str) -> Option<String> {
    match problem {
        StrictProblem::UnknownField(field) => Some(format!("{path}.{field}")),
        // A tree has no field twice, and is no YAML.
        StrictProblem::DuplicateField(_) | StrictProblem::Yaml(_) => None,
    }
}

/// What can be decoded of malformed metadata, field by field.
fn well_formed_part(metadata: &Tree) -> Result<Decoded, DecodeError> {
    let Some(fields) = metadata.as_object() else {
        let why = format!("invalid metadata: expected object, got {}", go_type(metadata));
        return Err(DecodeError::Form(why));
    };
    let mut out = Decoded { tree: Tree::Object(serde_json::Map::new()), problems: Vec::new() };
    for (name, value) in fields {
        let alone = Tree::Object(serde_json::Map::from_iter([(name.clone(), value.clone())]));
        let Ok(mut one) = decode_tree(alone, object_meta()) else { continue };
        out.problems.append(&mut one.problems);
        if let (Tree::Object(all), Tree::Object(field)) = (&mut out.tree, one.tree) {
            all.extend(field);
        }
    }
    Ok(out)
}

/// Walks to the embedded resources.
struct Coercer {
    origin: Origin,
    unknown: Vec<String>,
}

impl Coercer {
    fn walk(
        &mut self,
        value: &mut Tree,
        node: &Node,
        embedded: bool,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        if embedded && value.is_object() {
            self.embedded_resource(value, place)?;
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter_mut() {
                    if let Some(below) = node.property(name) {
                        self.walk(value, below, below.embedded, &place.field(name))?;
                    } else if let Some(below) = node.values() {
                        self.walk(value, below, below.embedded, &place.key(name))?;
                    }
                }
            }
            Value::Array(items) => {
                let Some(below) = &node.items else { return Ok(()) };
                for (i, item) in items.iter_mut().enumerate() {
                    self.walk(item, below, below.embedded, &place.index(i))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn embedded_resource(&mut self, object: &mut Tree, place: &Place<'_>) -> Result<(), Error> {
        for field in ["apiVersion", "kind"] {
            match (object.get(field), self.origin) {
                (None | Some(Value::String(_)), _) => {}
                (Some(_), Origin::Storage) => drop(object.remove(field)),
                (Some(other), Origin::Client) => {
                    let path = place.path().child(field);
                    return Err(Error::invalid(path, other.clone(), "must be a string"));
                }
            }
        }
        let path = place.path().child("metadata");
        let given = object.get("metadata").cloned().unwrap_or_default();
        match coerce_metadata(object, self.origin, &path.to_string()) {
            Ok(mut unknown) => self.unknown.append(&mut unknown),
            // What is no metadata at all was stored so, and stays.
            Err(_) if self.origin == Origin::Storage => {}
            Err(error) => return Err(Error::invalid(path, given, error.to_string())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true}}}}}))
        .unwrap()
    }

    #[test]
    fn unknown_fields_are_reported_metadata_first() {
        let mut object = json!({"apiVersion": "g/v1", "kind": "K",
            "metadata": {"name": "n", "creationTimestamp": null, "odd": 1},
            "spec": {"a": null, "b": 1, "template": {"kind": "T", "metadata": {"name": "t", "foo": 1}, "free": 1}}});
        let problems = schema().coerce(&mut object, Origin::Client).unwrap();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let want = [
            r#"unknown field "metadata.odd""#,
            r#"unknown field "spec.b""#,
            r#"unknown field "spec.template.metadata.foo""#,
        ];
        assert_eq!(texts, want);
        let want = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"},
            "spec": {"template": {"kind": "T", "metadata": {"name": "t"}, "free": 1}}});
        assert_eq!(object, want);
    }

    #[test]
    fn clients_are_told_what_is_malformed() {
        let cases = [
            (json!({"kind": 5}), ".kind accessor error: 5 is of the type int64, expected string"),
            (
                json!({"metadata": {"labels": 1}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type map[string]string",
            ),
            (
                json!({"spec": {"template": {"kind": true}}}),
                "spec.template.kind: Invalid value: true: must be a string",
            ),
            (
                json!({"spec": {"template": {"metadata": {"name": 1}}}}),
                "spec.template.metadata: Invalid value: {\"name\":1}: json: cannot unmarshal number into Go struct \
                 field ObjectMeta.name of type string",
            ),
        ];
        for (mut object, want) in cases {
            assert_eq!(schema().coerce(&mut object, Origin::Client).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn what_is_stored_malformed_is_dropped() {
        let mut object = json!({"metadata": {"name": "n", "labels": 1},
            "spec": {"template": {"kind": true, "metadata": {"name": 1, "namespace": "x"}}}});
        schema().coerce(&mut object, Origin::Storage).unwrap();
        let want = json!({"metadata": {"name": "n", "generation": 1},
            "spec": {"template": {"metadata": {"namespace": "x"}}}});
        assert_eq!(object, want);
    }
}
