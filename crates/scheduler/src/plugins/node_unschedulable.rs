//! NodeUnschedulable: a cordoned node takes only pods that tolerate the cordon's taint.

use k8s_openapi::api::core::v1::Taint;

use super::taint_toleration::tolerated;
use crate::framework::{ClusterEvent, Plugin, Reasons};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        if !node.is_unschedulable() {
            return Ok(());
        }
        let cordon = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if tolerated(&cordon, pod) {
            return Ok(());
        }
        Err(vec!["node(s) were unschedulable".to_owned()])
    }

    fn helped_by(&self, event: ClusterEvent) -> bool {
        event == ClusterEvent::NodeChanged
    }
}
