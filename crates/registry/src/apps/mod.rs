//! The group `apps`.

pub(crate) mod deployment;
pub(crate) mod replicaset;

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{Selector, validate_label_selector};

use crate::core::podspec::validation::running_template;
use crate::tree::Read;

/// The selector of a workload and the template that it must select.
fn selector_and_template(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (selector, at) = (spec.at("selector"), path.child("selector"));
    if selector.is_null() {
        found.push(Error::required(at.clone(), ""));
    } else {
        found.extend(validate_label_selector(selector, &at));
        if selector.entries("matchLabels").next().is_none() && selector.items("matchExpressions").is_empty() {
            found.push(Error::invalid(
                at.clone(),
                selector.clone(),
                "empty selector is invalid for deployment",
            ));
        }
    }
    match Selector::from_label_selector(Some(selector)) {
        Ok(selector) => running_template(found, spec.at("template"), &selector, &path.child("template")),
        Err(_) => found.push(Error::invalid(at, selector.clone(), "invalid label selector")),
    }
}

/// Counts in a status that cannot be greater than another count.
fn not_greater(found: &mut ErrorList, status: &Tree, fields: &[&str], than: &str, path: &Path) {
    let limit = status.int(than).unwrap_or(0);
    let shown = if than == "replicas" { "status.replicas" } else { than };
    for field in fields {
        let count = status.int(field).unwrap_or(0);
        if count > limit {
            let why = format!("cannot be greater than {shown}");
            found.push(Error::invalid(path.child(field), count, why));
        }
    }
}
