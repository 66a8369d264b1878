//! The rows that the server serves, found by group, version and plural name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_registry::{Resource, Scope, Verb};
use steersman_store::{Key, Prefix};

use crate::hooks::{HookTable, Hooks};
use crate::object::encode;
use crate::row::{Row, Subresource};

/// One served resource.
pub struct Entry {
    /// Its row in the resource table.
    pub resource: Row,
    /// `v1`, `apps/v1`, ….
    pub api_version: String,
    /// What it does beyond the generic path.
    pub hooks: Arc<dyn Hooks>,
}

type ByName<T> = BTreeMap<String, T>;

/// Every served resource, by group, version and plural. A request works on one such table from its beginning to its end,
/// whatever is added or removed meanwhile.
#[derive(Clone, Default)]
pub struct Routes(ByName<ByName<ByName<Arc<Entry>>>>);

impl Routes {
    /// Routes for `resources`, each with its hooks.
    pub fn new(resources: &'static [Resource], hooks: &HookTable) -> Self {
        let mut routes = Self::default();
        for resource in resources {
            let entry = Entry::new(Row::built_in(resource), hooks.of(resource.group, resource.plural));
            routes.insert(Arc::new(entry));
        }
        routes
    }

    /// Adds a resource; replaces the one of its name.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        let Row { group, version, plural, .. } = &entry.resource;
        let versions = self.0.entry(group.to_string()).or_default();
        versions.entry(version.to_string()).or_default().insert(plural.to_string(), entry);
    }

    /// The resource of that name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Entry>> {
        self.0.get(group)?.get(version)?.get(plural).cloned()
    }

    /// The resource in whichever version comes first.
    pub fn find_any_version(&self, group: &str, plural: &str) -> Option<Arc<Entry>> {
        self.0.get(group)?.values().find_map(|resources| resources.get(plural)).cloned()
    }

    /// The resource in whose form the objects of `entry` are stored: another one where two share a place.
    pub fn stored_as<'r>(&'r self, entry: &'r Entry) -> &'r Row {
        let owner = |other: &&Arc<Entry>| {
            other.resource.storage == entry.resource.storage && other.resource.conversion.is_none()
        };
        match entry.resource.conversion {
            Some(_) => self.all().find(owner).map_or(&entry.resource, |other| &other.resource),
            None => &entry.resource,
        }
    }

    /// The resources whose objects are stored where those of `entry` are, itself among them.
    pub fn stored_with<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.all().filter(|other| other.resource.storage == entry.resource.storage)
    }

    /// Whether anything is served in that version of a group.
    pub fn has_version(&self, group: &str, version: &str) -> bool {
        self.0.get(group).is_some_and(|versions| versions.contains_key(version))
    }

    /// The groups with their versions, in order of name.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.0.iter().map(|(group, versions)| (group.as_str(), versions.keys().map(String::as_str).collect()))
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
    pub fn new(resource: Row, hooks: Arc<dyn Hooks>) -> Self {
        let api_version = match &*resource.group {
            "" => resource.version.to_string(),
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
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.resource.subresources.iter().find(|s| s.name == name)
    }

    /// Where an object lives in the store.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        Key::new(format!("{}{name}", self.prefix(namespace).as_str()))
    }

    /// Where the objects of a namespace, or (empty) all objects, live in the store.
    pub fn prefix(&self, namespace: &str) -> Prefix {
        let storage = &self.resource.storage;
        if namespace.is_empty() || !self.is_namespaced() {
            Prefix::new(format!("/registry/{storage}/"))
        } else {
            Prefix::new(format!("/registry/{storage}/{namespace}/"))
        }
    }

    /// The tree of a stored value, in whatever version it was written.
    pub fn decode_stored(&self, value: &[u8]) -> Result<Tree, String> {
        self.resource.definition.decode_stored(value)
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
        match self.resource.conversion {
            Some(_) => encode::stored(&self.to_storage(tree)),
            None => encode::stored(tree),
        }
    }

    /// A tree of this resource in the form of `other`, which is stored in the same place.
    pub fn converted(&self, tree: &Tree, other: &Self) -> Tree {
        let mut tree = self.to_storage(tree);
        if let Some(conversion) = &other.resource.conversion {
            (conversion.from_storage)(&mut tree);
        }
        tree
    }

    fn to_storage(&self, tree: &Tree) -> Tree {
        let mut stored = tree.clone();
        if let Some(conversion) = &self.resource.conversion {
            (conversion.to_storage)(&mut stored);
        }
        stored
    }
}
