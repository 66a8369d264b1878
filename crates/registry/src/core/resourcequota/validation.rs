//! Validation of resource quotas.

use std::collections::BTreeSet;

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};

use crate::checks::{IMMUTABLE, invalid};
use crate::core::podspec::validation::{is_quota_resource, resource_name, resource_quantity};
use crate::tree::Read;

const BEST_EFFORT: &str = "BestEffort";
const OF_STORAGE: &str = "VolumeAttributesClass";
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    BEST_EFFORT,
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    OF_STORAGE,
];
/// Scopes of which no object can have both.
const OPPOSITES: [[&str; 2]; 2] = [[BEST_EFFORT, "NotBestEffort"], ["Terminating", "NotTerminating"]];
/// Scopes that have no values.
const PLAIN: [&str; 5] =
    [BEST_EFFORT, "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
const OF_PODS: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const BAD_MATCH: &str = "unsupported scope applied to resource";

/// Checks a new quota.
pub(super) fn create(quota: &Tree) -> ErrorList {
    let mut found = spec(quota);
    found.extend(status(quota));
    found
}

/// Checks a change: what is counted may change, whose objects are counted may not.
pub(super) fn update(new: &Tree, old: &Tree) -> ErrorList {
    let mut found = spec(new);
    let scopes = |quota: &Tree| -> BTreeSet<String> {
        quota.texts("spec.scopes").into_iter().map(str::to_owned).collect()
    };
    if scopes(new) != scopes(old) {
        let path = Path::new("spec").child("scopes");
        found.push(Error::invalid(path, new.at("spec.scopes").clone(), IMMUTABLE));
    }
    found
}

/// Checks a report of the controller.
pub(super) fn status(quota: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    for part in ["hard", "used"] {
        amounts(&mut found, quota.at("status").at(part), &Path::new("status").child(part));
    }
    found
}

fn spec(quota: &Tree) -> ErrorList {
    let mut found = ErrorList::new();
    let (spec, path) = (quota.at("spec"), Path::new("spec"));
    amounts(&mut found, spec.at("hard"), &path.child("hard"));
    scopes(&mut found, spec, &path.child("scopes"));
    selector(&mut found, spec, &path.child("scopeSelector").child("matchExpressions"));
    found
}

fn amounts(found: &mut ErrorList, amounts: &Tree, path: &Path) {
    for (name, value) in amounts.entries("") {
        let path = path.key(name);
        resource_name(found, name, &path);
        if !name.contains('/') && !is_quota_resource(name) {
            let why = vec!["must be a standard resource for quota".to_owned()];
            invalid(found, &path, name, why);
        }
        resource_quantity(found, name, value, &path);
    }
}

/// What a quota limits though objects of the scope do not have it.
fn misfits(spec: &Tree, scope: &str) -> usize {
    let fits = |name: &str| match scope {
        BEST_EFFORT => name == "pods",
        OF_STORAGE => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        _ if SCOPES.contains(&scope) => OF_PODS.contains(&name),
        _ => true,
    };
    spec.entries("hard").filter(|(name, _)| is_quota_resource(name) && !fits(name)).count()
}

fn scopes(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let given = spec.texts("scopes");
    let mut wrong = |why: &str| found.push(Error::invalid(path.clone(), spec.at("scopes").clone(), why));
    for scope in &given {
        if !SCOPES.contains(scope) {
            wrong("unsupported scope");
        }
        (0..misfits(spec, scope)).for_each(|_| wrong(BAD_MATCH));
    }
    conflicts(&given).for_each(|()| wrong("conflicting scopes"));
}

fn conflicts(given: &[&str]) -> impl Iterator<Item = ()> {
    OPPOSITES.iter().filter(|pair| pair.iter().all(|scope| given.contains(scope))).map(|_| ())
}

/// Upstream reports all expressions at the same place.
fn selector(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let rules = spec.items("scopeSelector.matchExpressions");
    for rule in rules {
        let (scope, operator) = (rule.text("scopeName"), rule.text("operator"));
        if !SCOPES.contains(&scope) {
            found.push(Error::invalid(path.child("scopeName"), scope, "unsupported scope"));
        }
        for _ in 0..misfits(spec, scope) {
            found.push(Error::invalid(path.clone(), shown(rules), BAD_MATCH));
        }
        if PLAIN.contains(&scope) && operator != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                       ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            found.push(Error::invalid(path.child("operator"), operator, why));
        }
        self::operator(found, rule, path);
    }
    let given: Vec<&str> = rules.iter().map(|rule| rule.text("scopeName")).collect();
    for () in conflicts(&given) {
        found.push(Error::invalid(path.clone(), spec.at("scopes").clone(), "conflicting scopes"));
    }
}

fn operator(found: &mut ErrorList, rule: &Tree, path: &Path) {
    let (values, at) = (rule.items("values"), path.child("values"));
    match rule.text("operator") {
        "In" | "NotIn" if values.is_empty() => {
            let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            found.push(Error::required(at, why));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            found.push(Error::invalid(at, rule.at("values").clone(), why));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            found.push(Error::invalid(path.child("operator"), other, "not a valid selector operator"));
        }
    }
}

/// A scope selector as upstream's message shows it.
fn shown(rules: &[Tree]) -> Tree {
    let rule = |rule: &Tree| {
        json!({
            "ScopeName": rule.text("scopeName"), "Operator": rule.text("operator"), "Values": rule.at("values"),
        })
    };
    json!({"MatchExpressions": rules.iter().map(rule).collect::<Vec<_>>()})
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
