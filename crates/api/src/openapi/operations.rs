//! Paths and their operations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameters;
use super::{Action, Flavour, Parts, PathSpec, SubresourceSpec};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const STREAMS: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// Strategic merge stands last: custom resources do not have it.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// What a subresource's own path may have.
const OF_SUBRESOURCES: [Action; 7] = [
    Action::Get,
    Action::Create,
    Action::Update,
    Action::Patch,
    Action::Delete,
    Action::Connect,
    Action::Proxy,
];

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// What an operation acts on: a resource, or a subresource of it.
struct Target<'a> {
    resource: &'a PathSpec,
    sub: Option<&'a SubresourceSpec>,
    actions: &'a [Action],
    definition: &'a str,
}

impl<'a> Target<'a> {
    fn resource(resource: &'a PathSpec) -> Self {
        Self { resource, sub: None, actions: &resource.actions, definition: &resource.definition }
    }

    fn sub(resource: &'a PathSpec, sub: &'a SubresourceSpec) -> Self {
        Self { resource, sub: Some(sub), actions: &sub.actions, definition: &sub.definition }
    }

    fn kind(&self) -> Value {
        let (group, version, kind) = match self.sub {
            Some(sub) => (&sub.group, &sub.version, &sub.kind),
            None => (&self.resource.group, &self.resource.version, &self.resource.kind),
        };
        json!({"group": group, "version": version, "kind": kind})
    }
}

/// The definitions that the operations of a resource mention.
pub(super) fn definitions(resource: &PathSpec) -> Vec<String> {
    let mut out: Vec<String> = ["APIResourceList", "DeleteOptions", "Patch", "Status", "WatchEvent"]
        .map(|kind| format!("{META}{kind}"))
        .into();
    out.push(resource.definition.clone());
    out.push(format!("{}List", resource.definition));
    out.extend(resource.subresources.iter().map(|sub| sub.definition.clone()));
    out
}

