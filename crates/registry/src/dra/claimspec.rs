//! Specs of claims for devices, alike for claims and for the templates of claims.

use std::collections::BTreeMap;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use super::checks::{configuration, fully_qualified_name, limited, selectors, toleration, unique};
use crate::checks::{known_word, label, required, subdomain};
use crate::tree::{Read, Write};

const MAX_REQUESTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_CONSTRAINTS: usize = 32;
/// The most configurations of a claim.
pub(super) const MAX_CONFIGS: usize = 32;
const ONE_OF: &str = "exactly one of `exactly` or `firstAvailable` is required";
const REFERENCE: &str = "must be the name of a request in the claim or the name of a request and a subrequest \
separated by '/'";

/// Completes a spec.
pub(super) fn defaults(spec: &mut Tree) {
    let Some(devices) = spec.object_mut("devices") else { return };
    for request in devices.items_mut("requests") {
        if let Some(exactly) = request.part_mut("exactly") {
            device_request(exactly);
        }
        request.items_mut("firstAvailable").iter_mut().for_each(device_request);
    }
}

fn device_request(request: &mut Tree) {
    request.default_text("allocationMode", "ExactCount");
    if request.text("allocationMode") == "ExactCount" {
        request.default_number("count", 1);
    }
    for toleration in request.items_mut("tolerations") {
        toleration.default_text("operator", "Equal");
    }
}

/// Drops what is alpha and off: attributes derived by expressions.
pub(super) fn drop_disabled(spec: &mut Tree, old: &Tree) {
    const FIELD: &str = "derivedAttributes";
    let requests = || old.items("devices.requests").iter();
    let alternatives = requests().flat_map(|request| request.items("firstAvailable"));
    let mut all = requests().map(|request| request.at("exactly")).chain(alternatives);
    if all.any(|request| request.has(FIELD)) {
        return;
    }
    let Some(devices) = spec.part_mut("devices") else { return };
    for request in devices.items_mut("requests") {
        if let Some(exactly) = request.part_mut("exactly") {
            exactly.remove(FIELD);
        }
        request.items_mut("firstAvailable").iter_mut().for_each(|request| request.remove(FIELD));
    }
}

/// The names of the requests of a claim, each with those of its alternatives.
pub(super) struct Requests<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Requests<'a> {
    /// Those of a spec.
    pub(super) fn of(spec: &'a Tree) -> Self {
        let alternatives =
            |request: &'a Tree| request.items("firstAvailable").iter().map(|sub| sub.text("name")).collect();
        let requests = spec.items("devices.requests").iter();
        Self(requests.map(|request| (request.text("name"), alternatives(request))).collect())
    }

    fn has(&self, name: &str) -> bool {
        let (request, alternative) = match name.split_once('/') {
            Some((request, alternative)) => (request, Some(alternative)),
            None => (name, None),
        };
        let found = self.0.get(request);
        found.is_some_and(|subs| alternative.is_none_or(|alternative| subs.contains(&alternative)))
    }

    /// A reference to a request.
    pub(super) fn reference(&self, found: &mut ErrorList, name: &str, path: &Path) {
        if name.split('/').count() > 2 {
            found.push(Error::invalid(path.clone(), name, REFERENCE));
            return;
        }
        name.split('/').for_each(|part| label(found, path, part));
        if !self.has(name) {
            found.push(Error::invalid(path.clone(), name, REFERENCE));
        }
    }

    /// The list `requests` of something that is about some of the requests.
    pub(super) fn references(&self, found: &mut ErrorList, holder: &Tree, path: &Path) {
        let (names, path) = (holder.items("requests"), path.child("requests"));
        limited(found, names, MAX_REQUESTS, &path, |found, name, path| {
            self.reference(found, name.as_str().unwrap_or_default(), path);
        });
        unique(found, names, MAX_REQUESTS, &path, &[]);
    }
}

/// Checks a new spec.
pub(super) fn validate(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (devices, path) = (spec.at("devices"), path.child("devices"));
    let names = Requests::of(spec);
    let (requests, at) = (devices.items("requests"), path.child("requests"));
    limited(found, requests, MAX_REQUESTS, &at, request);
    unique(found, requests, MAX_REQUESTS, &at, &["name"]);
    let at = path.child("constraints");
    limited(found, devices.items("constraints"), MAX_CONSTRAINTS, &at, |found, constraint, path| {
        names.references(found, constraint, path);
        attribute(found, constraint, path);
    });
    let at = path.child("config");
    limited(found, devices.items("config"), MAX_CONFIGS, &at, |found, config, path| {
        names.references(found, config, path);
        configuration(found, config, path, false);
    });
}

fn request(found: &mut ErrorList, request: &Tree, path: &Path) {
    label(found, &path.child("name"), request.text("name"));
    let alternatives = request.items("firstAvailable");
    match (request.has("exactly"), !alternatives.is_empty()) {
        (false, false) => found.push(Error::required(path.clone(), ONE_OF)),
        (true, true) => {
            let why = format!("{ONE_OF}, but multiple fields are set");
            found.push(Error::invalid(path.clone(), Tree::Null, why));
        }
        (true, false) => exactly(found, request.at("exactly"), &path.child("exactly")),
        (false, true) => {
            let path = path.child("firstAvailable");
            limited(found, alternatives, MAX_ALTERNATIVES, &path, |found, request, path| {
                label(found, &path.child("name"), request.text("name"));
                exactly(found, request, path);
            });
            unique(found, alternatives, MAX_ALTERNATIVES, &path, &["name"]);
        }
    }
}

fn exactly(found: &mut ErrorList, request: &Tree, path: &Path) {
    let class = request.text("deviceClassName");
    if required(found, path.child("deviceClassName"), class) {
        subdomain(found, &path.child("deviceClassName"), class);
    }
    selectors(found, request, path);
    allocation_mode(found, request, path);
    for (index, item) in request.items("tolerations").iter().enumerate() {
        toleration(found, item, &path.child("tolerations").index(index));
    }
}

fn allocation_mode(found: &mut ErrorList, request: &Tree, path: &Path) {
    let (mode, count) = (request.text("allocationMode"), request.int("count").unwrap_or(0));
    let why = match mode {
        "All" if count != 0 => "must not be specified when allocationMode is 'All'",
        "ExactCount" if count <= 0 => "must be greater than zero",
        "All" | "ExactCount" => return,
        _ => return known_word(found, path.child("allocationMode"), mode, &["All", "ExactCount"]),
    };
    found.push(Error::invalid(path.child("count"), count, why));
}

fn attribute(found: &mut ErrorList, constraint: &Tree, path: &Path) {
    for field in ["matchAttribute", "distinctAttribute"] {
        if let Some(name) = constraint.at(field).as_str() {
            fully_qualified_name(found, name, &path.child(field));
            return;
        }
    }
    let why =
        "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
    found.push(Error::required(path.clone(), why));
}

#[cfg(test)]
#[path = "claimspec_tests.rs"]
mod tests;
