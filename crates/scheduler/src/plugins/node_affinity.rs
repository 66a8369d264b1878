//! NodeAffinity: node selectors, and required and preferred node affinity.

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, PodSpec, PreferredSchedulingTerm,
};

use crate::framework::{ClusterEvent, Plugin, Reasons, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        if selected(pod.spec(), node) && required(pod.spec(), node) {
            return Ok(());
        }
        Err(vec!["node(s) didn't match Pod's node affinity/selector".to_owned()])
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _all: &[NodeInfo]) -> Option<i64> {
        let preferred = preferred(pod.spec())?;
        let matching =
            preferred.iter().filter(|term| !is_empty(&term.preference) && matches(&term.preference, node));
        Some(matching.map(|term| i64::from(term.weight)).sum())
    }

    fn normalize(&self, scores: &mut [i64]) {
        default_normalize(scores, false);
    }

    fn helped_by(&self, event: ClusterEvent) -> bool {
        event == ClusterEvent::NodeChanged
    }
}

fn selected(spec: &PodSpec, node: &NodeInfo) -> bool {
    spec.node_selector.iter().flatten().all(|(key, value)| node.label(key) == Some(value))
}

/// Whether one of the required terms matches; an empty term matches nothing.
fn required(spec: &PodSpec, node: &NodeInfo) -> bool {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|selector| {
        selector.node_selector_terms.iter().any(|term| !is_empty(term) && matches(term, node))
    })
}

fn preferred(spec: &PodSpec) -> Option<&[PreferredSchedulingTerm]> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.preferred_during_scheduling_ignored_during_execution.as_deref().filter(|terms| !terms.is_empty())
}

fn is_empty(term: &NodeSelectorTerm) -> bool {
    term.match_expressions.iter().flatten().chain(term.match_fields.iter().flatten()).next().is_none()
}

fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let labels = term.match_expressions.iter().flatten().all(|r| holds(r, node.label(&r.key)));
    // `metadata.name` is the only field that can be selected by.
    let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    labels && term.match_fields.iter().flatten().all(|r| holds(r, field(&r.key)))
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || actual.is_some_and(|actual| values.iter().any(|value| value == actual));
    let compared = |wanted: std::cmp::Ordering| {
        let number = |text: &str| text.parse::<i64>().ok();
        match (actual.and_then(number), values) {
            (Some(actual), [value]) => number(value).is_some_and(|value| actual.cmp(&value) == wanted),
            _ => false,
        }
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(std::cmp::Ordering::Greater),
        "Lt" => compared(std::cmp::Ordering::Less),
        _ => false,
    }
}
