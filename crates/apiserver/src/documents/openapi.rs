//! `/openapi/v2` and `/openapi/v3`: made from the catalogue and the resource table when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use steersman_api::openapi::{
    Action, PathSpec, Source, SubresourceSpec, V2_PROTOBUF, fingerprint, v2_json, v2_protobuf, v3_json,
};
use steersman_registry::{Scope, Verb};

use super::discovery::tagged;
use crate::chain::Exchange;
use crate::routes::Routes;
use crate::row::{Row, Subresource};
use crate::server::Inner;
use crate::wire::body::{self, Response};
use crate::wire::negotiate::by_preference;
use crate::wire::respond;

/// What clients call the protobuf form.
const V2_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers what follows `/openapi`; `None` if there is no such document.
pub fn answer(server: &Inner, exchange: &Exchange, parts: &[&str]) -> Option<Response> {
    let documents = &*server.documents.of(server.storage.routes());
    match parts {
        ["v2"] => Some(v2(documents, exchange)),
        ["v3"] => Some(respond::json_document(StatusCode::OK, &index(documents), false)),
        ["v3", "api", version] => v3(documents, exchange, ("", version)),
        ["v3", "apis", group, version] => v3(documents, exchange, (group, version)),
        _ => None,
    }
}

type Definitions = BTreeMap<String, Value>;

/// What the documents are made of, for the table of routes that somebody asked for last. What they were made of is let
/// go with that table.
#[derive(Default)]
pub struct DocumentCache(Mutex<Option<(Weak<Routes>, Arc<Documents>)>>);

impl DocumentCache {
    fn of(&self, routes: Arc<Routes>) -> Arc<Documents> {
        let known = |(of, _): &&(Weak<Routes>, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(&routes));
        if let Some((_, documents)) = self.0.lock().as_ref().filter(known) {
            return documents.clone();
        }
        let documents = Arc::new(Documents::new(&routes));
        *self.0.lock() = Some((Arc::downgrade(&routes), documents.clone()));
        documents
    }
}

/// What the documents are made of.
struct Documents {
    resources: Vec<PathSpec>,
    /// The custom kinds' definitions, by group and version.
    custom: BTreeMap<(String, String), Definitions>,
    /// All of them.
    all: Definitions,
    /// None of them.
    none: Definitions,
}

impl Documents {
    fn new(routes: &Routes) -> Self {
        let mut made = Self {
            resources: routes.all().map(|e| path_spec(&e.resource)).collect(),
            custom: BTreeMap::new(),
            all: BTreeMap::new(),
            none: BTreeMap::new(),
        };
        for resource in routes.all().map(|entry| &entry.resource) {
            let Some(kind) = resource.definition.custom() else { continue };
            let (name, schema) = (&kind.version().definition, &kind.version().published);
            let group_version = (resource.group.to_string(), resource.version.to_string());
            let own = made.custom.entry(group_version).or_default();
            own.insert(name.clone(), (**schema).clone());
            made.all.insert(name.clone(), (**schema).clone());
            let (name, schema) = &kind.version().published_list;
            own.insert(name.clone(), (**schema).clone());
            made.all.insert(name.clone(), (**schema).clone());
        }
        made
    }

    fn whole(&self) -> Source<'_> {
        Source { resources: &self.resources, custom: &self.all }
    }

    /// What one document of v3 may show: others' definitions do not change its hash.
    fn of(&self, (group, version): (&str, &str)) -> Source<'_> {
        let custom = self.custom.get(&(group.to_owned(), version.to_owned())).unwrap_or(&self.none);
        Source { resources: &self.resources, custom }
    }
}

fn v2(documents: &Documents, exchange: &Exchange) -> Response {
    let source = &documents.whole();
    let accept = exchange.parts.headers.get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let wants_protobuf = by_preference(accept)
        .first()
        .is_some_and(|clause| matches!(clause.media.as_str(), V2_PROTOBUF_ASKED | V2_PROTOBUF));
    if wants_protobuf {
        tagged(v2_protobuf(source), exchange, V2_PROTOBUF)
    } else {
        tagged(v2_json(source), exchange, "application/json")
    }
}

/// The documents of v3, each with the hash under which it never changes.
fn index(documents: &Documents) -> Value {
    let mut paths = Map::new();
    for (group, version) in documents.whole().group_versions() {
        let path =
            if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let hash = fingerprint(&documents.of((group, version)), Some((group, version)));
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

fn v3(documents: &Documents, exchange: &Exchange, group_version: (&str, &str)) -> Option<Response> {
    let source = &documents.of(group_version);
    let hash = fingerprint(source, Some(group_version));
    match exchange.query.non_empty("hash") {
        Some(asked) if asked != hash => {
            let mut response = respond::with_type(StatusCode::MOVED_PERMANENTLY, "text/html", body::empty());
            let target = format!("{}?hash={hash}", exchange.info.path);
            response.headers_mut().remove(CONTENT_TYPE);
            response.headers_mut().insert("location", HeaderValue::from_str(&target).ok()?);
            Some(response)
        }
        asked => {
            let mut response = tagged(v3_json(source, group_version)?, exchange, "application/json");
            if asked.is_some() {
                let forever = HeaderValue::from_static("public, immutable");
                response.headers_mut().insert("cache-control", forever);
            }
            Some(response)
        }
    }
}

fn path_spec(resource: &Row) -> PathSpec {
    PathSpec {
        group: resource.group.to_string(),
        version: resource.version.to_string(),
        kind: resource.kind.to_string(),
        plural: resource.plural.to_string(),
        namespaced: resource.scope == Scope::Namespaced,
        actions: actions(resource.verbs),
        definition: resource.definition.name().to_owned(),
        subresources: resource.subresources.iter().map(subresource_spec).collect(),
    }
}

fn subresource_spec(subresource: &Subresource) -> SubresourceSpec {
    SubresourceSpec {
        name: subresource.name.to_owned(),
        group: subresource.group.to_string(),
        version: subresource.version.to_string(),
        kind: subresource.kind.to_string(),
        definition: subresource.definition.name().to_owned(),
        actions: match (subresource.verbs, subresource.name) {
            ([], "proxy") => vec![Action::Proxy],
            ([], _) => vec![Action::Connect],
            (some, _) => actions(some),
        },
    }
}

fn actions(verbs: &[Verb]) -> Vec<Action> {
    verbs
        .iter()
        .map(|verb| match verb {
            Verb::Create => Action::Create,
            Verb::Delete => Action::Delete,
            Verb::DeleteCollection => Action::DeleteCollection,
            Verb::Get => Action::Get,
            Verb::List => Action::List,
            Verb::Patch => Action::Patch,
            Verb::Update => Action::Update,
            Verb::Watch => Action::Watch,
        })
        .collect()
}
