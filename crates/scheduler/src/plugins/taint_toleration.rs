//! TaintToleration: taints keep pods away that do not tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::framework::{ClusterEvent, Plugin, Reasons, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        let hard = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        if node.taints().iter().filter(hard).all(|taint| tolerated(taint, pod)) {
            return Ok(());
        }
        Err(vec!["node(s) had untolerated taint(s)".to_owned()])
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _all: &[NodeInfo]) -> Option<i64> {
        let soft = node.taints().iter().filter(|taint| taint.effect == "PreferNoSchedule");
        Some(soft.filter(|taint| !tolerated(taint, pod)).count() as i64)
    }

    fn normalize(&self, scores: &mut [i64]) {
        default_normalize(scores, true);
    }

    fn helped_by(&self, event: ClusterEvent) -> bool {
        event == ClusterEvent::NodeChanged
    }
}

/// Whether the pod tolerates `taint`.
pub(super) fn tolerated(taint: &Taint, pod: &PodInfo) -> bool {
    pod.spec().tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let open = |field: &Option<String>| field.as_deref().unwrap_or_default().is_empty();
    if !open(&toleration.effect) && toleration.effect.as_deref() != Some(&taint.effect) {
        return false;
    }
    if !open(&toleration.key) && toleration.key.as_deref() != Some(&taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}
