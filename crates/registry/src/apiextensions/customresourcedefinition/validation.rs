//! Validation of custom resource definitions as wholes.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::{dns1035_label_problems, dns1123_subdomain_problems};
use steersman_apimachinery::quote::quote;

use super::conversion::{self, conversion};
use super::layout::{COLUMNS, SCHEMA, SELECTABLE, SUBRESOURCES, has_status, schemas};
use super::names::names;
use super::{is_established, versions};
use crate::apiextensions::schema::{any, defaults, openapi, structural};
use crate::checks::{Seen, immutable, required, required_word};
use crate::tree::Read;

/// What is checked though definitions of before the check may lack it.
struct Demands<'a> {
    versions: versions::Demands,
    conversion: conversion::Demands,
    /// Every version has a schema, not only the served ones.
    all_schemas: bool,
    /// The spec before, for an update.
    old: Option<&'a Tree>,
}

/// Checks a new definition.
pub(super) fn create(crd: &Tree) -> ErrorList {
    let demands = Demands {
        versions: versions::Demands {
            structural: true,
            pruned_defaults: true,
            openapi: openapi::Demands::ALL,
        },
        conversion: conversion::Demands::NEW,
        all_schemas: true,
        old: None,
    };
    let mut found = ErrorList::new();
    object_name(&mut found, crd);
    spec(&mut found, crd.at("spec"), &demands);
    rest(&mut found, crd, None);
    found
}

/// Checks a change.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let (before, established) = (old.at("spec"), is_established(old));
    let demands = Demands {
        versions: versions::Demands {
            structural: schemas(before).all(structural::is_structural),
            pruned_defaults: schemas(before).all(defaults::are_pruned),
            openapi: openapi::Demands::met_by(schemas(before)),
        },
        conversion: conversion::Demands::of(old, established),
        all_schemas: schemas(before).count() == before.items("versions").len(),
        old: Some(before),
    };
    let mut found = ErrorList::new();
    spec(&mut found, new.at("spec"), &demands);
    let fixed =
        [("scope", established), ("names.kind", established), ("group", true), ("names.plural", true)];
    for (field, _) in fixed.into_iter().filter(|(_, fixed)| *fixed) {
        let text = |crd: &Tree| Tree::from(crd.at("spec").text(field));
        immutable(&mut found, Path::new("spec").child(field), &text(new), &text(old));
    }
    rest(&mut found, new, Some(old));
    found
}

/// Checks what a controller reports.
pub(super) fn status(crd: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    names(&mut found, crd.at("status.acceptedNames"), &Path::new("status").child("acceptedNames"));
    found
}

fn rest(found: &mut ErrorList, crd: &Tree, old: Option<&Tree>) {
    found.extend(status(crd));
    stored_versions(found, crd);
    found.extend(approval_problem(crd, old));
    let preserves = |crd: &Tree| crd.flag("spec.preserveUnknownFields");
    if preserves(crd) && !old.is_some_and(preserves) {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        found.push(Error::invalid(Path::new("spec").child("preserveUnknownFields"), true, why));
    }
}

/// The name says the resource and the group.
fn object_name(found: &mut ErrorList, crd: &Tree) {
    let wanted = format!("{}.{}", crd.text("spec.names.plural"), crd.text("spec.group"));
    for field in ["generateName", "name"] {
        let name = crd.at("metadata").text(field);
        if !name.is_empty() && name != wanted {
            let why = "must be spec.names.plural+\".\"+spec.group";
            found.push(Error::invalid(Path::new("metadata").child(field), name, why));
        }
    }
}

fn spec(found: &mut ErrorList, spec: &Tree, demands: &Demands) {
    let path = Path::new("spec");
    group(found, spec.text("group"), &path.child("group"));
    required_word(found, path.child("scope"), spec.text("scope"), &["Cluster", "Namespaced"]);
    let preserves = spec.flag("preserveUnknownFields");
    missing_schemas(found, spec, preserves, demands, &path);
    let with_defaults = schemas(spec).any(defaults::has_any);
    if with_defaults && preserves {
        let why = "must be false in order to use defaults in the schema";
        found.push(Error::invalid(path.child("preserveUnknownFields"), true, why));
    }
    let structural =
        demands.versions.structural || !preserves || with_defaults || schemas(spec).any(has_extension);
    let strict = versions::Demands { structural, ..demands.versions };
    let all = spec.items("versions");
    for (index, version) in all.iter().enumerate() {
        self::version(found, spec, version, &path.child("versions").index(index), strict, demands);
    }
    version_list(found, spec, all, &path);
    spec_names(found, spec.at("names"), &path.child("names"));
    shared(found, spec, all, &path, strict, demands);
    let strategy = spec.at("conversion").text("strategy");
    if preserves && spec.has("conversion") && strategy != "None" {
        let why = "must be None if spec.preserveUnknownFields is true";
        found.push(Error::invalid(path.child("conversion").child("strategy"), strategy, why));
    }
    conversion(found, spec.at("conversion"), &path.child("conversion"), demands.conversion);
}

