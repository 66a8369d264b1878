//! The types of custom resources: what stands where a built-in kind has its type in the field catalogue.

use std::sync::Arc;

use serde_json::json;
use steersman_api::decode::{DecodeError, decode_untyped};
use steersman_api::yaml;
use steersman_apiextensions::{Origin, Schema};
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::ErrorList;
use steersman_apimachinery::meta::{Object, ObjectMut};

use crate::codec::{Decoded, Failure};
use crate::wire::negotiate::{Encoding, unsupported_media_type};

/// The versions of one custom kind.
pub struct Family {
    /// API group.
    pub group: String,
    /// Kind of one object.
    pub kind: String,
    /// Whether a webhook turns objects of one version into another's.
    pub has_webhook: bool,
    /// Its versions, in the order of the definition.
    pub versions: Vec<Version>,
}

/// One version of a custom kind.
pub struct Version {
    /// `v1`.
    pub name: String,
    /// `example.com/v1`.
    pub api_version: String,
    /// Its name in the OpenAPI documents.
    pub definition: String,
    /// Whether requests for it are answered.
    pub served: bool,
    /// What its objects look like.
    pub schema: Schema,
    /// The definition of an object in the OpenAPI documents.
    pub published: Arc<Tree>,
    /// That of a list, with its name.
    pub published_list: (String, Arc<Tree>),
}

/// A version of a custom kind, with its siblings. Cloning shares it.
#[derive(Clone)]
pub struct CustomType {
    family: Arc<Family>,
    at: usize,
}

impl CustomType {
    /// The version at that place.
    pub fn new(family: Arc<Family>, at: usize) -> Self {
        Self { family, at }
    }

    /// The version itself.
    pub fn version(&self) -> &Version {
        &self.family.versions[self.at]
    }

    /// The kind in all its versions.
    pub fn family(&self) -> &Arc<Family> {
        &self.family
    }

    /// Reads a request's body.
    pub fn decode(&self, body: &[u8], encoding: Encoding) -> Result<Decoded, Failure> {
        let (tree, problems): (_, Vec<String>) = match encoding {
            Encoding::Json => {
                let decoded = decode_untyped(body).map_err(|error| match error {
                    DecodeError::Syntax(why) => Failure::Unrecognized(why),
                    other => Failure::Misfit(other.to_string()),
                })?;
                (decoded.tree, decoded.problems.iter().map(ToString::to_string).collect())
            }
            Encoding::Yaml => {
                let document = yaml::parse(body).map_err(|e| Failure::Unrecognized(e.to_string()))?;
                (document.tree, document.problems.iter().map(ToString::to_string).collect())
            }
            Encoding::Protobuf => {
                let accepted = ["application/json", "application/yaml"];
                return Err(Failure::Refused(unsupported_media_type(&accepted)));
            }
        };
        self.read(tree, problems)
    }

    /// Brings a tree that was made by a patch to the type's form.
    pub fn decode_tree(&self, tree: Tree) -> Result<Decoded, Failure> {
        self.read(tree, Vec::new())
    }

    fn read(&self, mut tree: Tree, mut problems: Vec<String>) -> Result<Decoded, Failure> {
        if !tree.is_object() {
            return Err(Failure::Misfit("json: cannot unmarshal a value that is no object".to_owned()));
        }
        for (field, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
            if tree.get(field).is_none_or(|value| *value == "") {
                return Err(Failure::Untyped(format!("Object '{name}' is missing in '{tree}'")));
            }
        }
        let found = self.version().schema.coerce(&mut tree, Origin::Client);
        let unknown = found.map_err(|why| Failure::Misfit(why.to_string()))?;
        problems.extend(unknown.iter().map(ToString::to_string));
        Ok(Decoded { tree, problems })
    }

    /// Reads a value of the store, which may be of any version of the kind, in this one.
    pub fn decode_stored(&self, value: &[u8]) -> Result<Tree, String> {
        let mut tree: Tree = serde_json::from_slice(value).map_err(|e| e.to_string())?;
        let group = tree.api_version().split_once('/').map_or("", |(group, _)| group);
        if group == self.family.group && tree.api_version() != self.version().api_version {
            self.rename(&mut tree)?;
        }
        // What is not known in the metadata or in the schema is dropped in silence.
        self.version().schema.coerce(&mut tree, Origin::Storage).map_err(|why| why.to_string())?;
        Ok(tree)
    }

    /// A tree of a sibling in this version: without conversion, versions differ in their name and their schema only.
    pub fn adopt(&self, tree: &mut Tree) -> Result<(), String> {
        self.rename(tree)?;
        self.version().schema.coerce(tree, Origin::Storage).map(drop).map_err(|why| why.to_string())
    }

    /// Gives an object this version's name. Where a webhook converts, that would not be enough: such an object is
    /// refused, since no webhook is asked yet.
    fn rename(&self, tree: &mut Tree) -> Result<(), String> {
        if self.family.has_webhook {
            let (from, kind) = (tree.api_version(), &self.family.kind);
            return Err(format!(
                "conversion webhook for {from}, Kind={kind} failed: conversion webhooks are not supported"
            ));
        }
        tree.set("apiVersion", self.version().api_version.as_str());
        Ok(())
    }
}

impl Version {
    /// Every value that is not as its schema says; with `old`, of a change: what was wrong before may stay as it is.
    pub fn validate(&self, new: &Tree, old: Option<&Tree>) -> ErrorList {
        match old {
            None => self.schema.validate(new),
            Some(old) => self.schema.validate_update(new, old),
        }
    }

    /// What else is wrong: embedded objects, checked alike on create and on update, and items that occur twice.
    pub fn validate_parts(&self, new: &Tree, old: Option<&Tree>) -> ErrorList {
        let mut found = self.schema.validate_embedded(new);
        found.extend(match old {
            None => self.schema.validate_lists(new),
            Some(old) => self.schema.validate_lists_update(new, old),
        });
        found
    }

    /// The values of a change of the status.
    pub fn validate_status(&self, new: &Tree, old: &Tree) -> ErrorList {
        self.schema.validate_status_update(new, old)
    }

    /// What else is wrong with a change of the status.
    pub fn validate_status_parts(&self, new: &Tree, old: &Tree) -> ErrorList {
        self.schema.validate_lists_update(new, old)
    }
}

/// A schema under which everything is kept.
pub fn untyped() -> Tree {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
