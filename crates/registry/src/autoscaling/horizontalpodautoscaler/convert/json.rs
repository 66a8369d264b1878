//! JSON with the fields in the order of upstream's structs, which is how it writes them into annotations.

use steersman_apimachinery::Tree;
use steersman_apimachinery::quote::json;

/// All fields in an order that agrees with each struct's; others come last, by name.
const ORDER: &[&str] = &[
    "type",
    "status",
    "lastTransitionTime",
    "reason",
    "message",
    "observedGeneration",
    "object",
    "pods",
    "resource",
    "containerResource",
    "external",
    "target",
    "kind",
    "name",
    "apiVersion",
    "metricName",
    "metricSelector",
    "targetValue",
    "currentValue",
    "targetAverageUtilization",
    "currentAverageUtilization",
    "targetAverageValue",
    "currentAverageValue",
    "selector",
    "averageValue",
    "container",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "ScaleUp",
    "ScaleDown",
    "StabilizationWindowSeconds",
    "SelectPolicy",
    "Policies",
    "Tolerance",
    "Type",
    "Value",
    "PeriodSeconds",
];

/// The text of a tree.
pub(super) fn encode(tree: &Tree) -> String {
    match tree {
        Tree::Object(fields) => {
            let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
            let mut fields: Vec<(&String, &Tree)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| (place(name), *name));
            let text = |(name, value): (&String, &Tree)| {
                format!("{}:{}", json(&Tree::from(name.as_str())), encode(value))
            };
            format!("{{{}}}", fields.into_iter().map(text).collect::<Vec<_>>().join(","))
        }
        Tree::Array(items) => format!("[{}]", items.iter().map(encode).collect::<Vec<_>>().join(",")),
        other => json(other),
    }
}
