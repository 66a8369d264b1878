//! NodePorts: a host port is taken once per node.

use crate::framework::{ClusterEvent, Plugin, Reasons};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        if pod.host_ports.iter().any(|port| node.occupies(port)) {
            return Err(vec!["node(s) didn't have free ports for the requested pod ports".to_owned()]);
        }
        Ok(())
    }

    fn helped_by(&self, _event: ClusterEvent) -> bool {
        true
    }
}
