//! Resources whose objects are not stored but found out when somebody asks. They can be got and listed.

mod component_status;

use std::sync::Arc;

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;
use steersman_store::BoxFuture;

use crate::call::{Call, Shown};
use crate::routes::Entry;
use crate::selection::Selection;
use crate::server::Inner;
use crate::views::{self, TABLE, partial, table};
use crate::wire::body::Response;
use crate::wire::negotiate::View;
use crate::wire::respond;

/// Finds the objects of one resource out.
pub trait Computed: Sync {
    /// The names of all objects, sorted.
    fn names(&self, server: &Inner) -> Vec<String>;

    /// The object of one of those names, as it is now.
    fn object<'a>(&'a self, server: &'a Inner, name: &'a str) -> BoxFuture<'a, Tree>;
}

const COMPUTED: &[(&str, &str, &dyn Computed)] =
    &[("", "componentstatuses", &component_status::ComponentStatuses)];

/// Who finds the objects of a resource out; `None` if they are stored.
pub fn find(entry: &Entry) -> Option<&'static dyn Computed> {
    let found = |(group, plural, _): &&(&str, &str, _)| {
        (*group, *plural) == (&*entry.resource.group, &*entry.resource.plural)
    };
    COMPUTED.iter().find(found).map(|(_, _, computed)| *computed)
}

/// Answers a read.
pub async fn answer(call: &Call<'_>, computed: &dyn Computed) -> Result<Response, ApiError> {
    let names = computed.names(call.server);
    if call.info.verb == "get" {
        let name = &call.info.name;
        if !names.contains(name) {
            // Upstream names the kind here, not the resource.
            return Err(ApiError::not_found(&call.entry.resource.group, &call.entry.resource.singular, name));
        }
        let object = computed.object(call.server, name).await;
        return call.show(StatusCode::OK, &Shown::Tree(Arc::new(object)));
    }
    let selection = Selection::parse(call.query, call.entry, None)?;
    let objects = join_all(names.iter().map(|name| computed.object(call.server, name))).await;
    let chosen = objects.into_iter().filter(|object| selection.matches_tree(object, call.entry));
    list(call, &chosen.map(Arc::new).collect::<Vec<_>>())
}

/// The list has no `resourceVersion`: there is nothing that it would be a version of.
fn list(call: &Call<'_>, objects: &[Arc<Tree>]) -> Result<Response, ApiError> {
    let resource = &call.entry.resource;
    let (definition, list) = match call.wanted.view {
        View::Whole => {
            let list = json!({
                "kind": resource.list_kind, "apiVersion": call.entry.api_version, "metadata": {}, "items": objects,
            });
            (views::list::list_definition(resource.definition.name()), list)
        }
        View::Partial => {
            let items: Vec<Tree> = objects.iter().map(|object| partial(object)).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items,
            });
            (views::PARTIAL_LIST.to_owned(), list)
        }
        View::Table => {
            let include = table::Include::parse(call.query)?;
            (TABLE.to_owned(), table::of(call.entry, objects, call.now, include))
        }
    };
    respond::tree(StatusCode::OK, &definition, &list, &call.wanted)
}
