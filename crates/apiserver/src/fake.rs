//! Objects in memory, for tests of what reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use steersman_apimachinery::Tree;
use steersman_store::BoxFuture;

use crate::request::ObjectReader;
use crate::view::text;

type Place = (String, String, String, String);

/// An [`ObjectReader`] that holds what it was given.
#[derive(Default)]
pub(crate) struct FakeObjects(RwLock<BTreeMap<Place, Arc<Tree>>>);

impl FakeObjects {
    pub(crate) fn put(&self, group: &str, resource: &str, object: Tree) {
        let namespace = text(&object, "/metadata/namespace");
        let place = place(group, resource, namespace, text(&object, "/metadata/name"));
        self.0.write().insert(place, Arc::new(object));
    }

    pub(crate) fn remove(&self, group: &str, resource: &str, namespace: &str, name: &str) {
        self.0.write().remove(&place(group, resource, namespace, name));
    }
}

fn place(group: &str, resource: &str, namespace: &str, name: &str) -> Place {
    (group.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned())
}

impl ObjectReader for FakeObjects {
    fn get(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> BoxFuture<'_, Option<Arc<Tree>>> {
        let found = self.0.read().get(&place(group, resource, namespace, name)).cloned();
        Box::pin(async move { found })
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> BoxFuture<'_, Vec<Arc<Tree>>> {
        let wanted = |place: &Place| {
            place.0 == group && place.1 == resource && (namespace.is_empty() || place.2 == namespace)
        };
        let found = self
            .0
            .read()
            .iter()
            .filter(|(place, _)| wanted(place))
            .map(|(_, object)| object.clone())
            .collect();
        Box::pin(async move { found })
    }
}
