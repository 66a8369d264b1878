//! Specs of claims for volumes, alike for claims themselves, for the templates of stateful sets and for ephemeral
//! volumes of pods. Upstream's texts and paths (`pkg/apis/core/validation`).

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::labels::{validate_label_selector, validate_labels};
use steersman_apimachinery::meta::validate_annotations;
use steersman_apimachinery::names::{dns1123_label_problems, dns1123_subdomain_problems};
use steersman_apimachinery::quantity::Quantity;

use crate::checks::{invalid, required};
use crate::core::volumes::{check_access_modes, check_volume_mode};
use crate::tree::{Read, Write, same};

const NO_GROUP: &str = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";

/// Completes the spec of a claim.
pub(crate) fn defaults(spec: &mut Tree) {
    spec.default_value("volumeMode", "Filesystem");
    spec.object_mut("resources");
}

/// Checks a template that a claim is to be made from.
pub(crate) fn template(found: &mut ErrorList, template: &Tree, path: &Path) {
    let (metadata, at) = (template.at("metadata"), path.child("metadata"));
    only_labels_and_annotations(found, metadata, &at);
    validate(found, template.at("spec"), &path.child("spec"));
}

/// The metadata of a template whose objects get a name of their own.
pub(crate) fn only_labels_and_annotations(found: &mut ErrorList, metadata: &Tree, path: &Path) {
    found.extend(validate_annotations(metadata.get("annotations"), &path.child("annotations")));
    found.extend(validate_labels(metadata.get("labels"), &path.child("labels")));
    for (field, value) in metadata.entries("") {
        if !matches!(field, "annotations" | "labels") && !same(value, &Tree::Null) {
            found.push(Error::forbidden(path.child(field), "cannot be set"));
        }
    }
}

/// Checks the spec of a new claim.
pub(crate) fn validate(found: &mut ErrorList, spec: &Tree, path: &Path) {
    if spec.items("accessModes").is_empty() {
        found.push(Error::required(path.child("accessModes"), "at least 1 access mode is required"));
    }
    check_access_modes(found, spec, path);
    if spec.has("selector") {
        found.extend(validate_label_selector(spec.at("selector"), &path.child("selector")));
    }
    storage(found, spec, &path.child("resources").key("storage"));
    class(found, spec, path, "storageClassName");
    check_volume_mode(found, spec, path);
    for field in ["dataSource", "dataSourceRef"] {
        source(found, spec.at(field), &path.child(field));
    }
    sources_agree(found, spec, path);
    class(found, spec, path, "volumeAttributesClassName");
}

fn storage(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let size = spec.at("resources.requests.storage");
    if size.is_null() {
        found.push(Error::required(path.clone(), ""));
    } else if Quantity::from_tree(size).is_ok_and(|size| size.signum() <= 0) {
        found.push(Error::invalid(path.clone(), size.clone(), "must be greater than zero"));
    }
}

fn class(found: &mut ErrorList, spec: &Tree, path: &Path, field: &str) {
    let name = spec.text(field);
    if !name.is_empty() {
        invalid(found, &path.child(field), name, dns1123_subdomain_problems(name, false));
    }
}

/// What the volume is filled from; only `dataSourceRef` has a namespace.
fn source(found: &mut ErrorList, source: &Tree, path: &Path) {
    if source.is_null() {
        return;
    }
    let (group, kind, namespace) = (source.text("apiGroup"), source.text("kind"), source.text("namespace"));
    required(found, path.child("name"), source.text("name"));
    required(found, path.child("kind"), kind);
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        found.push(Error::invalid(path.clone(), kind, NO_GROUP));
    }
    if !group.is_empty() {
        invalid(found, &path.child("apiGroup"), group, dns1123_subdomain_problems(group, false));
    }
    if !namespace.is_empty() {
        invalid(found, &path.child("namespace"), namespace, dns1123_label_problems(namespace, false));
    }
}

