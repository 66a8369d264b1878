//! What the server has: `/api`, `/apis` and below, one document a version, or everything at once (aggregated).

use std::sync::Arc;

use base64::Engine;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use steersman_apimachinery::status::ApiError;
use steersman_registry::{Scope, Verb};

use crate::chain::Exchange;
use crate::routes::{Entry, Routes};
use crate::row::{Row, Subresource};
use crate::server::Inner;
use crate::wire::body::{self, Response};
use crate::wire::negotiate::{Offers, Wanted, by_preference};
use crate::wire::respond;

/// Groups in the order in which upstream lists them: clients ask the first that has a kind.
const ORDER: &[&str] = &[
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Answers `/api…` and `/apis…`; `None` if there is no such group or version.
pub fn answer(server: &Inner, exchange: &Exchange, parts: &[&str]) -> Result<Option<Response>, ApiError> {
    let routes = &server.storage.routes();
    let document = match parts {
        ["api"] | ["apis"] if wants_aggregated(exchange) => {
            return aggregated(routes, exchange, parts[0] == "api").map(Some);
        }
        ["api"] => Some(("APIVersions", core_versions(exchange))),
        ["apis"] => Some(("APIGroupList", group_list(routes))),
        ["api", version] => resource_list(routes, "", version).map(|list| ("APIResourceList", list)),
        ["apis", group] => self::group(routes, group).map(|group| ("APIGroup", group)),
        ["apis", group, version] => {
            resource_list(routes, group, version).map(|list| ("APIResourceList", list))
        }
        _ => None,
    };
    let Some((kind, document)) = document else { return Ok(None) };
    let wanted = Wanted::negotiate(&exchange.parts.headers, &exchange.query, Offers::Documents)?;
    respond::tree(StatusCode::OK, &format!("{META}{kind}"), &document, &wanted).map(Some)
}

/// Groups in order, the core group left out.
fn groups(routes: &Routes) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<_> = routes.groups().filter(|(group, _)| !group.is_empty()).collect();
    groups.sort_by_key(|(group, _)| ORDER.iter().position(|known| known == group).unwrap_or(ORDER.len()));
    for (_, versions) in &mut groups {
        versions.sort_by_key(|version| version_priority(version));
    }
    groups
}

/// Stable versions before beta before alpha, higher before lower.
pub fn version_priority(version: &str) -> (u8, std::cmp::Reverse<u64>, std::cmp::Reverse<u64>) {
    let text = version.strip_prefix('v').unwrap_or(version);
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let major = text[..digits].parse().unwrap_or(0);
    let (level, minor) = match &text[digits..] {
        "" => (0, ""),
        rest => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (1, minor),
            (_, Some(minor)) => (2, minor),
            _ => (3, ""),
        },
    };
    (level, std::cmp::Reverse(major), std::cmp::Reverse(minor.parse().unwrap_or(0)))
}

fn core_versions(exchange: &Exchange) -> Value {
    let host = exchange.parts.headers.get("host").and_then(|h| h.to_str().ok());
    let host = host.or_else(|| exchange.parts.uri.authority().map(|a| a.as_str())).unwrap_or_default();
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    })
}

fn group_list(routes: &Routes) -> Value {
    let groups: Vec<Value> =
        groups(routes).iter().map(|(group, versions)| body_of(group, versions)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn group(routes: &Routes, name: &str) -> Option<Value> {
    let groups = groups(routes);
    let (group, versions) = groups.iter().find(|(group, _)| *group == name)?;
    let mut body = body_of(group, versions);
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    Some(body)
}

fn body_of(group: &str, versions: &[&str]) -> Value {
    let version = |v: &&str| json!({ "groupVersion": format!("{group}/{v}"), "version": v });
    json!({
        "name": group,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

fn resource_list(routes: &Routes, group: &str, version: &str) -> Option<Value> {
    if !routes.has_version(group, version) {
        return None;
    }
    let rows = |entry| rows(entry, &routes.stored_as(entry));
    let resources: Vec<Value> = routes.of_version(group, version).flat_map(rows).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version, "resources": resources,
    }))
}

/// The rows of a resource and its subresources, sorted by name.
fn rows(entry: &Arc<Entry>, stored_as: &str) -> Vec<Value> {
    let resource = &entry.resource;
    let mut row = json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.scope == Scope::Namespaced,
        "kind": resource.kind, "verbs": verbs(entry.discovered_verbs()),
    });
    if !resource.short_names.is_empty() {
        row["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        row["categories"] = json!(resource.categories);
    }
    if !resource.storage.is_empty() {
        row["storageVersionHash"] = storage_version_hash(stored_as, &resource.kind).into();
    }
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by_key(|s| s.name);
    [row].into_iter().chain(subresources.into_iter().map(|s| subresource_row(resource, s))).collect()
}

fn subresource_row(resource: &Row, subresource: &Subresource) -> Value {
    let mut row = json!({
        "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
        "namespaced": resource.scope == Scope::Namespaced,
        "kind": subresource.kind, "verbs": subresource_verbs(subresource),
    });
    if (&subresource.group, &subresource.version) != (&resource.group, &resource.version) {
        row["group"] = (*subresource.group).into();
        row["version"] = (*subresource.version).into();
    }
    row
}

fn verbs(verbs: &[Verb]) -> Vec<&'static str> {
    let mut names: Vec<&str> = verbs.iter().map(|verb| verb_name(*verb)).collect();
    names.sort_unstable();
    names
}