fn group(found: &mut ErrorList, group: &str, path: &Path) {
    let problems = dns1123_subdomain_problems(group, false);
    if group.is_empty() {
        found.push(Error::required(path.clone(), ""));
    } else if !problems.is_empty() {
        found.push(Error::invalid(path.clone(), group, problems.join(",")));
    } else if !group.contains('.') {
        found.push(Error::invalid(path.clone(), group, "should be a domain with at least one dot"));
    }
}

fn missing_schemas(found: &mut ErrorList, spec: &Tree, preserves: bool, demands: &Demands, path: &Path) {
    for (index, version) in spec.items("versions").iter().enumerate() {
        if version.has("schema.openAPIV3Schema") {
            continue;
        }
        let at = path.child("versions").index(index).child("schema").child("openAPIV3Schema");
        if demands.all_schemas {
            found.push(Error::required(at, ""));
        } else if !preserves && version.flag("served") {
            found.push(Error::required(at, "because otherwise all fields are pruned"));
        }
    }
}

/// Whether a schema says something that only structural schemas can.
fn has_extension(schema: &Tree) -> bool {
    any(schema, &mut |schema| {
        schema.flag("x-kubernetes-embedded-resource")
            || schema.flag("x-kubernetes-int-or-string")
            || schema.has("x-kubernetes-preserve-unknown-fields")
            || schema.has("x-kubernetes-list-type")
            || !schema.items("x-kubernetes-list-map-keys").is_empty()
            || !schema.items("x-kubernetes-validations").is_empty()
    })
}

/// What a version has for itself.
fn version(
    found: &mut ErrorList,
    spec: &Tree,
    version: &Tree,
    path: &Path,
    strict: versions::Demands,
    demands: &Demands,
) {
    let name = version.text("name");
    let problems = dns1035_label_problems(name, false);
    if !problems.is_empty() {
        found.push(Error::invalid(path.child("name"), name, problems.join(",")));
    }
    versions::deprecation(found, version, path);
    versions::schema(
        found,
        SCHEMA.own(spec, version),
        has_status(version),
        &SCHEMA.path_in_version(path),
        strict,
    );
    versions::subresources(found, SUBRESOURCES.own(spec, version), &SUBRESOURCES.path_in_version(path));
    versions::columns(found, COLUMNS.own(spec, version), &COLUMNS.path_in_version(path));
    let (fields, at) = (SELECTABLE.own(spec, version), SELECTABLE.path_in_version(path));
    if fields.items("").is_empty() {
        return;
    }
    let schema = SCHEMA.own(spec, version).at("openAPIV3Schema");
    if schema.is_object() {
        let old = demands.old.into_iter().flat_map(|old| old.items("versions"));
        let old = old.filter(|old| old.text("name") == name).map(|old| old.at("selectableFields"));
        let more = old.into_iter().any(|old| versions::too_many_already(fields, old));
        versions::selectable(found, fields, schema, &at, more);
    } else {
        let why = "may only be set when `version.schema.openAPIV3Schema` is not included";
        found.push(Error::invalid(at, "", why));
    }
}

