//! The group `apps`.

pub(crate) mod controllerrevision;
pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod replicaset;
pub(crate) mod statefulset;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{Selector, validate_label_selector};

use crate::core::podspec::validation::running_template;
use crate::tree::Read;

/// The selector of a deployment or replica set and the template that it must select.
fn selector_and_template(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (selector, at) = (spec.at("selector"), path.child("selector"));
    required_selector(found, selector, &at, "deployment");
    match Selector::from_label_selector(Some(selector)) {
        // Upstream speaks of replica sets here, whichever of the two it is.
        Ok(selector) => {
            running_template(found, spec.at("template"), &selector, &path.child("template"), "ReplicaSet");
        }
        Err(_) => found.push(Error::invalid(at, selector.clone(), "invalid label selector")),
    }
}

/// A selector that must be given and select something. `kind` is the workload's, for what is said about it.
fn required_selector(found: &mut ErrorList, selector: &Tree, path: &Path, kind: &str) {
    if selector.is_null() {
        found.push(Error::required(path.clone(), ""));
    } else {
        found.extend(validate_label_selector(selector, path));
        some_selector(found, selector, path, kind);
    }
}

/// A selector that, if given, selects something.
fn some_selector(found: &mut ErrorList, selector: &Tree, path: &Path, kind: &str) {
    let empty =
        selector.entries("matchLabels").next().is_none() && selector.items("matchExpressions").is_empty();
    if !selector.is_null() && empty {
        let why = format!("empty selector is invalid for {kind}");
        found.push(Error::invalid(path.clone(), selector.clone(), why));
    }
}

/// Counts in a status that cannot be greater than another count, `than`, which messages name as it is given here.
pub(crate) fn not_greater(found: &mut ErrorList, status: &Tree, fields: &[&str], than: &str, path: &Path) {
    let limit = status.int(than.trim_start_matches("status.")).unwrap_or(0);
    for field in fields {
        let count = status.int(field).unwrap_or(0);
        if count > limit {
            let why = format!("cannot be greater than {than}");
            found.push(Error::invalid(path.child(field), count, why));
        }
    }
}
