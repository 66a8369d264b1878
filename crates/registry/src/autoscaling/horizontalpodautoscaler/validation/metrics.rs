//! Validation of the metrics of autoscalers: each names one source and what it should be.

use steersman_apimachinery::Tree;
use steersman_apimachinery::field::{Error, ErrorList, Path};
use steersman_apimachinery::names::path_segment_problems;
use steersman_apimachinery::quantity::Quantity;

use super::{ApiVersion, api_version_problem, reference};
use crate::checks::{invalid, known_word, label};
use crate::core::podspec::validation::container_resource;
use crate::tree::Read;

/// The types of metrics, each with the field of its source; only the first source that is given is checked.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];
const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];

/// How strict an update may be with the objects of metrics: as strict as all that were there before bear.
pub(super) fn object_rule(old: &Tree) -> ApiVersion {
    let wrong = |metric: &Tree| {
        let version = metric.at("object.describedObject").text("apiVersion");
        metric.text("type") == "Object"
            && metric.has("object")
            && api_version_problem(version, ApiVersion::Any).is_some()
    };
    if old.items("spec.metrics").iter().any(wrong) { ApiVersion::Unchecked } else { ApiVersion::Any }
}

/// Checks all metrics.
pub(super) fn all(found: &mut ErrorList, spec: &Tree, path: &Path, objects: ApiVersion) {
    let metrics = spec.items("metrics");
    for (index, metric) in metrics.iter().enumerate() {
        self::metric(found, metric, &path.index(index), objects);
    }
    // Without pods, nothing measures them.
    let outside = metrics.iter().any(|metric| matches!(metric.text("type"), "Object" | "External"));
    if spec.int("minReplicas") == Some(0) && !outside {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        found.push(Error::forbidden(path.clone(), why));
    }
}

fn metric(found: &mut ErrorList, metric: &Tree, path: &Path, objects: ApiVersion) {
    let kind = metric.text("type");
    if kind.is_empty() {
        found.push(Error::required(path.child("type"), "must specify a metric source type"));
    }
    known_word(found, path.child("type"), kind, &TYPES);
    let given: Vec<&str> =
        SOURCES.iter().map(|(_, field)| *field).filter(|field| metric.has(field)).collect();
    if let Some(field) = given.first() {
        source(found, field, metric.at(field), &path.child(field), objects);
    }
    let wanted = SOURCES.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    match wanted {
        Some(field) if !metric.has(field) => {
            let why = "must populate information for the given metric source";
            found.push(Error::required(path.child(field), why));
        }
        Some(_) => {}
        // Upstream looks at the type twice.
        None => known_word(found, path.child("type"), kind, &TYPES),
    }
    if given.len() > 1 {
        for field in given.into_iter().filter(|field| Some(*field) != wanted) {
            found.push(Error::forbidden(path.child(field), "must populate the given metric source only"));
        }
    }
}

fn source(found: &mut ErrorList, field: &str, source: &Tree, path: &Path, objects: ApiVersion) {
    let (wanted, at) = (source.at("target"), path.child("target"));
    match field {
        "resource" => {
            resource_name(found, source, path);
        }
        "containerResource" => {
            if resource_name(found, source, path) {
                container_resource(found, source.text("name"), &path.child("name"));
            }
            container(found, source.text("container"), &path.child("container"));
        }
        _ => {
            if field == "object" {
                reference(found, source.at("describedObject"), &path.child("describedObject"), objects);
            }
            metric_name(found, source.text("metric.name"), &path.child("metric").child("name"));
        }
    }
    target(found, wanted, &at);
    let (value, average, share) =
        (wanted.has("value"), wanted.has("averageValue"), wanted.has("averageUtilization"));
    match field {
        "object" if !value && !average => {
            let why = "must set either a target value or averageValue";
            found.push(Error::required(at.child("averageValue"), why));
        }
        "external" if !value && !average => {
            let why = "must set either a target value for metric or a per-pod target";
            found.push(Error::required(at.child("averageValue"), why));
        }
        "external" if value && average => {
            let why = "may not set both a target value for metric and a per-pod target";
            found.push(Error::forbidden(at.child("value"), why));
        }
        "pods" if !average => {
            let why = "must specify a positive target averageValue";
            found.push(Error::required(at.child("averageValue"), why));
        }
        "resource" | "containerResource" if !average && !share => {
            let why = "must set either a target raw value or a target utilization";
            found.push(Error::required(at.child("averageUtilization"), why));
        }
        "resource" | "containerResource" if average && share => {
            let why = "may not set both a target raw value and a target utilization";
            found.push(Error::forbidden(at.child("averageValue"), why));
        }
        _ => {}
    }
}

/// Whether there is a name.
fn resource_name(found: &mut ErrorList, source: &Tree, path: &Path) -> bool {
    let given = !source.text("name").is_empty();
    if !given {
        found.push(Error::required(path.child("name"), "must specify a resource name"));
    }
    given
}

fn container(found: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        found.push(Error::required(path.clone(), "must specify a container"));
    } else {
        label(found, path, name);
    }
}

fn metric_name(found: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        found.push(Error::required(path.clone(), "must specify a metric name"));
    } else {
        invalid(found, path, name, path_segment_problems(name, false));
    }
}

