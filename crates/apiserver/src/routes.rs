//! The rows that the server serves, found by group, version and plural name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_registry::{Resource, Scope, Subresource, Verb};
use steersman_store::{Key, Prefix};

use crate::codec;
use crate::hooks::{HookTable, Hooks};
use crate::object::encode;

/// One served resource.
pub struct Entry {
    /// Its row in the resource table.
    pub resource: &'static Resource,
    /// `v1`, `apps/v1`, ….
    pub api_version: String,
    /// What it does beyond the generic path.
    pub hooks: Arc<dyn Hooks>,
}

type ByName<T> = BTreeMap<&'static str, T>;

/// Every served resource, by group, version and plural.
#[derive(Default)]
pub struct Routes(ByName<ByName<ByName<Arc<Entry>>>>);

impl Routes {
    /// Routes for `resources`, each with its hooks.
    pub fn new(resources: &'static [Resource], hooks: &HookTable) -> Self {
        let mut routes = Self::default();
        for resource in resources {
            let entry = Entry::new(resource, hooks.of(resource.group, resource.plural));
            let versions = routes.0.entry(resource.group).or_default();
            versions.entry(resource.version).or_default().insert(resource.plural, Arc::new(entry));
        }
        routes
    }

    /// The resource of that name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Entry>> {
        self.0.get(group)?.get(version)?.get(plural)
    }

    /// The resource in whichever version comes first.
    pub fn find_any_version(&self, group: &str, plural: &str) -> Option<&Arc<Entry>> {
        self.0.get(group)?.values().find_map(|resources| resources.get(plural))
    }

    /// The resource in whose form the objects of `entry` are stored: another one where two share a place.
    pub fn stored_as(&self, entry: &Entry) -> &'static Resource {
        let owner = |other: &&Arc<Entry>| {
            other.resource.storage == entry.resource.storage && other.resource.conversion.is_none()
        };
        match entry.resource.conversion {
            Some(_) => self.all().find(owner).map_or(entry.resource, |other| other.resource),
            None => entry.resource,
        }
    }

    /// Whether anything is served in that version of a group.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.0.get(group).is_some_and(|versions| versions.contains_key(version))
    }

    /// The groups with their versions, in order of name.
    pub fn groups(&self) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
        self.0.iter().map(|(group, versions)| (*group, versions.keys().copied().collect()))
    }

    /// The resources of a version, in order of plural name.
    pub fn of_version(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.get(group).and_then(|versions| versions.get(version)).into_iter().flat_map(BTreeMap::values)
    }

    /// Every resource, in order of group, version and plural.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values)
    }
}

impl Entry {
    /// The entry of one row.
    pub fn new(resource: &'static Resource, hooks: Arc<dyn Hooks>) -> Self {
        let api_version = match resource.group {
            "" => resource.version.to_owned(),
            group => format!("{group}/{}", resource.version),
        };
        Self { resource, api_version, hooks }
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.resource.scope == Scope::Namespaced
    }

    /// Whether `verb` may be done to it.
    pub fn allows(&self, verb: Verb) -> bool {
        self.resource.verbs.contains(&verb)
    }

    /// Its subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.resource.subresources.iter().find(|s| s.name == name)
    }

    /// Where an object lives in the store.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        Key::new(format!("{}{name}", self.prefix(namespace).as_str()))
    }

    /// Where the objects of a namespace, or (empty) all objects, live in the store.
    pub fn prefix(&self, namespace: &str) -> Prefix {
        let storage = self.resource.storage;
        if namespace.is_empty() || !self.is_namespaced() {
            Prefix::new(format!("/registry/{storage}/"))
        } else {
            Prefix::new(format!("/registry/{storage}/{namespace}/"))
        }
    }

    /// The tree of a stored value, in whatever version it was written.
    pub fn decode_stored(&self, value: &[u8]) -> Result<Tree, String> {
        codec::decode_stored(self.resource.definition, value)
    }

    /// Brings a stored tree to the version and the defaults of today.
    pub fn to_current(&self, tree: &mut Tree) -> Result<(), String> {
        if tree.api_version() != self.api_version
            && let Some(conversion) = &self.resource.conversion
        {
            (conversion.from_storage)(tree);
        }
        if tree.api_version() != self.api_version || tree.kind() != self.resource.kind {
            return Err(format!("found a {} of {:?}", tree.kind(), tree.api_version()));
        }
        self.resource.strategy.apply_defaults(tree);
        tree.remove("metadata.resourceVersion");
        tree.remove("metadata.selfLink");
        Ok(())
    }

    /// The bytes to store for a tree of this resource.
    pub fn encode_stored(&self, tree: &Tree) -> Bytes {
        let Some(conversion) = &self.resource.conversion else { return encode::stored(tree) };
        let mut stored = tree.clone();
        (conversion.to_storage)(&mut stored);
        encode::stored(&stored)
    }
}
