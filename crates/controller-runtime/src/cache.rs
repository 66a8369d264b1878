//! The lister: all objects of a kind as the informer last saw them, with indexes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::Resource;
use parking_lot::RwLock;

use crate::ObjectKey;

/// Gives the index values under which an object is found (the owner's UID, the node's name, …).
pub type IndexFn<K> = fn(&K) -> Vec<String>;

/// Objects of one kind. Reading never waits for the network; objects are shared and immutable.
pub struct Cache<K> {
    state: RwLock<State<K>>,
}

struct State<K> {
    objects: HashMap<ObjectKey, Arc<K>>,
    indexes: HashMap<&'static str, Index<K>>,
}

struct Index<K> {
    values_of: IndexFn<K>,
    keys: HashMap<String, BTreeSet<ObjectKey>>,
}

impl<K: Resource> Default for Cache<K> {
    fn default() -> Self {
        let mut indexes = HashMap::new();
        indexes.insert(NAMESPACE, Index { values_of: namespace_of::<K> as IndexFn<K>, keys: HashMap::new() });
        Self { state: RwLock::new(State { objects: HashMap::new(), indexes }) }
    }
}

const NAMESPACE: &str = "namespace";

fn namespace_of<K: Resource>(object: &K) -> Vec<String> {
    object.meta().namespace.iter().cloned().collect()
}

impl<K: Resource> Cache<K> {
    /// The object of this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.state.read().objects.get(key).cloned()
    }

    /// All objects, in no order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.state.read().objects.values().cloned().collect()
    }

    /// All objects of one namespace, by name.
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.by_index(NAMESPACE, namespace)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects that the index `name` has under `value`, by key. None if there is no such index.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        let Some(keys) = state.indexes.get(name).and_then(|index| index.keys.get(value)) else {
            return Vec::new();
        };
        keys.iter().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// Adds an index; objects that are there already are indexed too. Adding it again changes nothing, so a name stands
    /// for one function in the whole process: components share caches, and begin theirs with their own name.
    pub fn add_index(&self, name: &'static str, values_of: IndexFn<K>) {
        let mut state = self.state.write();
        if state.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values_of, keys: HashMap::new() };
        for (key, object) in &state.objects {
            index.insert(key, object);
        }
        state.indexes.insert(name, index);
    }

    /// Puts an object in; gives the one it replaced.
    pub(crate) fn insert(&self, object: Arc<K>) -> Option<Arc<K>> {
        let key = ObjectKey::of(&*object);
        let mut state = self.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.insert(key.clone(), object.clone());
        for index in indexes.values_mut() {
            if let Some(old) = &old {
                index.remove(&key, old);
            }
            index.insert(&key, &object);
        }
        old
    }

    /// Takes an object out.
    pub(crate) fn remove(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let mut state = self.state.write();
        let State { objects, indexes } = &mut *state;
        let old = objects.remove(key)?;
        for index in indexes.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }

    /// The keys of all objects.
    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.state.read().objects.keys().cloned().collect()
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values_of)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values_of)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, PodSpec};
    use kube::api::ObjectMeta;

    use super::*;

    fn pod(name: &str, node: &str) -> Arc<Pod> {
        Arc::new(Pod {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("ns".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec { node_name: Some(node.to_owned()), ..PodSpec::default() }),
            status: None,
        })
    }

    fn node_of(pod: &Pod) -> Vec<String> {
        pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect()
    }

    #[test]
    fn indexes_follow_every_change() {
        let cache = Cache::<Pod>::default();
        cache.insert(pod("a", "n1"));
        cache.add_index("node", node_of);
        cache.insert(pod("b", "n1"));
        let names = |node: &str| -> Vec<String> {
            cache.by_index("node", node).iter().filter_map(|p| p.metadata.name.clone()).collect()
        };
        assert_eq!(names("n1"), ["a", "b"]);
        cache.insert(pod("a", "n2"));
        assert_eq!((names("n1"), names("n2")), (vec!["b".to_owned()], vec!["a".to_owned()]));
        cache.remove(&ObjectKey::new("ns", "b"));
        assert!(names("n1").is_empty());
        assert_eq!(cache.list_namespace("ns").len(), 1);
    }
}