/// CONNECT subresources are listed by the verbs that their methods stand for.
fn subresource_verbs(subresource: &Subresource) -> Vec<&'static str> {
    match (subresource.verbs, subresource.name) {
        ([], "proxy") => vec!["create", "delete", "get", "patch", "update"],
        ([], _) => vec!["create", "get"],
        (some, _) => verbs(some),
    }
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Patch => "patch",
        Verb::Update => "update",
        Verb::Watch => "watch",
    }
}

/// Tells whether two servers store a resource in the same version: a hash of group, version and kind.
fn storage_version_hash(group_version: &str, kind: &str) -> String {
    let stored = format!("{group_version}/{kind}");
    base64::engine::general_purpose::STANDARD.encode(&Sha256::digest(stored)[..8])
}

/// Whether the aggregated form comes before any other that the server has.
fn wants_aggregated(exchange: &Exchange) -> bool {
    let accept = exchange.parts.headers.get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let first = by_preference(accept).into_iter().find(|clause| match clause.parameter("as") {
        "" => true,
        form => form == "APIGroupDiscoveryList" && clause.parameter("v") == "v2",
    });
    first.is_some_and(|clause| {
        clause.parameter("as") == "APIGroupDiscoveryList"
            && clause.parameter("g") == "apidiscovery.k8s.io"
            && clause.media == "application/json"
    })
}

fn aggregated(routes: &Routes, exchange: &Exchange, core: bool) -> Result<Response, ApiError> {
    let items: Vec<Value> = if core {
        vec![aggregated_group(routes, "", &["v1"])]
    } else {
        groups(routes).iter().map(|(group, versions)| aggregated_group(routes, group, versions)).collect()
    };
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    Ok(tagged(list.to_string(), exchange, AGGREGATED))
}

/// A document that a client need not load again if it has it: its ETag is its hash.
pub fn tagged(
    document: impl Into<bytes::Bytes>,
    exchange: &Exchange,
    content_type: &'static str,
) -> Response {
    let document = document.into();
    let tag = format!("\"{}\"", hex(&Sha256::digest(&document)));
    let known = exchange.parts.headers.get_all(IF_NONE_MATCH).iter();
    let unchanged = known.filter_map(|v| v.to_str().ok()).any(|known| known.contains(tag.as_str()));
    let mut response = if unchanged {
        respond::with_type(StatusCode::NOT_MODIFIED, content_type, body::empty())
    } else {
        respond::with_type(StatusCode::OK, content_type, body::whole(document))
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(&tag).expect("hexadecimal is ASCII"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn aggregated_group(routes: &Routes, group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> =
                routes.of_version(group, version).map(|entry| aggregated_resource(entry)).collect();
            json!({ "version": version, "resources": resources, "freshness": "Current" })
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({ "name": group }) };
    json!({ "metadata": metadata, "versions": versions })
}

fn aggregated_resource(entry: &Entry) -> Value {
    let resource = &entry.resource;
    let scope = if resource.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" };
    let mut row = json!({
        "resource": resource.plural,
        "responseKind": { "group": resource.group, "version": resource.version, "kind": resource.kind },
        "scope": scope, "singularResource": resource.singular, "verbs": verbs(entry.discovered_verbs()),
    });
    if !resource.short_names.is_empty() {
        row["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        row["categories"] = json!(resource.categories);
    }
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    subresources.sort_by_key(|s| s.name);
    if !subresources.is_empty() {
        row["subresources"] = subresources
            .into_iter()
            .map(|s| {
                json!({
                    "subresource": s.name,
                    "responseKind": { "group": s.group, "version": s.version, "kind": s.kind },
                    "verbs": subresource_verbs(s),
                })
            })
            .collect();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_by_stability() {
        let mut versions = vec!["v1alpha1", "v1beta2", "v2", "v1beta10", "v1", "v11"];
        versions.sort_by_key(|version| version_priority(version));
        assert_eq!(versions, ["v11", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1"]);
    }
}
