//! The whole of what is served against Kubernetes 1.37's own: resources, verbs, subresources, kinds and fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use steersman_api::catalog;

use super::Harness;
use crate::wire::body;

/// The facts, one resource or subresource a line.
const SURFACE: &str = include_str!("../../testdata/surface-1.37.txt");

/// What is said about a resource or subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    scope: String,
    verbs: BTreeSet<String>,
    short: Vec<String>,
    categories: Vec<String>,
    /// The HTTP methods by which it is connected to.
    connect: BTreeSet<String>,
}

impl Line {
    fn parse(line: &str) -> (String, Self) {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("group version, resource, scope and verbs").to_owned();
        let key = format!("{} {}", word(), word());
        let (scope, verbs) = (word(), word());
        let mut parsed = Self { scope, verbs: list(&verbs), ..Self::default() };
        for mark in words {
            match mark.split_once('=') {
                Some(("short", names)) => parsed.short = list(names),
                Some(("categories", names)) => parsed.categories = list(names),
                Some(("connect", methods)) => parsed.connect = list(methods),
                _ => panic!("{mark} in: {line}"),
            }
        }
        (key, parsed)
    }

    /// In the notation of the facts.
    fn render(&self, key: &str) -> String {
        let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(",");
        let mut out = format!("{key} {} {}", self.scope, join(&self.verbs));
        let marks = [
            ("connect", join(&self.connect)),
            ("short", self.short.join(",")),
            ("categories", self.categories.join(",")),
        ];
        for (name, names) in marks.iter().filter(|(_, names)| !names.is_empty()) {
            out.push_str(&format!(" {name}={names}"));
        }
        out
    }
}

fn list<C: FromIterator<String>>(names: &str) -> C {
    names.split(',').map(str::to_owned).collect()
}

type Table = BTreeMap<String, Line>;

fn facts() -> Table {
    let table: Table = SURFACE.lines().filter(|line| !line.starts_with('#')).map(Line::parse).collect();
    assert_eq!(table.len(), 124, "72 resources and 52 subresources");
    table
}

/// Lines that only upstream has begin with `-`, ours with `+`.
fn assert_same(upstream: &Table, ours: &Table) {
    let lines = |table: &Table| table.iter().map(|(key, line)| line.render(key)).collect::<BTreeSet<_>>();
    let (upstream, ours) = (lines(upstream), lines(ours));
    let missing = upstream.difference(&ours).map(|line| format!("-{line}"));
    let more = ours.difference(&upstream).map(|line| format!("+{line}"));
    let mut differences: Vec<String> = missing.chain(more).collect();
    differences.sort_by(|a, b| a[1..].cmp(&b[1..]));
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

fn texts<C: FromIterator<String>>(list: &Value) -> C {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// `apps/v1`, `core/v1`.
fn group_version(group: &str, version: &str) -> String {
    format!("{}/{version}", if group.is_empty() { "core" } else { group })
}

/// What aggregated discovery serves at `/api` and `/apis`.
async fn discovered(h: &Harness) -> Table {
    let mut table = Table::new();
    for uri in ["/api", "/apis"] {
        let request = Harness::request("GET", uri)
            .header("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
        let answer = h.answer(request.body(body::empty()).expect("a request")).await.ok();
        for group in array(&answer["items"]) {
            for version in array(&group["versions"]) {
                let of = group_version(text(&group["metadata"], "name"), text(version, "version"));
                array(&version["resources"]).for_each(|resource| add_discovered(&mut table, &of, resource));
            }
        }
    }
    table
}

fn add_discovered(table: &mut Table, group_version: &str, resource: &Value) {
    let scope = text(resource, "scope").to_lowercase();
    let name = text(resource, "resource");
    let line = Line {
        scope: if scope == "cluster" { scope } else { "namespaced".to_owned() },
        verbs: texts(&resource["verbs"]),
        short: texts(&resource["shortNames"]),
        categories: texts(&resource["categories"]),
        ..Line::default()
    };
    for sub in array(&resource["subresources"]) {
        let of_sub = Line { scope: line.scope.clone(), verbs: texts(&sub["verbs"]), ..Line::default() };
        table.insert(format!("{group_version} {name}/{}", text(sub, "subresource")), of_sub);
    }
    table.insert(format!("{group_version} {name}"), line);
}

/// Every document of OpenAPI v3, by group version.
async fn documents(h: &Harness) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let index = h.get("/openapi/v3").await.ok();
    for (path, entry) in index["paths"].as_object().expect("paths") {
        let of = path.strip_prefix("apis/").map_or_else(|| path.replacen("api", "core", 1), str::to_owned);
        out.insert(of, h.get(text(entry, "serverRelativeURL")).await.ok());
    }
    out
}

/// The resource or subresource below a group version's path, and whether a namespace is named.
fn resource_of(path: &str, group_version: &str) -> Option<(String, bool)> {
    let base = match group_version.strip_prefix("core/") {
        Some(version) => format!("/api/{version}/"),
        None => format!("/apis/{group_version}/"),
    };
    let rest = path.strip_prefix(&base).unwrap_or_else(|| panic!("{path} is not of {group_version}"));
    let (rest, within) = match rest.strip_prefix("namespaces/{namespace}/") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    (!rest.is_empty()).then(|| (rest.replacen("/{name}", "", 1), within))
}

/// What the paths of OpenAPI v3 offer.
fn published(documents: &BTreeMap<String, Value>) -> Table {
    let mut table = Table::new();
    for (of, document) in documents {
        for (path, item) in document["paths"].as_object().expect("paths") {
            let Some((resource, within)) = resource_of(path, of) else { continue };
            let line = table.entry(format!("{of} {resource}")).or_default();
            if line.scope.is_empty() || within {
                line.scope = if within { "namespaced" } else { "cluster" }.to_owned();
            }
            let operations = item.as_object().expect("operations").iter();
            operations.filter(|(name, _)| *name != "parameters").for_each(|(method, o)| add(line, method, o));
        }
    }
    table
}

fn add(line: &mut Line, method: &str, operation: &Value) {
    let mut action = text(operation, "x-kubernetes-action");
    if action == "connect" {
        line.connect.insert(method.to_owned());
        action = method;
    }
    let verb = match action {
        "head" | "options" => return,
        "post" => "create",
        "put" => "update",
        other => other,
    };
    line.verbs.insert(verb.to_owned());
}

#[tokio::test]
async fn discovery_is_kubernetes_own() {
    let mut upstream = facts();
    upstream.retain(|key, _| !key.ends_with("/{path}"));
    upstream.values_mut().for_each(|line| line.connect.clear());
    assert_same(&upstream, &discovered(&Harness::new().await).await);
}

#[tokio::test]
async fn openapi_paths_are_kubernetes_own() {
    let mut upstream = facts();
    for line in upstream.values_mut() {
        // A watch is a list's parameter; names for people are discovery's.
        line.verbs.remove("watch");
        (line.short, line.categories) = (Vec::new(), Vec::new());
    }
    assert_same(&upstream, &published(&documents(&Harness::new().await).await));
}

/// Every `$ref` in a document's part.
fn references<'a>(part: &'a Value, out: &mut BTreeSet<&'a str>) {
    match part {
        Value::Object(map) => {
            out.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, out));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, out)),
        _ => {}
    }
}

