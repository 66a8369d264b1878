//! Bytes to trees and back, in the encodings of the API. The types come from the field catalogue (`steersman_api`);
//! this module only chooses.

use steersman_api::catalog;
use steersman_api::catalog::TypeId;
use steersman_api::decode::{self, DecodeError};
use steersman_api::{protobuf, schema_of, yaml};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_apimachinery::schema::Schema;
use steersman_apimachinery::status::ApiError;

use crate::custom::CustomType;
use crate::wire::negotiate::Encoding;

/// A decoded body.
pub struct Decoded {
    /// The object, without what its type does not know.
    pub tree: Tree,
    /// What strict decoding objects to: unknown and duplicate fields, in upstream's words.
    pub problems: Vec<String>,
}

/// Why a body cannot be decoded.
pub enum Failure {
    /// It is not of its encoding at all.
    Unrecognized(String),
    /// It is an object, but not one of the type.
    Misfit(String),
    /// It does not say what it is.
    Untyped(String),
    /// The encoding is not taken.
    Refused(ApiError),
}

/// How objects of a kind are read and written, and what is known of their fields.
#[derive(Clone)]
pub enum Definition {
    /// By a type of the field catalogue, such as `io.k8s.api.core.v1.Pod`.
    Catalogue(&'static str),
    /// By the schema of a custom resource.
    Custom(CustomType),
}

impl Definition {
    /// Its name in the OpenAPI documents.
    pub fn name(&self) -> &str {
        match self {
            Self::Catalogue(name) => name,
            Self::Custom(kind) => &kind.version().definition,
        }
    }

    /// Its structure, for patches and managed fields; `None` if it has none.
    pub fn schema(&self) -> Option<Schema> {
        match self {
            Self::Catalogue(name) => schema_of(name),
            Self::Custom(kind) => Some(kind.version().schema.for_apply()),
        }
    }

    /// Reads a value of the store: JSON, or protobuf as upstream writes it.
    pub fn decode_stored(&self, value: &[u8]) -> Result<Tree, String> {
        match self {
            Self::Catalogue(name) => decode_stored(name, value),
            Self::Custom(kind) => kind.decode_stored(value),
        }
    }

    /// Reads a request's body.
    pub fn decode(&self, body: &[u8], encoding: Encoding) -> Result<Decoded, Failure> {
        match self {
            Self::Catalogue(name) => decode(name, body, encoding),
            Self::Custom(kind) => kind.decode(body, encoding),
        }
    }

    /// Brings a tree that was made by a patch to its type's form.
    pub fn decode_tree(&self, tree: Tree) -> Result<Decoded, Failure> {
        match self {
            Self::Catalogue(name) => decode_tree(name, tree),
            Self::Custom(kind) => kind.decode_tree(tree),
        }
    }

    /// The custom kind; `None` if it is built in.
    pub fn custom(&self) -> Option<&CustomType> {
        match self {
            Self::Catalogue(_) => None,
            Self::Custom(kind) => Some(kind),
        }
    }
}

/// The catalogue's type of that name. The resource table names only types that exist; a test checks it.
fn type_of(definition: &str) -> Result<TypeId, String> {
    catalog().definition(definition).ok_or_else(|| format!("the type {definition} is not in the catalogue"))
}

/// The catalogue's name of a kind; empty if it has none.
pub fn definition_of(group: &str, version: &str, kind: &str) -> &'static str {
    catalog().kind(group, version, kind).map_or("", |id| catalog().get(id).name)
}

/// Reads a value of the store of a catalogued type: JSON, or protobuf as upstream writes it.
pub fn decode_stored(definition: &str, value: &[u8]) -> Result<Tree, String> {
    if protobuf::is_protobuf(value) {
        return protobuf::decode(value).map(|(tree, _)| tree).map_err(|e| e.to_string());
    }
    let tree: Tree = serde_json::from_slice(value).map_err(|e| e.to_string())?;
    // Two resources may share a place: what is stored says itself what it is.
    let stored = tree.gvk().and_then(|gvk| catalog().kind(&gvk.group, &gvk.version, &gvk.kind));
    let id = stored.map_or_else(|| type_of(definition), Ok)?;
    decode::decode_tree(tree, id).map(|decoded| decoded.tree).map_err(|e| e.to_string())
}

/// Reads a body of a catalogued type.
pub fn decode(definition: &str, body: &[u8], encoding: Encoding) -> Result<Decoded, Failure> {
    let id = type_of(definition).map_err(|e| Failure::Refused(ApiError::internal(e)))?;
    match encoding {
        Encoding::Json => finish(decode::decode(body, id)),
        Encoding::Yaml => {
            let document = yaml::parse(body).map_err(|e| Failure::Unrecognized(e.to_string()))?;
            let mut decoded = finish(decode::decode_tree(document.tree, id))?;
            let duplicates = document.problems.iter().map(ToString::to_string);
            decoded.problems = duplicates.chain(decoded.problems).collect();
            Ok(decoded)
        }
        Encoding::Protobuf => {
            let envelope = protobuf::open(body).map_err(|e| Failure::Unrecognized(e.to_string()))?;
            let (group, version) =
                envelope.api_version.rsplit_once('/').unwrap_or(("", envelope.api_version));
            let id = catalog().kind(group, version, envelope.kind).unwrap_or(id);
            let tree = protobuf::decode_opened(&envelope, id).map_err(|e| Failure::Misfit(e.to_string()))?;
            Ok(Decoded { tree, problems: Vec::new() })
        }
    }
}

fn decode_tree(definition: &str, tree: Tree) -> Result<Decoded, Failure> {
    let id = type_of(definition).map_err(|e| Failure::Refused(ApiError::internal(e)))?;
    finish(decode::decode_tree(tree, id))
}

fn finish(outcome: Result<decode::Decoded, DecodeError>) -> Result<Decoded, Failure> {
    match outcome {
        Ok(decoded) => Ok(Decoded {
            tree: decoded.tree,
            problems: decoded.problems.iter().map(ToString::to_string).collect(),
        }),
        Err(DecodeError::Syntax(why)) => Err(Failure::Unrecognized(why)),
        Err(other) => Err(Failure::Misfit(other.to_string())),
    }
}

/// The protobuf form with its envelope; 406 if the type has none.
pub fn to_protobuf(definition: &str, tree: &Tree) -> Result<Vec<u8>, ApiError> {
    let id = type_of(definition).map_err(ApiError::internal)?;
    protobuf::encode(tree, id).map_err(|e| no_protobuf(definition, &e))
}

/// The protobuf form without envelope.
pub fn to_protobuf_message(definition: &str, tree: &Tree) -> Result<Vec<u8>, ApiError> {
    let id = type_of(definition).map_err(ApiError::internal)?;
    protobuf::encode_message(tree, id).map_err(|e| no_protobuf(definition, &e))
}

fn no_protobuf(definition: &str, why: &protobuf::ProtoError) -> ApiError {
    tracing::debug!(definition, %why, "no protobuf form");
    ApiError::not_acceptable(&["application/json", "application/yaml"])
}

/// The YAML form.
pub fn to_yaml(tree: &Tree) -> Vec<u8> {
    yaml::to_yaml(tree).into_bytes()
}
