//! Metrics in the shape of `v1` (in its annotations) and in that of `v2`. `v1` has a name for each value, `v2` puts
//! them into `metric`, `target` and `current`.

use serde_json::json;
use steersman_apimachinery::Tree;
use steersman_apimachinery::quantity::Quantity;

use crate::tree::{Read, Write};

/// Where a value is in `v1` and in `v2`.
type Pair = (&'static str, &'static str);

/// One kind of metric.
struct Shape {
    field: &'static str,
    names: &'static [Pair],
    spec: &'static [Pair],
    status: &'static [Pair],
    /// Fields of `v1` that are always there; a quantity is "0" if `v2` has none.
    required: &'static [&'static str],
}

const OBJECT: &[Pair] =
    &[("target", "describedObject"), ("metricName", "metric.name"), ("selector", "metric.selector")];
const USAGE: &[Pair] = &[
    ("targetAverageUtilization", "target.averageUtilization"),
    ("targetAverageValue", "target.averageValue"),
];
const USED: &[Pair] = &[
    ("currentAverageUtilization", "current.averageUtilization"),
    ("currentAverageValue", "current.averageValue"),
];

const SHAPES: [Shape; 5] = [
    Shape {
        field: "object",
        names: OBJECT,
        spec: &[("targetValue", "target.value"), ("averageValue", "target.averageValue")],
        status: &[("currentValue", "current.value"), ("averageValue", "current.averageValue")],
        required: &["targetValue", "currentValue"],
    },
    Shape {
        field: "pods",
        names: &[("metricName", "metric.name"), ("selector", "metric.selector")],
        spec: &[("targetAverageValue", "target.averageValue")],
        status: &[("currentAverageValue", "current.averageValue")],
        required: &["targetAverageValue", "currentAverageValue"],
    },
    Shape {
        field: "resource",
        names: &[("name", "name")],
        spec: USAGE,
        status: USED,
        required: &["currentAverageValue"],
    },
    Shape {
        field: "containerResource",
        names: &[("name", "name"), ("container", "container")],
        spec: USAGE,
        status: USED,
        required: &["currentAverageValue"],
    },
    Shape {
        field: "external",
        names: &[("metricName", "metric.name"), ("metricSelector", "metric.selector")],
        spec: &[("targetValue", "target.value"), ("targetAverageValue", "target.averageValue")],
        status: &[("currentValue", "current.value"), ("currentAverageValue", "current.averageValue")],
        required: &["currentValue"],
    },
];

/// Whether a metric of `v2` is the use of CPU by whole pods.
pub(super) fn is_cpu(metric: &Tree) -> bool {
    metric.text("type") == "Resource" && metric.text("resource.name") == "cpu"
}

/// A wanted metric, as `v1` keeps it.
pub(super) fn spec_to_v1(metric: &Tree) -> Tree {
    to_v1(metric, |shape| shape.spec)
}

/// A measured metric, as `v1` keeps it.
pub(super) fn status_to_v1(metric: &Tree) -> Tree {
    to_v1(metric, |shape| shape.status)
}

fn to_v1(metric: &Tree, values: fn(&Shape) -> &'static [Pair]) -> Tree {
    let mut old = json!({"type": metric.text("type")});
    for shape in SHAPES.iter().filter(|shape| metric.has(shape.field)) {
        let source = metric.at(shape.field);
        let mut kept = json!({});
        for (v1, v2) in shape.names.iter().chain(values(shape)) {
            if source.has(v2) {
                kept.set(v1, source.at(v2).clone());
            } else if shape.required.contains(v1) {
                kept.set(v1, "0");
            }
        }
        old.set(shape.field, kept);
    }
    old
}

/// A wanted metric out of an annotation of `v1`.
pub(super) fn spec_to_v2(metric: &Tree) -> Tree {
    let mut new = to_v2(metric, |shape| shape.spec);
    for shape in &SHAPES {
        let Some(source) = new.part_mut(shape.field) else { continue };
        let kind = target_type(shape.field, source.at("target"));
        let Some(target) = source.object_mut("target") else { continue };
        // `v1` cannot leave this one out; nothing and zero are the same there.
        let zero = Quantity::from_tree(target.at("value")).is_ok_and(|value| value.is_zero());
        if shape.field == "object" && kind == "AverageValue" && zero {
            target.remove("value");
        }
        target.set("type", kind);
    }
    new
}

fn target_type(field: &str, target: &Tree) -> &'static str {
    match field {
        "object" if !target.has("averageValue") => "Value",
        "external" if target.has("value") => "Value",
        "resource" | "containerResource" if target.has("averageUtilization") => "Utilization",
        _ => "AverageValue",
    }
}

/// A measured metric out of an annotation of `v1`.
pub(super) fn status_to_v2(metric: &Tree) -> Tree {
    to_v2(metric, |shape| shape.status)
}

fn to_v2(metric: &Tree, values: fn(&Shape) -> &'static [Pair]) -> Tree {
    let mut new = json!({"type": metric.text("type")});
    for shape in SHAPES.iter().filter(|shape| metric.at(shape.field).is_object()) {
        let source = metric.at(shape.field);
        let mut made = json!({});
        for (v1, v2) in shape.names.iter().chain(values(shape)).filter(|(v1, _)| source.has(v1)) {
            set_at(&mut made, v2, source.at(v1).clone());
        }
        new.set(shape.field, made);
    }
    new
}

/// Sets the value at a path of one or two names.
fn set_at(tree: &mut Tree, path: &str, value: Tree) {
    match path.split_once('.') {
        Some((part, field)) => {
            if let Some(part) = tree.object_mut(part) {
                part.set(field, value);
            }
        }
        None => tree.set(path, value),
    }
}
