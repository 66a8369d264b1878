//! What `kubectl get hpa` prints.

use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;

use super::as_v2;
use crate::Column;
use crate::print::{self, integer_of};
use crate::tree::Read;

/// More metrics than these are only counted.
const SHOWN: usize = 2;

pub(super) const V2: &[Column] = &[
    print::NAME,
    REFERENCE,
    print::text("Targets", 0, TARGETS, |object, _| targets(object).into()),
    MIN_PODS,
    MAX_PODS,
    REPLICAS,
    print::AGE,
];

pub(super) const V1: &[Column] = &[
    print::NAME,
    REFERENCE,
    print::text("Targets", 0, TARGETS, |object, _| targets(&as_v2(object)).into()),
    MIN_PODS,
    MAX_PODS,
    REPLICAS,
    print::AGE,
];

const TARGETS: &str = "Metrics, as they are and as they should be.";

const REFERENCE: Column = print::text("Reference", 0, "What is scaled.", |object, _| {
    let target = object.at("spec.scaleTargetRef");
    format!("{}/{}", target.text("kind"), target.text("name")).into()
});

const MIN_PODS: Column =
    print::text("MinPods", 0, "Fewest pods.", |object, _| match object.int("spec.minReplicas") {
        Some(min) => min.to_string().into(),
        None => "<unset>".into(),
    });

const MAX_PODS: Column =
    print::text("MaxPods", 0, "Most pods.", |object, _| integer_of(object, "spec.maxReplicas"));

const REPLICAS: Column =
    print::text("Replicas", 0, "Pods there are.", |object, _| integer_of(object, "status.currentReplicas"));

fn targets(autoscaler: &Tree) -> String {
    let (metrics, current) = (autoscaler.items("spec.metrics"), autoscaler.items("status.currentMetrics"));
    let all: Vec<String> = metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| target(metric, current.get(index).unwrap_or(&Tree::Null)))
        .collect();
    match all.len().checked_sub(SHOWN) {
        _ if all.is_empty() => "<none>".to_owned(),
        Some(more) if more > 0 => format!("{} + {more} more...", all[..SHOWN].join(", ")),
        _ => all.join(", "),
    }
}

fn target(metric: &Tree, current: &Tree) -> String {
    match metric.text("type") {
        "External" => value(metric.at("external"), current.at("external")),
        "Object" => value(metric.at("object"), current.at("object")),
        "Pods" => {
            let (now, pods) = (current.at("pods"), metric.at("pods"));
            format!("{}/{}", reported(now, "averageValue"), quantity(pods.at("target.averageValue")))
        }
        "Resource" => usage(metric.at("resource"), current.at("resource")),
        "ContainerResource" => usage(metric.at("containerResource"), current.at("containerResource")),
        _ => "<unknown type>".to_owned(),
    }
}

/// Of a metric with one value, or one for each pod.
fn value(metric: &Tree, current: &Tree) -> String {
    if !metric.has("target.averageValue") {
        return format!("{}/{}", reported(current, "value"), quantity(metric.at("target.value")));
    }
    let now = match current.at("current.averageValue") {
        Tree::Null => "<unknown>".to_owned(),
        value => quantity(value),
    };
    format!("{now}/{} (avg)", quantity(metric.at("target.averageValue")))
}

/// Of a resource: an amount, or a share of what is requested.
fn usage(metric: &Tree, current: &Tree) -> String {
    let name = metric.text("name");
    if metric.has("target.averageValue") {
        let wanted = quantity(metric.at("target.averageValue"));
        return format!("{name}: {}/{wanted}", reported(current, "averageValue"));
    }
    let share = |part: &Tree, field: &str, none: &str| match part.at(field).int("averageUtilization") {
        Some(percent) => format!("{percent}%"),
        None => none.to_owned(),
    };
    format!("{name}: {}/{}", share(current, "current", "<unknown>"), share(metric, "target", "<auto>"))
}

/// A value of a report that there may not be yet.
fn reported(current: &Tree, field: &str) -> String {
    if current.is_null() { "<unknown>".to_owned() } else { quantity(current.at("current").at(field)) }
}

fn quantity(value: &Tree) -> String {
    match Quantity::from_tree(value) {
        Ok(quantity) if !value.is_null() => quantity.to_string(),
        _ => "<nil>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::tests::row;

    #[test]
    fn autoscalers_print_as_upstream_in_both_versions() {
        let new = json!({
            "metadata": {"name": "h", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]},
            "status": {"currentReplicas": 2, "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40}}}]},
        });
        let old = json!({
            "metadata": {"name": "h", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 5,
                "targetCPUUtilizationPercentage": 80},
            "status": {"currentReplicas": 2, "currentCPUUtilizationPercentage": 40},
        });
        for (columns, object) in [(V2, new), (V1, old)] {
            assert_eq!(
                row(columns, &object, "2026-01-01T00:00:10Z"),
                "h|Deployment/d|cpu: 40%/80%|1|5|2|10s"
            );
        }
    }

    #[test]
    fn each_metric_has_its_form() {
        let average = || json!({"averageValue": "100m"});
        let cases = [
            (json!({"type": "Pods", "pods": {"target": average()}}), json!(null), "<unknown>/100m"),
            (
                json!({"type": "Pods", "pods": {"target": average()}}),
                json!({"pods": {"current": {"averageValue": "0.2"}}}),
                "200m/100m",
            ),
            (
                json!({"type": "External", "external": {"target": average()}}),
                json!(null),
                "<unknown>/100m (avg)",
            ),
            (
                json!({"type": "Object", "object": {"target": {"value": "1k"}}}),
                json!({"object": {"current": {"value": "5"}}}),
                "5/1k",
            ),
            (
                json!({"type": "ContainerResource", "containerResource": {"name": "memory", "target": average()}}),
                json!(null),
                "memory: <unknown>/100m",
            ),
            (json!({"type": "Resource", "resource": {"name": "cpu"}}), json!(null), "cpu: <unknown>/<auto>"),
            (json!({"type": "Odd"}), json!(null), "<unknown type>"),
        ];
        for (metric, current, want) in cases {
            assert_eq!(target(&metric, &current), want);
        }
        let odd = json!({"type": "Odd"});
        assert_eq!(
            targets(&json!({"spec": {"metrics": [odd, odd, odd]}})),
            "<unknown type>, <unknown type> + 1 more..."
        );
        assert_eq!(targets(&json!({})), "<none>");
    }
}
