//! Deletes the objects of one resource in a namespace.

use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta};
use kube::{Api, Client};

use crate::ReconcileError;
use crate::discovery::ServedResource;
use crate::error::During;

/// The resources in the order in which they are emptied.
pub(super) fn pods_first<'a>(resources: impl Iterator<Item = &'a ServedResource>) -> Vec<&'a ServedResource> {
    let mut ordered: Vec<_> = resources.collect();
    ordered.sort_by_key(|resource| !(resource.group.is_empty() && resource.plural == "pods"));
    ordered
}

/// Deletes all objects of `resource`; gives those that are still there.
pub(super) async fn empty(
    client: &Client,
    resource: &ServedResource,
    namespace: &str,
) -> Result<Vec<ObjectMeta>, ReconcileError> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource.api_resource());
    let there = list(&api, resource).await?;
    if there.is_empty() {
        return Ok(there);
    }
    let params = DeleteParams::background();
    if resource.supports(&["deletecollection"]) {
        let deleted = api.delete_collection(&params, &ListParams::default()).await;
        deleted.unless_gone(format!("deleting all {}", resource.plural))?;
    } else {
        for name in there.iter().filter_map(|meta| meta.name.as_deref()) {
            api.delete(name, &params).await.unless_gone(format!("deleting {} {name}", resource.plural))?;
        }
    }
    list(&api, resource).await
}

async fn list(
    api: &Api<DynamicObject>,
    resource: &ServedResource,
) -> Result<Vec<ObjectMeta>, ReconcileError> {
    // Gone means that the resource itself is: its definition was deleted after discovery.
    let listed = api.list_metadata(&ListParams::default()).await;
    let listed = listed.unless_gone(format!("listing {}", resource.plural))?;
    Ok(listed.into_iter().flat_map(|list| list.items).map(|object| object.metadata).collect())
}
