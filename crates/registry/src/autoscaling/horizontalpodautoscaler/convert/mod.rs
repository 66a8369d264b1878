//! Between `v1` and `v2`. What `v1` has no fields for (every metric but the use of CPU, what was measured, behaviour and
//! conditions) is kept in annotations, as JSON in the shape that upstream has always used there.

mod behavior;
mod json;
mod metrics;

use serde_json::json;
use steersman_apimachinery::Tree;

use super::defaults::{cpu_metric, default_metric};
use crate::tree::{Read, Write};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const ANNOTATIONS: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

const CPU_TARGET: &str = "targetCPUUtilizationPercentage";
const CPU_NOW: &str = "currentCPUUtilizationPercentage";

/// Drops the annotations that stand for fields: `v2` has the fields.
pub(super) fn drop_annotations(tree: &mut Tree) {
    let Some(metadata) = tree.part_mut("metadata") else { return };
    let Some(annotations) = metadata.part_mut("annotations") else { return };
    if !ANNOTATIONS.iter().any(|name| annotations.get(*name).is_some()) {
        return;
    }
    ANNOTATIONS.iter().for_each(|name| annotations.remove(name));
    if annotations.as_object().is_some_and(serde_json::Map::is_empty) {
        metadata.remove("annotations");
    }
}

/// Makes a `v2` autoscaler of one of `v1`. An annotation that cannot be read is forgotten.
pub(super) fn to_v2(tree: &mut Tree) {
    let kept = |name: &str| -> Option<Tree> {
        let text = tree.at("metadata.annotations").get(name)?.as_str()?;
        serde_json::from_str(text).ok()
    };
    let (other, behavior) = (kept(METRICS), kept(BEHAVIOR));
    let (current, conditions) = (kept(CURRENT_METRICS), kept(CONDITIONS));
    if let Some(spec) = tree.part_mut("spec") {
        spec_to_v2(spec, other.as_ref(), behavior.as_ref());
    }
    if tree.get("status").is_none() && (current.is_some() || conditions.is_some()) {
        tree.object_mut("status");
    }
    if let Some(status) = tree.part_mut("status") {
        status_to_v2(status, current.as_ref(), conditions);
    }
    drop_annotations(tree);
    tree.set("apiVersion", "autoscaling/v2");
}

fn spec_to_v2(spec: &mut Tree, other: Option<&Tree>, behavior: Option<&Tree>) {
    let mut all: Vec<Tree> = match other.and_then(Tree::as_array) {
        Some(metrics) => metrics.iter().map(metrics::spec_to_v2).collect(),
        None => Vec::new(),
    };
    all.extend(spec.int(CPU_TARGET).map(cpu_metric));
    if all.is_empty() {
        all.push(default_metric());
    }
    spec.remove(CPU_TARGET);
    spec.set("metrics", all);
    if let Some(behavior) = behavior.and_then(behavior::from_go) {
        spec.set("behavior", behavior);
    }
}

fn status_to_v2(status: &mut Tree, current: Option<&Tree>, conditions: Option<Tree>) {
    let metrics: Option<Vec<Tree>> = match current.and_then(Tree::as_array) {
        Some(metrics) => Some(metrics.iter().map(metrics::status_to_v2).collect()),
        None => status.int(CPU_NOW).map(|percent| vec![cpu_status(percent)]),
    };
    status.remove(CPU_NOW);
    status.set("currentMetrics", metrics.map_or(Tree::Null, Tree::from));
    if let Some(conditions) = conditions.filter(Tree::is_array) {
        status.set("conditions", conditions);
    }
    if status.int("currentReplicas") == Some(0) {
        status.remove("currentReplicas");
    }
}

fn cpu_status(percent: i64) -> Tree {
    json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}})
}

/// Makes a `v1` autoscaler of one of `v2`.
pub(super) fn to_v1(tree: &mut Tree) {
    drop_annotations(tree);
    let mut kept = Vec::new();
    if let Some(spec) = tree.part_mut("spec") {
        spec_to_v1(spec, &mut kept);
    }
    if let Some(status) = tree.part_mut("status") {
        status_to_v1(status, &mut kept);
    }
    if !kept.is_empty()
        && let Some(annotations) =
            tree.object_mut("metadata").and_then(|metadata| metadata.object_mut("annotations"))
    {
        kept.into_iter().for_each(|(name, text)| annotations.set(name, text));
    }
    tree.set("apiVersion", "autoscaling/v1");
}

type Kept = Vec<(&'static str, String)>;

fn spec_to_v1(spec: &mut Tree, kept: &mut Kept) {
    let share = |metric: &Tree| match metrics::is_cpu(metric) {
        true => metric.int("resource.target.averageUtilization"),
        false => None,
    };
    let metrics = spec.items("metrics");
    let first = metrics.iter().find_map(share);
    let other: Vec<Tree> =
        metrics.iter().filter(|metric| share(metric).is_none()).map(metrics::spec_to_v1).collect();
    if !other.is_empty() {
        kept.push((METRICS, json::encode(&other.into())));
    }
    let behavior = behavior::to_go(spec.at("behavior"));
    if behavior::from_go(&behavior).is_some() {
        kept.push((BEHAVIOR, json::encode(&behavior)));
    }
    spec.remove("metrics");
    spec.remove("behavior");
    if let Some(percent) = first {
        spec.set(CPU_TARGET, percent);
    }
}

fn status_to_v1(status: &mut Tree, kept: &mut Kept) {
    let current = status.items("currentMetrics");
    let cpu = current.iter().filter(|metric| metrics::is_cpu(metric));
    let last = cpu.filter_map(|metric| metric.int("resource.current.averageUtilization")).next_back();
    if !current.is_empty() {
        let all: Vec<Tree> = current.iter().map(metrics::status_to_v1).collect();
        kept.push((CURRENT_METRICS, json::encode(&all.into())));
    }
    if !status.items("conditions").is_empty() {
        kept.push((CONDITIONS, json::encode(status.at("conditions"))));
    }
    status.remove("currentMetrics");
    status.remove("conditions");
    for field in ["currentReplicas", "desiredReplicas"] {
        status.default_value(field, 0);
    }
    if let Some(percent) = last {
        status.set(CPU_NOW, percent);
    }
}

#[cfg(test)]
mod tests;
