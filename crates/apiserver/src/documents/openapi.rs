//! `/openapi/v2` and `/openapi/v3`: made from the catalogue and the resource table when somebody asks.

use std::collections::BTreeMap;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use steersman_api::openapi::{
    Action, PathSpec, Source, SubresourceSpec, V2_PROTOBUF, fingerprint, v2_json, v2_protobuf, v3_json,
};
use steersman_registry::{Scope, Verb};

use super::discovery::tagged;
use crate::chain::Exchange;
use crate::row::{Row, Subresource};
use crate::server::Inner;
use crate::wire::body::{self, Response};
use crate::wire::negotiate::by_preference;
use crate::wire::respond;

/// What clients call the protobuf form.
const V2_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Answers what follows `/openapi`; `None` if there is no such document.
pub fn answer(server: &Inner, exchange: &Exchange, parts: &[&str]) -> Option<Response> {
    let resources: Vec<PathSpec> = server.storage.routes().all().map(|e| path_spec(&e.resource)).collect();
    let custom = BTreeMap::new();
    let source = Source { resources: &resources, custom: &custom };
    match parts {
        ["v2"] => Some(v2(&source, exchange)),
        ["v3"] => Some(respond::json_document(StatusCode::OK, &index(&source), false)),
        ["v3", "api", version] => v3(&source, exchange, ("", version)),
        ["v3", "apis", group, version] => v3(&source, exchange, (group, version)),
        _ => None,
    }
}

fn v2(source: &Source<'_>, exchange: &Exchange) -> Response {
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
fn index(source: &Source<'_>) -> Value {
    let mut paths = Map::new();
    for (group, version) in source.group_versions() {
        let path =
            if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let hash = fingerprint(source, Some((group, version)));
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({ "serverRelativeURL": url }));
    }
    json!({ "paths": paths })
}

fn v3(source: &Source<'_>, exchange: &Exchange, group_version: (&str, &str)) -> Option<Response> {
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
        actions: if subresource.verbs.is_empty() {
            vec![Action::Connect]
        } else {
            actions(subresource.verbs)
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