impl Parts<'_> {
    /// A resource's paths, each with its operations.
    pub(super) fn paths(&self, resource: &PathSpec) -> BTreeMap<String, Value> {
        let base = group_path(&resource.group, &resource.version);
        let plural = &resource.plural;
        let all = format!("{base}/{plural}");
        let collection = if resource.namespaced {
            format!("{base}/namespaces/{{namespace}}/{plural}")
        } else {
            all.clone()
        };
        let object = format!("{collection}/{{name}}");
        let target = Target::resource(resource);
        let mut out = BTreeMap::new();
        if resource.namespaced {
            self.add(&mut out, &all, &target, &[Action::List]);
        }
        self.add(&mut out, &collection, &target, &[Action::List, Action::Create, Action::DeleteCollection]);
        self.add(&mut out, &object, &target, &[Action::Get, Action::Update, Action::Patch, Action::Delete]);
        for sub in &resource.subresources {
            let path = format!("{object}/{}", sub.name);
            let target = Target::sub(resource, sub);
            self.add(&mut out, &path, &target, &OF_SUBRESOURCES);
            self.add(&mut out, &format!("{path}/{{path}}"), &target, &[Action::Proxy]);
        }
        out
    }

    /// The path that lists a group version's resources.
    pub(super) fn group_item(&self, group: &str, version: &str) -> (String, Value) {
        let list = format!("{META}APIResourceList");
        let operation = json!({
            "description": "get available resources",
            "operationId": format!("get{}APIResources", id_prefix(group, version)),
            "tags": [tag(group, version)],
            "responses": self.responses(&[("200", Cow::Borrowed(&list))], &[JSON, YAML, PROTOBUF]),
        });
        (
            format!("{}/", group_path(group, version)),
            json!({"get": self.with_media(operation, &[], &[JSON, YAML, PROTOBUF])}),
        )
    }

    fn add(&self, out: &mut BTreeMap<String, Value>, path: &str, target: &Target<'_>, actions: &[Action]) {
        let mut item = Map::new();
        for action in actions.iter().filter(|a| target.actions.contains(a)) {
            for method in methods(*action) {
                item.insert((*method).to_owned(), self.operation(path, target, *action, method));
            }
        }
        if item.is_empty() {
            return;
        }
        let parameters = parameters::path(path, &target.resource.kind, self.flavour);
        item.insert("parameters".to_owned(), parameters.into());
        out.insert(path.to_owned(), item.into());
    }

    fn operation(&self, path: &str, target: &Target<'_>, action: Action, method: &str) -> Value {
        let resource = target.resource;
        let mut query = parameters::query(action, self.flavour);
        let body = body(target, action);
        if let (Flavour::V2, Some(definition)) = (self.flavour, &body) {
            let required = action != Action::Delete && action != Action::DeleteCollection;
            let schema = self.flavour.reference(definition);
            let mut body = json!({"name": "body", "in": "body", "schema": schema});
            if required {
                body["required"] = true.into();
            }
            query.insert(0, body);
        }
        let custom = self.source.custom.contains_key(&resource.definition);
        let produced: Vec<&str> = produced(action, custom);
        let mut operation = json!({
            "description": description(target, action),
            "operationId": operation_id(path, target, action, method),
            "tags": [tag(&resource.group, &resource.version)],
            "responses": self.responses(&answers(target, action), &produced),
            "x-kubernetes-action": action_name(action),
            "x-kubernetes-group-version-kind": target.kind(),
        });
        if !query.is_empty() {
            operation["parameters"] = query.into();
        }
        let consumed: &[&str] = match (action, custom) {
            (Action::Patch, true) => &PATCHES[..3],
            (Action::Patch, false) => &PATCHES,
            (_, true) => &[JSON, YAML],
            (_, false) => &["*/*"],
        };
        if let (Flavour::V3, Some(definition)) = (self.flavour, &body) {
            operation["requestBody"] = json!({"content": self.content(definition, consumed)});
        }
        self.with_media(operation, consumed, &produced)
    }

    /// v2 states media types beside the operation, v3 within bodies.
    fn with_media(&self, mut operation: Value, consumed: &[&str], produced: &[&str]) -> Value {
        if self.flavour == Flavour::V2 {
            operation["schemes"] = json!(["https"]);
            operation["produces"] = json!(produced);
            if !consumed.is_empty() {
                operation["consumes"] = json!(consumed);
            }
        }
        operation
    }

    fn content(&self, definition: &str, media: &[&str]) -> Value {
        let schema = self.schema_or_text(definition);
        media.iter().map(|m| ((*m).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
    }

    /// Answers without a definition are text.
    fn schema_or_text(&self, definition: &str) -> Value {
        if definition.is_empty() { json!({"type": "string"}) } else { self.flavour.reference(definition) }
    }

    fn responses(&self, answers: &[(&str, Cow<'_, str>)], produced: &[&str]) -> Value {
        let mut out = json!({"401": {"description": "Unauthorized"}});
        for (code, definition) in answers {
            let description = match *code {
                "201" => "Created",
                "202" => "Accepted",
                _ => "OK",
            };
            out[*code] = match self.flavour {
                Flavour::V2 => json!({"description": description, "schema": self.schema_or_text(definition)}),
                Flavour::V3 => {
                    json!({"description": description, "content": self.content(definition, produced)})
                }
            };
        }
        out
    }
}

/// `/api/v1`, `/apis/apps/v1`.
pub(super) fn group_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn methods(action: Action) -> &'static [&'static str] {
    match action {
        Action::Get | Action::List | Action::Watch => &["get"],
        Action::Create => &["post"],
        Action::Update => &["put"],
        Action::Patch => &["patch"],
        Action::Delete | Action::DeleteCollection => &["delete"],
        Action::Connect => &["get", "post"],
        Action::Proxy => &["get", "put", "post", "delete", "options", "head", "patch"],
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Get => "get",
        Action::List => "list",
        Action::Watch => "watch",
        Action::Create => "post",
        Action::Update => "put",
        Action::Patch => "patch",
        Action::Delete => "delete",
        Action::DeleteCollection => "deletecollection",
        Action::Connect | Action::Proxy => "connect",
    }
}

fn description(target: &Target<'_>, action: Action) -> String {
    let kind = &target.resource.kind;
    let what = match target.sub {
        Some(sub) => format!("{} of the specified {kind}", sub.name),
        None => format!("the specified {kind}"),
    };
    match action {
        Action::Get => format!("read {what}"),
        Action::List | Action::Watch => format!("list or watch objects of kind {kind}"),
        Action::Create if target.sub.is_none() => format!("create a {kind}"),
        Action::Create => format!("create {what}"),
        Action::Update => format!("replace {what}"),
        Action::Patch => format!("partially update {what}"),
        Action::Delete => format!("delete {what}"),
        Action::DeleteCollection => format!("delete collection of {kind}"),
        Action::Connect | Action::Proxy => format!("connect to {what}"),
    }
}

fn body(target: &Target<'_>, action: Action) -> Option<String> {
    match action {
        Action::Create | Action::Update => Some(target.definition.to_owned()).filter(|d| !d.is_empty()),
        Action::Patch => Some(format!("{META}Patch")),
        Action::Delete | Action::DeleteCollection => Some(format!("{META}DeleteOptions")),
        Action::Get | Action::List | Action::Watch | Action::Connect | Action::Proxy => None,
    }
}

fn produced(action: Action, custom: bool) -> Vec<&'static str> {
    if custom {
        return vec![JSON, YAML];
    }
    let mut out = vec![JSON, PROTOBUF, YAML];
    match action {
        Action::List | Action::Watch => out.extend(STREAMS),
        Action::Connect | Action::Proxy => return vec!["*/*"],
        _ => {}
    }
    out
}

/// Status codes and the definitions that they come with.
fn answers<'a>(target: &Target<'a>, action: Action) -> Vec<(&'static str, Cow<'a, str>)> {
    let own = Cow::Borrowed(target.definition);
    let status: Cow<'_, str> = Cow::Owned(format!("{META}Status"));
    match action {
        Action::Get => vec![("200", own)],
        Action::Connect | Action::Proxy => vec![("200", "".into())],
        Action::List | Action::Watch => vec![("200", format!("{}List", target.definition).into())],
        Action::Create => vec![("200", own.clone()), ("201", own.clone()), ("202", own)],
        Action::Update | Action::Patch => vec![("200", own.clone()), ("201", own)],
        Action::Delete => vec![("200", status.clone()), ("202", status)],
        Action::DeleteCollection => vec![("200", status)],
    }
}

