//! NodeName: a pod that names its node goes nowhere else.

use crate::framework::{Plugin, Reasons};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

pub(super) struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Reasons> {
        match pod.spec().node_name.as_deref() {
            None | Some("") => Ok(()),
            Some(name) if name == node.name => Ok(()),
            Some(_) => Err(vec!["node(s) didn't match the requested node name".to_owned()]),
        }
    }
}