fn target(found: &mut ErrorList, target: &Tree, path: &Path) {
    let kind = target.text("type");
    if kind.is_empty() {
        found.push(Error::required(path.child("type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let why = "must be either Utilization, Value, or AverageValue";
        found.push(Error::invalid(path.child("type"), kind, why));
    }
    for field in ["value", "averageValue"] {
        let value = target.at(field);
        if !value.is_null() && Quantity::from_tree(value).is_ok_and(|value| value.signum() != 1) {
            found.push(Error::invalid(path.child(field), value.clone(), "must be positive"));
        }
    }
    if let Some(share) = target.int("averageUtilization").filter(|share| *share < 1) {
        found.push(Error::invalid(path.child("averageUtilization"), share, "must be greater than 0"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::tests::texts;

    fn problems(metric: &Value) -> Vec<String> {
        let mut found = ErrorList::new();
        super::metric(&mut found, metric, &Path::new("m"), ApiVersion::Any);
        texts(&found)
    }

    #[test]
    fn a_metric_has_one_source_of_its_type() {
        let pods =
            || json!({"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}});
        let cpu = || json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}});
        let types =
            "supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"";
        let odd = format!("m.type: Unsupported value: \"Odd\": {types}");
        let none = format!("m.type: Unsupported value: \"\": {types}");
        let cases = [
            (json!({"type": "Pods", "pods": pods()}), vec![]),
            (
                json!({"type": "Pods"}),
                vec![
                    "m.pods: Required value: must populate information for the given metric source"
                        .to_owned(),
                ],
            ),
            (
                json!({"type": "Pods", "pods": pods(), "resource": cpu()}),
                vec!["m.resource: Forbidden: must populate the given metric source only".to_owned()],
            ),
            (json!({"type": "Odd", "pods": pods()}), vec![odd.clone(), odd]),
            (
                json!({}),
                vec![
                    "m.type: Required value: must specify a metric source type".to_owned(),
                    none.clone(),
                    none,
                ],
            ),
        ];
        for (metric, want) in cases {
            assert_eq!(problems(&metric), want, "{metric}");
        }
    }

    #[test]
    fn sources_are_complete() {
        let no_target = "target.type: Required value: must specify a metric target type";
        let bad_type = "target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue";
        let value = |fields: Value| {
            let mut target = json!({"type": "Value"});
            for (field, value) in fields.entries("") {
                target[field] = value.clone();
            }
            target
        };
        let cases: [(&str, &str, Value, &[&str]); 9] = [
            (
                "Object",
                "object",
                json!({"metric": {"name": "a/b"}, "target": value(json!({}))}),
                &[
                    "describedObject.kind: Required value",
                    "describedObject.name: Required value",
                    "metric.name: Invalid value: \"a/b\": may not contain '/'",
                    "target.averageValue: Required value: must set either a target value or averageValue",
                ],
            ),
            (
                "External",
                "external",
                json!({}),
                &[
                    "metric.name: Required value: must specify a metric name",
                    no_target,
                    bad_type,
                    "target.averageValue: Required value: must set either a target value for metric or a per-pod target",
                ],
            ),
            (
                "External",
                "external",
                json!({"metric": {"name": "m"}, "target": value(json!({"value": "1", "averageValue": "0"}))}),
                &[
                    "target.averageValue: Invalid value: \"0\": must be positive",
                    "target.value: Forbidden: may not set both a target value for metric and a per-pod target",
                ],
            ),
            (
                "Pods",
                "pods",
                json!({"metric": {"name": "m"}, "target": value(json!({"value": "-1"}))}),
                &[
                    "target.value: Invalid value: \"-1\": must be positive",
                    "target.averageValue: Required value: must specify a positive target averageValue",
                ],
            ),
            (
                "Resource",
                "resource",
                json!({"target": value(json!({"averageUtilization": 0}))}),
                &[
                    "name: Required value: must specify a resource name",
                    "target.averageUtilization: Invalid value: 0: must be greater than 0",
                ],
            ),
            (
                "Resource",
                "resource",
                json!({"name": "cpu", "target": value(json!({}))}),
                &[
                    "target.averageUtilization: Required value: must set either a target raw value or a target utilization",
                ],
            ),
            (
                "Resource",
                "resource",
                json!({"name": "cpu", "target": value(json!({"averageUtilization": 5, "averageValue": "1"}))}),
                &[
                    "target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
                ],
            ),
            (
                "ContainerResource",
                "containerResource",
                json!({"target": value(json!({"averageUtilization": 5}))}),
                &[
                    "name: Required value: must specify a resource name",
                    "container: Required value: must specify a container",
                ],
            ),
            (
                "ContainerResource",
                "containerResource",
                json!({"name": "odd", "container": "a", "target": value(json!({"averageUtilization": 5}))}),
                &[
                    "name: Invalid value: \"odd\": must be a standard resource type or fully qualified",
                    "name: Invalid value: \"odd\": must be a standard resource for containers",
                ],
            ),
        ];
        for (kind, field, source, want) in cases {
            let want: Vec<String> = want.iter().map(|text| format!("m.{field}.{text}")).collect();
            assert_eq!(problems(&json!({"type": kind, field: source})), want);
        }
    }

    #[test]
    fn an_object_that_was_wrong_before_may_stay() {
        let old = |version: &str| json!({"spec": {"metrics": [{"type": "Object", "object": {"describedObject": {"apiVersion": version}}}]}});
        assert!(object_rule(&old("a/b/c")) == ApiVersion::Unchecked);
        assert!(object_rule(&old("v1")) == ApiVersion::Any);
    }
}