fn sources_agree(found: &mut ErrorList, spec: &Tree, path: &Path) {
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    if source.is_null() || reference.is_null() {
        return;
    }
    let equal = ["apiGroup", "kind", "name"].iter().all(|field| same(source.at(field), reference.at(field)));
    let why = match (reference.text("namespace"), equal) {
        ("", true) => return,
        ("", false) => "must match dataSourceRef",
        _ => "may not be specified when dataSourceRef.namespace is specified",
    };
    // Upstream shows the path of the field as a value, of which nothing can be seen.
    found.push(Error::invalid(path.clone(), json!({}), why));
}

/// Warns of sizes that are no whole number of bytes.
pub(crate) fn warnings(spec: &Tree, path: &Path) -> Vec<String> {
    let fraction = |part: &&str| {
        let size = spec.at("resources").at(part).at("storage");
        Quantity::from_tree(size).is_ok_and(|size| size.milli_value() % 1000 != 0)
    };
    let warn = |part: &str| {
        let path = path.child("resources").child(part).key("storage");
        let size = spec.at("resources").at(part).text("storage");
        format!("{path}: fractional byte value {size:?} is invalid, must be an integer")
    };
    ["requests", "limits"].into_iter().filter(fraction).map(warn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::texts;

    fn claim() -> Tree {
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
    }

    #[test]
    fn problems_read_as_upstream_words_them() {
        let reference = json!({"apiGroup": "a.io", "kind": "K", "name": "n", "namespace": "x"});
        let cases: [(&str, Tree, &[&str]); 9] = [
            (
                "accessModes",
                json!([]),
                &["spec.accessModes: Required value: at least 1 access mode is required"],
            ),
            (
                "accessModes",
                json!(["ReadWriteOncePod", "ReadOnlyMany", "Any"]),
                &[
                    "spec.accessModes: Unsupported value: \"Any\": supported values: \"ReadOnlyMany\", \
                     \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                    "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
                ],
            ),
            ("resources", json!({}), &["spec.resources[storage]: Required value"]),
            (
                "resources",
                json!({"requests": {"storage": "0"}}),
                &["spec.resources[storage]: Invalid value: \"0\": must be greater than zero"],
            ),
            (
                "volumeMode",
                json!("Tape"),
                &[
                    "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
                ],
            ),
            (
                "dataSource",
                json!({"kind": "Snapshot"}),
                &[
                    "spec.dataSource.name: Required value",
                    "spec.dataSource: Invalid value: \"Snapshot\": must be 'PersistentVolumeClaim' when \
                     referencing the default apiGroup",
                ],
            ),
            ("dataSourceRef", reference, &[]),
            ("storageClassName", json!(""), &[]),
            (
                "selector",
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                &[
                    "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' \
                 or 'NotIn'",
                ],
            ),
        ];
        for (field, value, want) in cases {
            let (mut spec, mut found) = (claim(), ErrorList::new());
            spec[field] = value;
            validate(&mut found, &spec, &Path::new("spec"));
            assert_eq!(texts(&found), want, "{field}");
        }
    }

    #[test]
    fn a_template_has_labels_and_annotations_only() {
        let mut found = ErrorList::new();
        let named = json!({"metadata": {"labels": {"a": "b"}, "name": "x"}, "spec": claim()});
        template(&mut found, &named, &Path::new("t"));
        assert_eq!(texts(&found), ["t.metadata.name: Forbidden: cannot be set"]);
    }

    #[test]
    fn the_two_sources_agree() {
        let source = |name: &str, namespace: &str| json!({"kind": "PersistentVolumeClaim", "name": name, "namespace": namespace});
        let cases = [
            (source("a", ""), None),
            (source("b", ""), Some("spec: Invalid value: {}: must match dataSourceRef")),
            (
                source("a", "x"),
                Some(
                    "spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified",
                ),
            ),
        ];
        for (reference, want) in cases {
            let (mut spec, mut found) = (claim(), ErrorList::new());
            spec["dataSource"] = source("a", "");
            spec["dataSourceRef"] = reference;
            validate(&mut found, &spec, &Path::new("spec"));
            assert_eq!(texts(&found).first().map(String::as_str), want);
        }
    }

    #[test]
    fn parts_of_bytes_are_warned_of() {
        let spec = json!({"resources": {"requests": {"storage": "100m"}, "limits": {"storage": "1Gi"}}});
        let want =
            "spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer";
        assert_eq!(warnings(&spec, &Path::new("spec")), [want]);
    }
}