/// What all versions have in common.
fn shared(
    found: &mut ErrorList,
    spec: &Tree,
    all: &[Tree],
    path: &Path,
    strict: versions::Demands,
    demands: &Demands,
) {
    let any_status = all.iter().any(has_status);
    if let Some(part) = SCHEMA.shared(spec) {
        versions::schema(found, part, any_status, &SCHEMA.path_at_top(path), strict);
    }
    if let Some(part) = SUBRESOURCES.shared(spec) {
        versions::subresources(found, part, &SUBRESOURCES.path_at_top(path));
    }
    if let Some(part) = COLUMNS.shared(spec) {
        versions::columns(found, part, &COLUMNS.path_at_top(path));
    }
    let Some(fields) = SELECTABLE.shared(spec).filter(|fields| !fields.items("").is_empty()) else { return };
    let at = SELECTABLE.path_at_top(path);
    match SCHEMA.shared(spec) {
        Some(part) if part.is_object() => {
            let old = demands.old.and_then(|old| SELECTABLE.shared(old));
            let more = old.is_some_and(|old| versions::too_many_already(fields, old));
            versions::selectable(found, fields, part.at("openAPIV3Schema"), &at, more);
        }
        _ => found.push(Error::invalid(at, "", "may only be set when validations.schema is included")),
    }
}

fn version_list(found: &mut ErrorList, spec: &Tree, all: &[Tree], path: &Path) {
    let at = path.child("versions");
    let mut seen = Seen::default();
    if !all.iter().all(|version| seen.first(version.text("name"))) {
        found.push(Error::invalid(
            at.clone(),
            versions::as_go(spec.at("versions")),
            "must contain unique version names",
        ));
    }
    if all.iter().filter(|version| version.flag("storage")).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        found.push(Error::invalid(at, versions::as_go(spec.at("versions")), why));
    }
    // Upstream's own form repeats the first version's name.
    let first = spec.items("versions").first().map(|version| version.text("name")).unwrap_or_default();
    let problems = dns1035_label_problems(first, false);
    if !first.is_empty() && !problems.is_empty() {
        found.push(Error::invalid(path.child("version"), first, problems.join(",")));
    }
}

fn spec_names(found: &mut ErrorList, given: &Tree, path: &Path) {
    for field in ["plural", "singular", "kind", "listKind"] {
        required(found, path.child(field), given.text(field));
    }
    names(found, given, path);
}

fn stored_versions(found: &mut ErrorList, crd: &Tree) {
    let (stored, path) = (crd.texts("status.storedVersions"), Path::new("status").child("storedVersions"));
    let shown = || crd.at("status.storedVersions").clone();
    if stored.is_empty() {
        found.push(Error::invalid(path, shown(), "must have at least one stored version"));
        return;
    }
    let all = crd.items("spec.versions");
    for version in all.iter().filter(|version| version.flag("storage")) {
        let name = version.text("name");
        if !stored.contains(&name) {
            found.push(Error::invalid(
                path.clone(),
                shown(),
                format!("must have the storage version {name}"),
            ));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !all.iter().any(|version| version.text("name") == *name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            found.push(Error::invalid(path.index(index), *name, why));
        }
    }
}

const APPROVAL: &str = "api-approved.kubernetes.io";

#[derive(PartialEq, Eq)]
enum Approval {
    Missing,
    Given,
    Bypassed,
    Invalid,
}

fn approval(crd: &Tree) -> Approval {
    let text = crd.at("metadata.annotations").get(APPROVAL).and_then(Tree::as_str).unwrap_or_default();
    let host =
        |(scheme, rest): (&str, &str)| !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/');
    match text {
        "" => Approval::Missing,
        _ if text.starts_with("unapproved") => Approval::Bypassed,
        _ if text.split_once("://").is_some_and(host) => Approval::Given,
        _ => Approval::Invalid,
    }
}

/// Groups of the community's own domains need an approval, unless nothing changes about it.
fn approval_problem(crd: &Tree, old: Option<&Tree>) -> Option<Error> {
    let group = crd.text("spec.group");
    let mut domains = ["k8s.io", "kubernetes.io"].into_iter();
    let protected =
        domains.any(|domain| group.strip_suffix(domain).is_some_and(|g| g.is_empty() || g.ends_with('.')));
    let state = approval(crd);
    if !protected || old.is_some_and(|old| approval(old) == state) {
        return None;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVAL);
    let head = format!("protected groups must have approval annotation {}", quote(APPROVAL));
    let tail = "see https://github.com/kubernetes/enhancements/pull/1111";
    match state {
        Approval::Missing => Some(Error::required(path, format!("{head}, {tail}"))),
        Approval::Invalid => {
            let text = crd.at("metadata.annotations").get(APPROVAL).cloned().unwrap_or_default();
            let why = format!("{head} with either a URL or a reason starting with \"unapproved\", {tail}");
            Some(Error::invalid(path, text, why))
        }
        Approval::Given | Approval::Bypassed => None,
    }
}

#[cfg(test)]
mod tests;
