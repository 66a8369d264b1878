//! The plugins, a file each, and the profile that puts them in order.

mod image_locality;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources;
mod node_unschedulable;
mod scheduling_gates;
mod taint_toleration;

use crate::framework::Plugin;

/// Plugins in the order in which they run, each with the weight of its score.
pub struct Profile {
    plugins: Vec<(Box<dyn Plugin>, i64)>,
}

impl Profile {
    /// All plugins in order.
    pub fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(|(plugin, _)| &**plugin)
    }

    /// The plugins whose score counts, with its weight.
    pub fn scorers(&self) -> impl Iterator<Item = (&dyn Plugin, i64)> {
        self.plugins.iter().filter(|(_, weight)| *weight > 0).map(|(plugin, weight)| (&**plugin, *weight))
    }
}

/// Upstream's default profile: order and weights.
pub fn default_profile() -> Profile {
    Profile {
        plugins: vec![
            (Box::new(scheduling_gates::SchedulingGates), 0),
            (Box::new(node_unschedulable::NodeUnschedulable), 0),
            (Box::new(node_name::NodeName), 0),
            (Box::new(taint_toleration::TaintToleration), 3),
            (Box::new(node_affinity::NodeAffinity), 2),
            (Box::new(node_ports::NodePorts), 0),
            (Box::new(node_resources::Fit), 1),
            (Box::new(node_resources::BalancedAllocation), 1),
            (Box::new(image_locality::ImageLocality), 1),
        ],
    }
}