/// `readAppsV1NamespacedDeploymentStatus`.
fn operation_id(path: &str, target: &Target<'_>, action: Action, method: &str) -> String {
    let resource = target.resource;
    let verb = match action {
        Action::Get => "read",
        Action::List => "list",
        Action::Watch => "watch",
        Action::Create => "create",
        Action::Update => "replace",
        Action::Patch => "patch",
        Action::Delete => "delete",
        Action::DeleteCollection => "deleteCollection",
        Action::Connect | Action::Proxy => &format!("connect{}", capitalized(method)),
    };
    let within = path.contains("{namespace}");
    let namespaced = if within { "Namespaced" } else { "" };
    let everywhere = if resource.namespaced && !within { "ForAllNamespaces" } else { "" };
    let sub = target.sub.map(|sub| capitalized(&sub.name)).unwrap_or_default();
    let below = if path.ends_with("{path}") { "WithPath" } else { "" };
    let prefix = id_prefix(&resource.group, &resource.version);
    format!("{verb}{prefix}{namespaced}{}{sub}{below}{everywhere}", resource.kind)
}

/// `AppsV1`, `RbacAuthorizationV1`.
fn id_prefix(group: &str, version: &str) -> String {
    format!("{}{}", group_name(group), capitalized(version))
}

fn group_name(group: &str) -> String {
    let short = if group.is_empty() { "core" } else { group.strip_suffix(".k8s.io").unwrap_or(group) };
    short.split('.').map(capitalized).collect()
}

/// `apps_v1`, `rbacAuthorization_v1`.
fn tag(group: &str, version: &str) -> String {
    let name = group_name(group);
    let mut chars = name.chars();
    let first: String = chars.next().map(|c| c.to_ascii_lowercase()).into_iter().collect();
    format!("{first}{}_{version}", chars.as_str())
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first: String = chars.next().map(|c| c.to_ascii_uppercase()).into_iter().collect();
    format!("{first}{}", chars.as_str())
}
