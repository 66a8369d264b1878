//! The rows that the server serves, found by group, version and plural name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::{Object, ObjectMut};
use steersman_registry::{Resource, Scope, Verb};
use steersman_store::{Key, Prefix};
use tokio_util::sync::CancellationToken;

use crate::hooks::{HookTable, Hooks};
use crate::object::encode;
use crate::row::{Row, Storing, Subresource};

/// One served resource.
pub struct Entry {
    /// Its row in the resource table.
    pub resource: Row,
    /// `v1`, `apps/v1`, ….
    pub api_version: String,
    /// What it does beyond the generic path.
    pub hooks: Arc<dyn Hooks>,
    /// Cancelled when the row is replaced or removed: watches of it end then, and begin again with what is served.
    pub gone: CancellationToken,
    /// Whether the resource itself is about to go: nothing is created any more.
    terminating: AtomicBool,
}

/// What discovery says may be done with a resource that is about to go. Updates are still taken: finalizers end by them.
const LAST_VERBS: &[Verb] = &[Verb::Delete, Verb::DeleteCollection, Verb::Get, Verb::List, Verb::Watch];

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

    /// Adds a resource, unless a built-in one has its name in any version.
    pub fn insert_unless_built_in(&mut self, entry: Arc<Entry>) {
        let Row { group, plural, .. } = &entry.resource;
        let versions = self.0.get(&**group).into_iter().flat_map(BTreeMap::values);
        if versions.filter_map(|all| all.get(&**plural)).all(|other| other.is_custom()) {
            self.insert(entry);
        }
    }

    /// Removes a resource, if it is still this one that is served.
    pub fn remove(&mut self, entry: &Entry) {
        let Row { group, version, plural, .. } = &entry.resource;
        let Some(versions) = self.0.get_mut(&**group) else { return };
        let Some(resources) = versions.get_mut(&**version) else { return };
        if resources.get(&**plural).is_some_and(|served| served.resource.id == entry.resource.id) {
            resources.remove(&**plural);
        }
        versions.retain(|_, resources| !resources.is_empty());
        self.0.retain(|_, versions| !versions.is_empty());
    }

    /// The resource of that name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Entry>> {
        self.0.get(group)?.get(version)?.get(plural).cloned()
    }

    /// The resource in whichever version comes first.
    pub fn find_any_version(&self, group: &str, plural: &str) -> Option<Arc<Entry>> {
        self.0.get(group)?.values().find_map(|resources| resources.get(plural)).cloned()
    }

    /// Group and version in which the objects of `entry` are stored: another resource's where two share a place.
    pub fn stored_as(&self, entry: &Entry) -> String {
        let owner = |other: &&Arc<Entry>| {
            other.resource.storage == entry.resource.storage
                && matches!(other.resource.storing, Storing::Same)
        };
        match &entry.resource.storing {
            Storing::Same => entry.group_version(),
            Storing::Converted(_) => {
                self.all().find(owner).map_or_else(|| entry.group_version(), |e| e.group_version())
            }
            Storing::Version(kind) => kind.version().api_version.clone(),
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

    /// Whether anything built in is served in that version of a group.
    pub fn has_built_in_version(&self, group: &str, version: &str) -> bool {
        self.of_version(group, version).any(|entry| !entry.is_custom())
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
        Self {
            resource,
            api_version,
            hooks,
            gone: CancellationToken::new(),
            terminating: AtomicBool::new(false),
        }
    }

    /// `apps/v1`, and `/v1` for the core group.
    fn group_version(&self) -> String {
        format!("{}/{}", self.resource.group, self.resource.version)
    }

    /// Whether it was added by a definition at run time.
    pub fn is_custom(&self) -> bool {
        self.resource.definition.custom().is_some()
    }

    /// Whether its objects are stored in the form in which they are served.
    pub fn is_stored_as_served(&self) -> bool {
        matches!(self.resource.storing, Storing::Same)
    }

    /// Whether its objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.resource.scope == Scope::Namespaced
    }

    /// Says that the resource is about to go.
    pub fn terminate(&self) {
        self.terminating.store(true, Ordering::Relaxed);
    }

    /// Whether the resource is about to go.
    pub fn is_terminating(&self) -> bool {
        self.terminating.load(Ordering::Relaxed)
    }

    /// What discovery says may be done.
    pub fn discovered_verbs(&self) -> &'static [Verb] {
        if self.is_terminating() { LAST_VERBS } else { self.resource.verbs }
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
            && let Storing::Converted(conversion) = &self.resource.storing
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
    pub fn encode_stored(&self, tree: &Tree) -> Result<Bytes, String> {
        match &self.resource.storing {
            Storing::Same => Ok(encode::stored(tree)),
            Storing::Converted(_) => Ok(encode::stored(&self.to_storage(tree))),
            Storing::Version(kind) => {
                let mut stored = tree.clone();
                kind.adopt(&mut stored)?;
                Ok(encode::stored(&stored))
            }
        }
    }

    /// A tree of this resource in the form of `other`, which is stored in the same place.
    pub fn converted(&self, tree: &Tree, other: &Self) -> Tree {
        let mut tree = self.to_storage(tree);
        if let Storing::Converted(conversion) = &other.resource.storing {
            (conversion.from_storage)(&mut tree);
        }
        if other.is_custom() {
            tree.set("apiVersion", other.api_version.as_str());
        }
        tree
    }

    fn to_storage(&self, tree: &Tree) -> Tree {
        let mut stored = tree.clone();
        if let Storing::Converted(conversion) = &self.resource.storing {
            (conversion.to_storage)(&mut stored);
        }
        stored
    }
}
