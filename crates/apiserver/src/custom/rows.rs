//! What a definition adds to the table of resources: one row a served version.

use std::sync::Arc;

use serde_json::{Value, json};
use steersman_apiextensions::{Published, ScalePaths, Schema};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;
use steersman_registry::{Scope, Verb};

use super::kind::{CustomType, Family, Version, untyped};
use super::rules::CustomRules;
use super::{columns, conditions};
use crate::codec::Definition;
use crate::documents::version_priority;
use crate::hooks;
use crate::routes::Entry;
use crate::row::{Row, Rules, Storing, Subresource, Text};

const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// What the rows of a definition depend on; null if it has none.
pub fn basis(definition: &Tree) -> Tree {
    if !is_served(definition) {
        return Value::Null;
    }
    json!([definition.uid(), definition.get("spec"), definition.at("status.acceptedNames"),])
}

fn is_served(definition: &Tree) -> bool {
    ["NamesAccepted", "Established"].iter().any(|condition| conditions::holds(definition, condition))
}

/// Whether the definition is about to go, and its objects with it.
pub fn is_terminating(definition: &Tree) -> bool {
    definition.is_deleting() || conditions::holds(definition, "Terminating")
}

/// The served resources of a definition; none before its names are accepted. An error says why it cannot be served.
pub fn entries(definition: &Tree) -> Result<Vec<Entry>, String> {
    if !is_served(definition) {
        return Ok(Vec::new());
    }
    let family = Arc::new(family(definition)?);
    let served = family.versions.iter().enumerate().filter(|(_, version)| version.served);
    served.map(|(at, _)| entry(definition, &family, at)).collect()
}

/// The resource in its storage version, whether it is served or not.
pub fn storage_entry(definition: &Tree) -> Result<Entry, String> {
    let family = Arc::new(family(definition)?);
    entry(definition, &family, storage_version(definition)?)
}

/// Why the schemas of a definition cannot be worked with, if they cannot.
pub fn non_structural(definition: &Tree) -> Option<String> {
    let keeps = definition.bool_at("spec.preserveUnknownFields") == Some(true);
    keeps.then(|| "spec.preserveUnknownFields: Invalid value: true: must be false".to_owned())
}

fn storage_version(definition: &Tree) -> Result<usize, String> {
    let mut versions = definition.items_at("spec.versions").iter();
    versions.position(|v| v.bool_at("storage") == Some(true)).ok_or_else(|| "no version is stored".to_owned())
}

fn family(definition: &Tree) -> Result<Family, String> {
    let (group, kind) = (definition.str_at("spec.group").to_owned(), accepted(definition, "kind")?);
    let (list_kind, plural) = (accepted(definition, "listKind")?, accepted(definition, "plural")?);
    let keeps = definition.bool_at("spec.preserveUnknownFields") == Some(true);
    let version = |written: &Tree| {
        let published = Published {
            group: &group,
            version: written.str_at("name"),
            kind: &kind,
            list_kind: &list_kind,
            plural: &plural,
            selectable_fields: written.items_at("selectableFields"),
        };
        version(&published, written, keeps)
    };
    let versions: Result<_, String> = definition.items_at("spec.versions").iter().map(version).collect();
    let has_webhook = definition.str_at("spec.conversion.strategy") == "Webhook";
    Ok(Family { versions: versions?, has_webhook, kind, group })
}

fn version(published: &Published<'_>, version: &Tree, keeps: bool) -> Result<Version, String> {
    let name = version.str_at("name").to_owned();
    let mut written = version.at("schema.openAPIV3Schema").cloned().unwrap_or_else(untyped);
    if keeps {
        written["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    Ok(Version {
        api_version: format!("{}/{name}", published.group),
        definition: published.name(),
        served: version.bool_at("served") == Some(true),
        schema: Schema::parse(&written).map_err(|why| format!("version {name}: {why}"))?,
        published: Arc::new(published.definition(version.at("schema.openAPIV3Schema"))),
        published_list: (published.list_name(), Arc::new(published.list())),
        name,
    })
}

