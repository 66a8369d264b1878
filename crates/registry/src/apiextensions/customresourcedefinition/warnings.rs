//! Warnings about schemas that say something without an effect.

use std::collections::BTreeSet;

use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::quote;

use super::layout::{SCHEMA, schemas};
use crate::apiextensions::schema::{any, is_known_format};
use crate::tree::Read;

/// The warnings of a definition that the old one, if there is one, had not.
pub(super) fn of(new: &Tree, old: Option<&Tree>) -> Vec<String> {
    let known: Vec<String> = old.map(all).unwrap_or_default();
    all(new).into_iter().filter(|warning| !known.contains(warning)).collect()
}

fn all(crd: &Tree) -> Vec<String> {
    let spec = crd.at("spec");
    // A schema that all versions share counts once.
    let count = if SCHEMA.shared(spec).is_some() { 1 } else { usize::MAX };
    let mut warnings = Vec::new();
    let mut sets = BTreeSet::new();
    for schema in schemas(spec).take(count) {
        any(schema, &mut |schema| {
            let (kind, format) = (schema.text("type"), schema.text("format"));
            if !format.is_empty() && !is_known_format(kind, format) {
                warnings.push(format!("unrecognized format {}", quote(format)));
            }
            let items = schema.at("items").text("type");
            if schema.text("x-kubernetes-list-type") == "set" && matches!(items, "object" | "array") {
                sets.insert(format!(
                    "x-kubernetes-list-type: set for items of type {} is not supported by server-side apply or CEL validation rules",
                    quote(items)
                ));
            }
            false
        });
    }
    warnings.extend(sets);
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_new_warnings_are_told() {
        let crd = |format: &str| {
            let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}});
            let schema = json!({"openAPIV3Schema": {"properties": {"a": {"type": "string", "format": format}, "b": set}}});
            json!({"spec": {"versions": [{"schema": schema}, {"schema": schema}]}})
        };
        let set = "x-kubernetes-list-type: set for items of type \"object\" is not supported by server-side apply or CEL validation rules";
        assert_eq!(of(&crd("quantity"), None), ["unrecognized format \"quantity\"", set]);
        assert_eq!(of(&crd("quantity"), Some(&crd("date"))), ["unrecognized format \"quantity\""]);
        assert!(of(&crd("date"), Some(&crd("date"))).is_empty());
    }
}