/// Whether the path's operations refer to a definition of the kind that this one is about: a list's for a list.
fn mentions_its_kind(document: &Value, item: &Value, operation: &Value) -> bool {
    let mut kind = operation["x-kubernetes-group-version-kind"].clone();
    if text(operation, "x-kubernetes-action") == "list" {
        kind["kind"] = format!("{}List", text(&kind, "kind")).into();
    }
    let mut found = BTreeSet::new();
    references(item, &mut found);
    let definitions = found.into_iter().filter_map(|to| document.pointer(to.strip_prefix('#')?));
    definitions.flat_map(|d| array(&d["x-kubernetes-group-version-kind"])).any(|known| *known == kind)
}

#[tokio::test]
async fn every_kind_is_defined_at_its_path() {
    let mut wrong = Vec::new();
    for (of, document) in documents(&Harness::new().await).await {
        for (path, item) in document["paths"].as_object().expect("paths") {
            // Logs are text, and what is connected to has options in place of a body.
            let has_body = |o: &&Value| {
                o["x-kubernetes-group-version-kind"].is_object()
                    && text(o, "x-kubernetes-action") != "connect"
                    && !path.ends_with("/log")
            };
            let operations = item.as_object().expect("operations").values().filter(has_body);
            let undefined = operations.filter(|operation| !mentions_its_kind(&document, item, operation));
            wrong.extend(undefined.map(|o| format!("{of} {path}: {} has no kind", text(o, "operationId"))));
        }
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let leads_somewhere = |to: &&str| to.strip_prefix('#').and_then(|at| document.pointer(at)).is_some();
        wrong.extend(
            found.iter().filter(|to| !leads_somewhere(to)).map(|to| format!("{of}: {to} is dangling")),
        );
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[tokio::test]
async fn every_definition_has_every_field() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (of, document) in documents(&Harness::new().await).await {
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            seen.insert(name.clone());
            let Some(id) = catalog().definition(name) else {
                wrong.push(format!("{of}: {name} is unknown"));
                continue;
            };
            let known: BTreeSet<&str> = catalog().fields(id).iter().map(|field| field.name).collect();
            let ours = schema["properties"].as_object().into_iter().flat_map(|map| map.keys());
            let ours: BTreeSet<&str> = ours.map(String::as_str).collect();
            let different = known.symmetric_difference(&ours);
            wrong.extend(different.map(|field| format!("{of}: {name}.{field}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(seen.len() > 600, "only {} definitions are published", seen.len());
}