fn entry(definition: &Tree, family: &Arc<Family>, at: usize) -> Result<Entry, String> {
    let kind = CustomType::new(family.clone(), at);
    let written = &definition.items_at("spec.versions")[at];
    let stored = storage_version(definition)?;
    let has_status = written.at("subresources.status").is_some();
    let scale = written.at("subresources.scale").map(ScalePaths::parse);
    let group = definition.str_at("spec.group");
    let plural = accepted(definition, "plural")?;
    let row = Row {
        id: Row::next_id(),
        group: group.to_owned().into(),
        version: kind.version().name.clone().into(),
        kind: family.kind.clone().into(),
        list_kind: accepted(definition, "listKind")?.into(),
        singular: accepted(definition, "singular")?.into(),
        short_names: texts(definition, "status.acceptedNames.shortNames"),
        categories: texts(definition, "status.acceptedNames.categories"),
        scope: match definition.str_at("spec.scope") {
            "Namespaced" => Scope::Namespaced,
            _ => Scope::Cluster,
        },
        verbs: Verb::ALL,
        subresources: subresources(&kind, has_status, scale.is_some()),
        storage: format!("{group}/{plural}").into(),
        plural: plural.into(),
        columns: columns::of(written),
        selectable_fields: columns::selectable_fields(written),
        storing: match stored == at {
            true => Storing::Same,
            false => Storing::Version(CustomType::new(family.clone(), stored)),
        },
        deprecation: deprecation(definition, written).map(Text::Owned),
        scale: scale.clone(),
        strategy: Rules::Custom(Arc::new(CustomRules { kind: kind.clone(), has_status, scale })),
        definition: Definition::Custom(kind),
    };
    Ok(Entry::new(row, hooks::none()))
}

/// A name that was accepted; without it nothing can be served.
fn accepted(definition: &Tree, field: &str) -> Result<String, String> {
    match definition.str_at(&format!("status.acceptedNames.{field}")) {
        "" => Err(format!("status.acceptedNames.{field} is empty")),
        name => Ok(name.to_owned()),
    }
}

fn texts(tree: &Tree, path: &str) -> Vec<Text> {
    tree.items_at(path).iter().filter_map(Value::as_str).map(|text| text.to_owned().into()).collect()
}

fn subresources(kind: &CustomType, status: bool, scale: bool) -> Vec<Subresource> {
    let own = status.then(|| Subresource {
        name: "status",
        group: kind.family().group.clone().into(),
        version: kind.version().name.clone().into(),
        kind: kind.family().kind.clone().into(),
        verbs: Verb::READ_WRITE,
        definition: Definition::Custom(kind.clone()),
    });
    let scale = scale.then(|| Subresource {
        name: "scale",
        group: "autoscaling".into(),
        version: "v1".into(),
        kind: "Scale".into(),
        verbs: Verb::READ_WRITE,
        definition: Definition::Catalogue(SCALE),
    });
    own.into_iter().chain(scale).collect()
}

/// What users of a deprecated version are told.
fn deprecation(definition: &Tree, version: &Tree) -> Option<String> {
    if version.bool_at("deprecated") != Some(true) {
        return None;
    }
    if let Some(said) = version.at("deprecationWarning").and_then(Value::as_str) {
        return Some(said.to_owned());
    }
    let (group, kind) = (definition.str_at("spec.group"), definition.str_at("spec.names.kind"));
    let own = version_priority(version.str_at("name"));
    let better = definition.items_at("spec.versions").iter().filter(|other| {
        other.bool_at("served") == Some(true)
            && other.bool_at("deprecated") != Some(true)
            && version_priority(other.str_at("name")) < own
    });
    let best = better.map(|other| other.str_at("name")).min_by_key(|name| version_priority(name));
    let mut text = format!("{group}/{} {kind} is deprecated", version.str_at("name"));
    if let Some(best) = best {
        text.push_str(&format!("; use {group}/{best} {kind}"));
    }
    Some(text)
}
